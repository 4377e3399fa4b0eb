"""A training set as arrays: loading, checks, windows, processes."""

import multiprocessing

import numpy as np
import pytest

from sv.crops.index import TrainingIndex
from sv.errors import InputError
from sv.kaldi import columns
from sv.kaldi.arks import ArkWriter, read_matrix, read_scp

LENGTHS = {"spk1-a": 30, "spk1-b": 12, "spk2-a": 5, "spk2-b": 44}


def make(folder, lengths=LENGTHS, dim=6, form="CM2", arks=2):
    """Write features of ``lengths`` over a few arks whose folder has a blank in its name."""
    rng = np.random.default_rng(0)
    lines, names = [], list(lengths)
    (folder / "my features").mkdir()
    for job in range(arks):
        base = folder / "my features" / f"feats.{job}"
        with ArkWriter(f"{base}.ark", f"{base}.scp", form) as writer:
            for name in names[job::arks]:
                writer.write(name, rng.normal(-8, 4, (lengths[name], dim)))
        lines += base.with_suffix(f".{job}.scp").read_text().splitlines()
    (folder / "feats.scp").write_text("".join(f"{line}\n" for line in sorted(lines)))
    counts = "".join(f"{name} {rows}\n" for name, rows in sorted(lengths.items()))
    (folder / "utt2num_frames").write_text(counts)
    return folder


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_load(tmp_path):
    index = TrainingIndex.load(make(tmp_path))
    assert len(index) == 4 and index.mel_bins == 6 and len(index.arks) == 2
    assert index.ids(slice(None)) == sorted(LENGTHS)
    assert index.ids(2) == "spk2-a"
    assert index.lengths.tolist() == [30, 12, 5, 44]
    assert index.offset.dtype == np.int64 and index.lengths.dtype == np.int32


@pytest.mark.parametrize("form", ["FM", "CM2", "CM"])
def test_windows(tmp_path, form):
    folder = make(tmp_path, form=form)
    index, places = TrainingIndex.load(folder), list(read_scp(folder / "feats.scp").values())
    utterances, starts = np.array([3, 0, 2, 1, 3]), np.array([24, 0, 2, 0, 0])
    out = index.read_windows(utterances, starts, 12)
    assert out.shape == (5, 12, 6) and out.dtype == np.float32
    for window, utterance, start in zip(out, utterances, starts, strict=True):
        whole = read_matrix(places[utterance])
        rows = (start + np.arange(12)) % len(whole)  # spk2-a has 5 frames: repeated
        np.testing.assert_allclose(window, whole[rows], atol=5e-6)
    mine = np.empty_like(out)
    assert index.read_windows(utterances, starts, 12, out=mine) is mine
    np.testing.assert_array_equal(mine, out)


def test_select(tmp_path):
    index = TrainingIndex.load(make(tmp_path))
    long = index.select(index.lengths >= 12)
    assert long.ids(slice(None)) == ["spk1-a", "spk1-b", "spk2-b"]
    np.testing.assert_array_equal(
        long.read_windows([2], [20], 12), index.read_windows([3], [20], 12)
    )
    assert index.select(np.array([3, 0])).ids(slice(None)) == ["spk2-b", "spk1-a"]
    with pytest.raises(InputError, match="no utterance is left"):
        index.select(index.lengths > 1000)


def test_order_of_the_files_does_not_matter(tmp_path):
    folder = make(tmp_path)
    expected = TrainingIndex.load(folder).lengths.tolist()
    lines = (folder / "utt2num_frames").read_text().splitlines()
    for number in range(4):
        (folder / "utt2num_frames").write_text("\n".join([*lines[number:], *lines[:number]]))
        assert TrainingIndex.load(folder).lengths.tolist() == expected
    entries = (folder / "feats.scp").read_text().splitlines()
    (folder / "feats.scp").write_text("\n".join([*entries[1:], entries[0]]))
    (folder / "utt2num_frames").write_text("\n".join([lines[2], lines[0], lines[3], lines[1]]))
    assert TrainingIndex.load(folder).lengths.tolist() == [*expected[1:], expected[0]]
    edit(folder / "utt2num_frames", "spk1-a 30", "other 7\nspk1-a 30")  # has no features
    assert TrainingIndex.load(folder).lengths.tolist() == [*expected[1:], expected[0]]


def test_files_are_parsed_in_blocks(tmp_path, monkeypatch):
    lengths = {f"{'long-' * (number // 10)}{number:03}": number % 7 + 1 for number in range(60)}
    folder = make(tmp_path, lengths)
    monkeypatch.setattr(columns, "BLOCK_BYTES", 100)
    index = TrainingIndex.load(folder)
    assert dict(zip(index.ids(slice(None)), index.lengths.tolist(), strict=True)) == lengths


def window_of(index):
    return index.read_windows(np.array([0, 3]), np.array([1, 2]), 10)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same(tmp_path, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    index = TrainingIndex.load(make(tmp_path))
    here = window_of(index)  # files are open now: the child must not trip over them
    with multiprocessing.get_context(method).Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(window_of, (index,)), here)


# ---------------------------------------------------------------- what load refuses


@pytest.mark.parametrize("name", ["feats.scp", "utt2num_frames"])
def test_missing_and_empty_files(tmp_path, name):
    folder = make(tmp_path)
    (folder / name).write_text("")
    with pytest.raises(InputError, match=f"{name} is empty: zero utterances"):
        TrainingIndex.load(folder)
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} does not exist; run stage 1"):
        TrainingIndex.load(folder)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("feats.scp", "spk1-b", "spk1-a", "once, the first is 'spk1-a'"),
        ("feats.scp", "spk2-b", "spk1-a", "once, the first is 'spk1-a'"),
        ("feats.scp", "spk1-a ", "spk1-a touch x | ", "does not exist"),
        ("feats.scp", "feats.0.ark:", "other.ark:", "other.ark does not exist"),
        ("feats.scp", "spk2-a ", "spk2-a\nx ", "line 3: expected an id and a value"),
        ("utt2num_frames", "spk2-a 5\n", "", "no length for 1 of the 4.*'spk2-a'"),
        ("utt2num_frames", "spk2-a 5\n", "spk2-a 0\n", "'spk2-a' has an impossible"),
        ("utt2num_frames", "spk2-a 5\n", "spk2-a five\n", "no whole number"),
        ("utt2num_frames", "spk2-a 5\n", "spk2-a\n", "line 3: expected an id and a value"),
        ("utt2num_frames", "spk2-a 5\n", "spk2-a 7\n", "'spk2-a' has 5 frames.*says 7"),
    ],
)
def test_bad_lines(tmp_path, name, old, new, words):
    folder = make(tmp_path)
    edit(folder / name, old, new)
    with pytest.raises(InputError, match=words):
        TrainingIndex.load(folder)


def test_pipe(tmp_path):
    folder = make(tmp_path)
    with (folder / "feats.scp").open("a") as handle:
        handle.write("zzz copy-feats ark:x ark:- |\n")
    with pytest.raises(InputError, match="feats.scp, line 5: .*never executed"):
        TrainingIndex.load(folder)


def test_truncated_ark(tmp_path):
    folder = make(tmp_path)
    ark = folder / "my features" / "feats.1.ark"
    whole = ark.read_bytes()
    for length in (1, 60, len(whole) - 1):
        ark.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"feats\.1\.ark, entry 'spk.-b'.*truncated"):
            TrainingIndex.load(folder)


def test_mixed_dimensions(tmp_path):
    folder = make(tmp_path)
    other = folder / "other.ark"
    with ArkWriter(other, folder / "other.scp") as writer:
        writer.write("zzz", np.ones((9, 7)))
    with (folder / "feats.scp").open("a") as handle:
        handle.write((folder / "other.scp").read_text())
    with (folder / "utt2num_frames").open("a") as handle:
        handle.write("zzz 9\n")
    with pytest.raises(InputError, match="'zzz' has 7 columns, others have 6"):
        TrainingIndex.load(folder)


def test_vectors_are_no_features(tmp_path):
    with ArkWriter(tmp_path / "v.ark", tmp_path / "feats.scp") as writer:
        writer.write("a", np.ones(9))
    (tmp_path / "utt2num_frames").write_text("a 1\n")
    with pytest.raises(InputError, match="'a' is a vector"):
        TrainingIndex.load(tmp_path)

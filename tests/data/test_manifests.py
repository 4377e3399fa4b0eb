"""Data directories: written by lhotse and in Kaldi's format, read back, replaced as a whole."""

from dataclasses import replace

import lhotse
import numpy as np
import pytest
import soundfile
from lhotse.dataset import DynamicBucketingSampler, SimpleCutSampler
from lhotse.kaldi import load_kaldi_data_dir

from sv.data import lhotse_manifests
from sv.data.kaldi_dirs import from_kaldi_dir, to_kaldi_dir
from sv.data.labels import read_label_file
from sv.data.manifests import read_data_dir, write_data_dir
from sv.data.utterance import Utterance
from sv.errors import InputError

FORMATS = {
    "wav": {},
    "flac": {},
    "ogg": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {},
}


@pytest.fixture
def utterances(tmp_path):
    """One file per format and one in stereo at 44.1 kHz, two speakers, in a path with spaces."""
    folder = tmp_path / "my corpus"
    folder.mkdir()
    rng = np.random.default_rng(0)
    made = []
    for number, (suffix, options) in enumerate([*FORMATS.items(), ("wav", {"stereo": True})]):
        stereo = options.pop("stereo", False) if suffix == "wav" else False
        rate = 44100 if stereo else 16000
        path = folder / f"clip {number}.{suffix}"
        shape = (rate + 77 * number, 2 if stereo else 1)
        soundfile.write(path, rng.normal(0, 0.1, shape), rate, **options)
        info = soundfile.info(path)
        speaker = f"s{number % 2}"
        made.append(
            Utterance(
                id=f"{speaker}-a-{number}",
                path=str(path),
                duration=info.frames / info.samplerate,
                sample_rate=info.samplerate,
                num_samples=info.frames,
                speaker=speaker,
                session="a",
                group="x",
                channels=info.channels,
            )
        )
    return made


def test_both_sides_of_a_directory_agree_and_hold_no_speaker(utterances, tmp_path):
    out, labels = tmp_path / "data" / "train", tmp_path / "data" / "labels" / "train"
    write_data_dir(out, utterances, labels_dir=labels)

    ids = sorted(u.id for u in utterances)
    for name in ("wav.scp", "utt2spk", "spk2utt", "utt2dur"):
        assert [line.split()[0] for line in (out / name).read_text().splitlines()] == ids
    assert (out / "utt2spk").read_text() == "".join(f"{key} {key}\n" for key in ids)
    scp = dict(line.split(" ", 1) for line in (out / "wav.scp").read_text().splitlines())
    assert scp == {u.id: u.path for u in utterances}

    supervisions = lhotse.SupervisionSet.from_file(out / "supervisions.jsonl.gz")
    assert {s.id: s.speaker for s in supervisions} == {key: key for key in ids}
    assert read_label_file(labels / "utt2spk") == {u.id: u.speaker for u in utterances}
    assert read_label_file(labels / "utt2session") == {u.id: f"{u.speaker}-a" for u in utterances}


def test_read_data_dir_returns_what_was_written(utterances, tmp_path):
    write_data_dir(tmp_path / "d", utterances, labels_dir=tmp_path / "l")
    expected = sorted(utterances, key=lambda u: u.id)
    assert read_data_dir(tmp_path / "d", tmp_path / "l") == expected
    blind = [replace(u, speaker=None, session=None, group=None) for u in expected]
    assert read_data_dir(tmp_path / "d") == blind


def test_lhotse_opens_every_cut(utterances, tmp_path):
    write_data_dir(tmp_path / "d", utterances)
    cuts = lhotse.CutSet.from_file(tmp_path / "d" / "cuts.jsonl.gz")
    by_id = {u.id: u for u in utterances}
    for cut in cuts:
        expected = by_id[cut.id]
        samples, _ = soundfile.read(expected.path, always_2d=True)
        assert cut.load_audio().shape == (expected.channels, expected.num_samples)
        if expected.path.endswith(".wav"):
            np.testing.assert_allclose(cut.load_audio(), samples.T, atol=1e-4)
    assert len(list(cuts)) == len(utterances)


def test_samplers_of_lhotse_deal_every_cut_once(utterances, tmp_path):
    write_data_dir(tmp_path / "d", utterances)
    cuts = lhotse.CutSet.from_file(tmp_path / "d" / "cuts.jsonl.gz")
    for sampler in (
        SimpleCutSampler(cuts, max_duration=2.5, shuffle=True, seed=1),
        DynamicBucketingSampler(cuts, max_duration=2.5, num_buckets=2, shuffle=False),
    ):
        batches = [list(batch) for batch in sampler]
        assert len(batches) > 1
        assert sorted(cut.id for batch in batches for cut in batch) == sorted(cuts.ids)


def test_lhotse_reads_the_kaldi_files_as_ours(utterances, tmp_path):
    """lhotse cuts durations of Kaldi's tables to milliseconds."""
    utterances = [u for u in utterances if u.path.endswith((".wav", ".flac")) and u.channels == 1]
    write_data_dir(tmp_path / "d", utterances, labels_dir=tmp_path / "labels")
    to_kaldi_dir(tmp_path / "d", tmp_path / "labels", tmp_path / "kaldi")
    recordings, supervisions, _ = load_kaldi_data_dir(tmp_path / "kaldi", sampling_rate=16000)
    for utterance in utterances:
        found = recordings[utterance.id]
        assert found.duration == pytest.approx(utterance.duration, abs=1e-3)
        assert found.sources[0].source == utterance.path
        assert supervisions[utterance.id].speaker == utterance.speaker


def test_the_same_data_give_the_same_bytes(utterances, tmp_path):
    write_data_dir(tmp_path / "one", utterances)
    write_data_dir(tmp_path / "two", reversed(utterances))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_an_older_directory_is_replaced_as_a_whole(utterances, tmp_path):
    out = tmp_path / "train"
    write_data_dir(out, utterances, labels_dir=tmp_path / "labels")
    (out / "feats.scp").write_text("stale\n")
    unlabelled = [replace(u, speaker=None, session=None, group=None) for u in utterances[:2]]
    write_data_dir(out, unlabelled, labels_dir=tmp_path / "labels")
    assert not (out / "feats.scp").exists()
    assert len((out / "wav.scp").read_text().splitlines()) == 2
    assert not (tmp_path / "labels" / "utt2spk").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels", "my corpus", "train"]


def test_a_failure_leaves_the_older_directory(utterances, tmp_path, monkeypatch):
    out = tmp_path / "train"
    write_data_dir(out, utterances[:2])
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lhotse_manifests, "write_manifests", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_data_dir(out, utterances)
    assert caught.value.filename == str(out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my corpus", "train"]


def test_a_manifest_that_reads_back_differently_is_refused(utterances, tmp_path, monkeypatch):
    honest = lhotse_manifests.write_manifests
    monkeypatch.setattr(
        lhotse_manifests, "write_manifests", lambda folder, them: honest(folder, them[:-1])
    )
    with pytest.raises(InputError, match=r"train/recordings.jsonl.gz: 5 of 6 entries"):
        write_data_dir(tmp_path / "train", utterances)
    assert not (tmp_path / "train").exists()


def test_a_foreign_folder_is_not_replaced(utterances, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="is not a data directory of ours"):
        write_data_dir(tmp_path / "home", utterances)
    assert (tmp_path / "home" / "thesis.tex").exists()


def bad_sets(utterances):
    first, second = utterances[:2]
    pair = (1, first.id, second.id)
    return {
        "nothing": ([], None, "not a single utterance"),
        "duplicate": ([first, replace(second, id=first.id)], None, "the same utterance id"),
        "blank in id": ([replace(first, id="a b")], None, "has blanks"),
        "no samples": ([replace(first, num_samples=0, duration=0.0)], None, "no samples"),
        "command": ([replace(first, path="sox x.wav |")], None, r"ending in '\|'"),
        "unknown trial": ([first, second], [pair, (0, first.id, "who")], "unknown .* 'who'"),
        "one class": ([first, second], [pair], "1 target and 0 non-target"),
        "no trial": ([first, second], [], "0 target and 0 non-target"),
        "blank in label": ([replace(first, speaker="a b")], None, "has blanks"),
    }


@pytest.mark.parametrize("case", bad_sets([Utterance("a", "a", 1.0, 1, 1)] * 2))
def test_bad_sets_are_refused_and_nothing_is_written(case, utterances, tmp_path):
    given, trials, message = bad_sets(utterances)[case]
    with pytest.raises(InputError, match=message):
        write_data_dir(tmp_path / "data", given, trials, tmp_path / "labels")
    assert [path.name for path in tmp_path.iterdir()] == ["my corpus"]


def test_a_missing_or_damaged_directory_is_named(tmp_path):
    with pytest.raises(InputError, match="recordings.jsonl.gz: no such file"):
        read_data_dir(tmp_path)
    (tmp_path / "recordings.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(InputError, match="recordings.jsonl.gz: cannot be read"):
        read_data_dir(tmp_path)


def test_kaldi_directories_go_out_and_come_in(utterances, tmp_path):
    write_data_dir(tmp_path / "d", utterances, labels_dir=tmp_path / "l")
    to_kaldi_dir(tmp_path / "d", tmp_path / "l", tmp_path / "kaldi")
    spk2utt = (tmp_path / "kaldi" / "spk2utt").read_text()
    assert spk2utt == "s0 s0-a-0 s0-a-2 s0-a-4\ns1 s1-a-1 s1-a-3 s1-a-5\n"
    expected = [
        replace(u, session=None, group=None) for u in sorted(utterances, key=lambda u: u.id)
    ]
    assert from_kaldi_dir(tmp_path / "kaldi") == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("wav.scp", "a sph2pipe -f wav x.sph |\n", "commands are never executed"),
        ("segments", "a r 0 1\n", "1 of 1 segments are of recordings that wav.scp lacks: a"),
        ("wav.scp", "a /nowhere/a.wav\n", "cannot be used"),
        ("wav.scp", "", "is empty"),
        ("wav.scp", "a /nowhere/a.wav\na /nowhere/b.wav\n", "'a' is there twice"),
        ("utt2spk", "b s1\n", "utt2spk: 1 of 1 utterances have no label, the first is 'a'"),
        ("utt2spk", "a\n", "utt2spk:1: 'a' has no value"),
    ],
)
def test_kaldi_directories_that_cannot_be_taken(name, text, message, tmp_path):
    (tmp_path / "wav.scp").write_text("a /nowhere/a.wav\n")
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        from_kaldi_dir(tmp_path)


@pytest.mark.parametrize("form", ["mark", "windows", "blanks"])
def test_kaldi_directories_of_other_programs(form, utterances, tmp_path):
    write_data_dir(tmp_path / "d", utterances, labels_dir=tmp_path / "l")
    to_kaldi_dir(tmp_path / "d", tmp_path / "l", tmp_path / "kaldi")
    expected = from_kaldi_dir(tmp_path / "kaldi")
    change = {
        "mark": lambda data: b"\xef\xbb\xbf" + data,
        "windows": lambda data: data.replace(b"\n", b"\r\n"),
        "blanks": lambda data: data.replace(b"\n", b" \t\n") + b"\n",
    }[form]
    for name in ("wav.scp", "utt2spk"):
        path = tmp_path / "kaldi" / name
        path.write_bytes(change(path.read_bytes()))
    assert from_kaldi_dir(tmp_path / "kaldi") == expected


def test_a_label_file_that_lacks_an_utterance_is_refused(utterances, tmp_path):
    write_data_dir(tmp_path / "d", utterances, labels_dir=tmp_path / "l")
    lines = (tmp_path / "l" / "utt2spk").read_text().splitlines(keepends=True)
    (tmp_path / "l" / "utt2spk").write_text("".join(lines[1:]))
    for read in (
        lambda: read_data_dir(tmp_path / "d", tmp_path / "l"),
        lambda: to_kaldi_dir(tmp_path / "d", tmp_path / "l", tmp_path / "kaldi"),
    ):
        with pytest.raises(
            InputError, match=f"have no label, the first is '{lines[0].split()[0]}'"
        ):
            read()


def test_trials_with_both_labels_are_not_written(utterances, tmp_path):
    one, other, third = (utterance.id for utterance in utterances[:3])
    trials = [(1, one, other), (0, other, third), (0, other, one)]
    with pytest.raises(InputError, match=f"trials: 1 pairs are listed both .*{one} {other}"):
        write_data_dir(tmp_path / "d", utterances, trials)
    assert not (tmp_path / "d").exists()

"""Development sets that are held out of a training set, and parts of data directories."""

import json

import pytest

from sv.bin import hold_out
from sv.data.held_out import HeldOut, choose_speakers
from sv.data.subset import write_part
from sv.data.trials import read_trials
from sv.data.validate import validate
from sv.errors import InputError
from sv.kaldi.arks import read_scp


@pytest.fixture
def data(write_features, tmp_path):
    """A training set of 8 speakers with 4 utterances each in 2 sessions, and its labels."""
    folder = write_features(tmp_path / "data/train", [30] * 32)
    ids = [f"utt{n:03d}" for n in range(32)]
    tables = {
        "wav.scp": "/x/{}.wav",
        "utt2spk": "{}",
        "utt2dur": "0.315",
    }
    for name, text in tables.items():
        lines = (f"{one} {text.format(one)}\n" for one in ids)
        (folder / name).write_text("".join(lines))
    (folder / "spk2utt").write_text((folder / "utt2spk").read_text())
    (folder / "feats_preset").write_text("kaldi\n")
    labels = tmp_path / "data/labels/train"
    labels.mkdir(parents=True)
    for name, value in (("utt2spk", 4), ("utt2session", 2)):
        (labels / name).write_text("".join(f"{one} v{n // value}\n" for n, one in enumerate(ids)))
    (labels / "utt2group").write_text("".join(f"{one} {n % 8 // 4}\n" for n, one in enumerate(ids)))
    return folder


def test_some_speakers_become_a_development_set_with_trials(data, tmp_path, capsys):
    labels, out = tmp_path / "data/labels/train/utt2spk", tmp_path / "data/dev4"
    words = ["--data", str(data), "--speakers", "4", "--out", str(out)]
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    hold_out.main([*words, "--utt2spk", str(labels)])
    assert "development set: 4 true speakers, 16 utterances" in capsys.readouterr().out
    assert before == {path.name: path.read_bytes() for path in data.iterdir()}
    speaker = dict(line.split() for line in labels.read_text().splitlines())
    parts = {name: set(read_scp(out / name / "feats.scp")) for name in ("train", "dev")}
    assert len(parts["train"]) == len(parts["dev"]) == 16
    assert not {speaker[one] for one in parts["train"]} & {speaker[one] for one in parts["dev"]}
    for name in parts:
        assert validate(out / name, audio=False, manifests=False) == []
        assert (out / name / "feats_preset").exists()
    trials = read_trials(out / "dev/trials")
    session = dict(line.split() for line in labels.with_name("utt2session").read_text().split("\n")
                   if line)  # fmt: skip
    for label, a, b in trials.rows():
        assert (speaker[a] == speaker[b]) == bool(label)
        assert not label or session[a] != session[b]
    assert set(read_scp(out / "labels/dev/utt2spk")) == parts["dev"]
    assert HeldOut.read(out) == (out, 4, "speakers")
    first = (out / "dev/trials").read_bytes()
    hold_out.main([*words, "--utt2spk", str(labels)])
    assert (out / "dev/trials").read_bytes() == first
    hold_out.main([*words, "--utt2spk", str(labels), "--trials", "10", "--seed", "1"])
    assert len(read_trials(out / "dev/trials")) == 10


def test_clusters_serve_as_pseudo_speakers_and_are_marked(data, tmp_path):
    clusters = tmp_path / "utt2cluster"
    clusters.write_text("".join(f"utt{n:03d} {n % 5}\n" for n in range(32)))
    out = tmp_path / "out"
    words = ["--data", str(data), "--out", str(out), "--utt2cluster", str(clusters)]
    hold_out.main([*words, "--speakers", "2"])
    assert json.loads((out / "held_out.json").read_text())["labels"] == "clusters"
    assert not (out / "labels/dev/utt2session").exists()


def test_demands_that_cannot_be_met_are_refused(data, tmp_path):
    speakers = {"a": ["1", "2"], "b": ["3", "4"], "c": ["5", "6"], "d": ["7"]}
    assert choose_speakers(speakers, 2, 0) == choose_speakers(speakers, 2, 0)
    for count in (1, 3, 9):
        with pytest.raises(InputError, match="take from 2 to 2"):
            choose_speakers(speakers, count, 0)
    with pytest.raises(InputError, match="give one of --utt2spk and --utt2cluster"):
        hold_out.main(["--data", str(data), "--out", "x", "--speakers", "2"])
    short = tmp_path / "short"
    short.write_text("utt000 a\n")
    words = ["--data", str(data), "--out", str(tmp_path / "o"), "--speakers", "2"]
    with pytest.raises(InputError, match="31 of the 32 utterances"):
        hold_out.main([*words, "--utt2spk", str(short)])
    with pytest.raises(InputError, match="holds no development set"):
        HeldOut.read(tmp_path)
    with pytest.raises(InputError, match="has 0 of the 1 utterances"):
        write_part(data, ["nobody"], tmp_path / "part")

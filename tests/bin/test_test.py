"""`sv test`: another corpus in one command, from audio to a report."""

import json

import numpy as np
import pytest

from sv.audio.files import write_audio
from sv.bin import test as program
from sv.data.trials import read_trials
from sv.errors import InputError
from sv.scoring.score_file import read_info, read_scores

pytestmark = pytest.mark.whole

RATE = 16000


def corpus(folder, speakers, seed=0):
    """Write 2 sessions of 2 utterances for each speaker: coloured noise."""
    generator = np.random.default_rng(seed)
    for speaker in range(speakers):
        voice = generator.standard_normal(9)
        for number in range(4):
            samples = np.convolve(generator.standard_normal(RATE // 2), voice)[: RATE // 2]
            path = folder / f"s{speaker}" / f"x{number // 2}" / f"u{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(path, (0.05 * samples).astype(np.float32), RATE)
    return folder


@pytest.fixture(scope="module")
def world(write_model, tmp_path_factory):
    root = tmp_path_factory.mktemp("sv test") / "a b"
    root.mkdir()
    write_model(root / "exp/simclr/final.pt", "ecapa")
    corpus(root / "a/test", 6)
    corpus(root / "b/test", 4, seed=1)
    corpus(root / "train", 8, seed=2)
    return root


@pytest.fixture
def place(world, monkeypatch):
    monkeypatch.chdir(world)
    return world


MODEL = ["--model", "exp/simclr/final.pt", "--device", "cpu"]


def test_two_corpora_of_one_name_have_results_of_their_own(place, capsys):
    for name in "ab":
        program.main([*MODEL, "--corpus", f"{name}/test"])
    printed = capsys.readouterr().out
    assert "48 trials drawn from the labels, 24 utterances of a/test" in printed
    folders = sorted((place / "sv-test").iterdir())
    assert len(folders) == 2 and all(one.name.startswith("test-") for one in folders)
    record = json.loads((folders[0] / "report/report.json").read_text())
    assert record["systems"][0]["name"] == "simclr" and 0 <= record["eer"] <= 1
    trials = read_trials(folders[0] / "trials")
    for label, a, b in trials.rows():
        assert (a.split("-")[0] == b.split("-")[0]) == bool(label)
        assert not label or a.split("-")[1] != b.split("-")[1]
    before = [(one / "scores/test").read_bytes() for one in folders]
    program.main([*MODEL, "--corpus", "a/test"])
    assert sorted((place / "sv-test").iterdir()) == folders
    assert [(one / "scores/test").read_bytes() for one in folders] == before


def test_a_list_and_a_cohort(place, tmp_path, capsys):
    lines = ["1 s0/x0/u0.wav s0/x1/u2.wav", "0 s0/x0/u0.wav s1/x0/u0.wav"]
    lines += ["1 s2/x0/u0.wav s2/x1/u3.wav", "0 s3/x0/u1.wav s1/x0/u0.wav"]
    (tmp_path / "list").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    words = [*MODEL, "--corpus", "a/test", "--trials", str(tmp_path / "list"), "--out", str(out)]
    program.main([*words, "--norm", "as", "--cohort", "train"])
    assert "4 trials of a list, 6 utterances" in capsys.readouterr().out
    norm = read_info(out / "as-norm/scores/test")["normalisation"]
    assert (norm["size"], norm["top_n"]) == (32, 3)
    record = json.loads((out / "report/report.json").read_text())
    assert list(record["systems"][0]["kinds"]) == ["cosine", "as-norm"]
    assert record["systems"][0]["name"] == "simclr as-norm"
    assert len(read_scores(out / "scores/test").values) == 4
    # A data directory with its trials: the one that the first call has written serves as such.
    program.main([*MODEL, "--corpus", str(out), "--out", str(tmp_path / "again")])
    again = read_scores(tmp_path / "again/scores/test").values
    assert again == pytest.approx(read_scores(out / "scores/test").values, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--norm", "as"], "belong together"),
        (["--cohort", "train"], "belong together"),
        (["--norm", "as", "--cohort", "a/test"], "of its files are in the trials"),
        (["--layout", "flat"], "no folders of speakers and no trials"),
    ],
)
def test_what_cannot_be_tested_is_said(place, tmp_path, words, sentence):
    with pytest.raises(InputError, match=sentence):
        program.main([*MODEL, "--corpus", "a/test", "--out", str(tmp_path / "o"), *words])


def test_a_bad_file_is_named_and_the_others_are_kept(place, tmp_path):
    folder = corpus(tmp_path / "c", 3)
    (folder / "s1/x0/u0.wav").write_bytes(b"RIFF")
    words = [*MODEL, "--corpus", str(folder), "--out", str(tmp_path / "o")]
    with pytest.raises(InputError, match="1 of 12 files cannot be embedded .*u0.wav"):
        program.main(words)
    assert len((tmp_path / "o/embeddings/test.scp").read_text().splitlines()) == 11
    corpus(folder, 3)
    program.main(words)
    assert (tmp_path / "o/report/report.html").exists()

"""The program as users call it: its summary, its exit status, and what it leaves behind."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sv.bin import prepare_folder
from sv.data.validate import validate
from sv.errors import InputError


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "a corpus"
    rng = np.random.default_rng(0)
    for speaker in ("ann", "bob", "cy"):
        for session in ("1", "2"):
            path = folder / speaker / session / "x.flac"
            path.parent.mkdir(parents=True)
            soundfile.write(path, rng.normal(0, 0.1, 8000), 16000)
    return folder


def write_trials(corpus):
    (corpus / "trials").write_text("1 ann/1/x.flac ann/2/x.flac\n0 ann/1/x.flac bob/1/x.flac\n")


def test_a_corpus_becomes_valid_directories(corpus, tmp_path, capsys):
    write_trials(corpus)
    data = tmp_path / "data"
    assert prepare_folder.main(["--corpus", str(corpus), "--out", str(data)]) == 0
    assert validate(data / "train", feats=False) == []
    assert validate(data / "test", feats=False) == []
    said = capsys.readouterr().out
    assert "train:  1 speakers, 2 sessions, 2 utterances" in said
    assert "test:   2 speakers, 3 sessions, 3 utterances" in said
    assert "trials: 2, of which 1 target and 1 non-target" in said
    assert "1 utterances of test speakers were left out" in said


def test_doubtful_trials_are_named_and_contradictions_refused(corpus, tmp_path, capsys):
    lines = ["0 ann/1/x.flac ann/2/x.flac", "1 ann/1/x.flac bob/1/x.flac", "1 bob/1/x.flac bob-1-x"]
    options = ["--corpus", str(corpus), "--out", str(tmp_path / "data")]
    (corpus / "trials").write_text("\n".join(lines))
    prepare_folder.main(options)
    said = capsys.readouterr().out
    for words in (
        "trials: warning: 1 of 3 trials compare a recording with itself (first: 1 bob-1-x bob-1-x)",
        "these target trials are of two speakers (first: 1 ann-1-x bob-1-x, speakers ann and bob)",
        "these non-target trials are of one speaker (first: 0 ann-1-x ann-2-x",
    ):
        assert words in said
    (corpus / "trials").write_text("1 ann/1/x.flac ann/2/x.flac\n0 ann-2-x ann/1/x.flac\n")
    with pytest.raises(InputError, match="1 pairs are listed both .*ann-1-x ann-2-x"):
        prepare_folder.main(options)


def test_without_trials_everything_is_for_training(corpus, tmp_path):
    write_trials(corpus)
    options = ["--corpus", str(corpus), "--out", str(tmp_path / "d"), "--trials", "none"]
    assert prepare_folder.main(options) == 0
    assert len((tmp_path / "d" / "train" / "wav.scp").read_text().splitlines()) == 6
    assert not (tmp_path / "d" / "test").exists()


def call(*options, cwd, root):
    return subprocess.run(
        [sys.executable, "-m", "sv.bin.prepare_folder", *options],
        cwd=cwd,
        env={"PYTHONPATH": str(root), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.whole
def test_relative_paths_work_and_are_written_absolute(corpus, tmp_path, root):
    done = call("--corpus", "a corpus", cwd=tmp_path, root=root)
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "data" / "train" / "wav.scp").read_text().splitlines()[0]
    assert first == f"ann-1-x {corpus}/ann/1/x.flac"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--corpus", "nowhere"], "error: nowhere: there is no such corpus folder"),
        (["--corpus", "a corpus", "--trials", "no.txt"], "error: no.txt: there is no such file"),
        (
            ["--corpus", "a corpus", "--max-bad", "5"],
            "error: argument --max-bad: 5 is not",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(options, message, corpus, tmp_path, root):
    done = call(*options, cwd=tmp_path, root=root)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_help_shows_the_layouts(root, tmp_path):
    done = call("--help", cwd=tmp_path, root=root)
    assert done.returncode == 0
    assert "CORPUS/[sub-corpus/]<speaker>/<session>/<utterance>.flac" in done.stdout

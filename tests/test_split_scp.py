"""utils/split_scp: pieces in order, none empty, of nearly equal weight."""

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.whole

PROGRAM = Path(__file__).resolve().parent.parent / "utils" / "split_scp"


@pytest.fixture(scope="module")
def boundaries():
    loader = importlib.machinery.SourceFileLoader("split_scp", str(PROGRAM))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("split_scp", loader))
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module.boundaries


def split(folder, *words):
    command = [sys.executable, PROGRAM, *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30)


@given(weights=st.lists(st.floats(0.1, 30), min_size=1, max_size=60), share=st.floats(0.001, 1))
def test_pieces_are_full_ordered_and_balanced(boundaries, weights, share):
    pieces = max(1, round(share * len(weights)))
    cuts = boundaries(weights, pieces)
    assert len(cuts) == pieces + 1
    assert cuts[0] == 0 and cuts[-1] == len(weights)
    assert all(a < b for a, b in zip(cuts, cuts[1:], strict=False))


@given(weights=st.lists(st.floats(1, 10), min_size=40, max_size=80))
def test_no_piece_is_off_by_more_than_one_line(boundaries, weights):
    cuts = boundaries(weights, 4)
    for first, last in zip(cuts, cuts[1:], strict=False):
        assert abs(sum(weights[first:last]) - sum(weights) / 4) <= max(weights) + 1e-9


def test_pieces_join_to_the_list(tmp_path):
    text = "".join(f"utt{n:02} /audio/a file {n}.wav\n" for n in range(11))
    (tmp_path / "wav.scp").write_text(text)
    done = split(tmp_path, 3, "wav.scp", "a folder/wav.JOB.scp")
    assert done.stdout == "3\n"
    pieces = [(tmp_path / f"a folder/wav.{n}.scp").read_text() for n in (1, 2, 3)]
    assert "".join(pieces) == text
    assert sorted(piece.count("\n") for piece in pieces) == [3, 4, 4]


def test_weights_decide(tmp_path):
    (tmp_path / "wav.scp").write_text("a x\nb x\nc x\nd x\n")
    (tmp_path / "utt2dur").write_text("a 30\nb 10\nc 10\nd 10\n")
    assert split(tmp_path, "--weights", "utt2dur", 2, "wav.scp", "wav.JOB.scp").stdout == "2\n"
    assert (tmp_path / "wav.1.scp").read_text() == "a x\n"


def test_fewer_lines_than_pieces_is_said(tmp_path):
    (tmp_path / "wav.scp").write_text("a x\nb x\n")
    done = split(tmp_path, 8, "wav.scp", "wav.JOB.scp")
    assert done.stdout == "2\n"
    assert "2 line(s): 2 job(s) instead of 8" in done.stderr


@pytest.mark.parametrize(
    ("scp", "weights", "sentence"),
    [
        ("", "a 1\n", "wav.scp: is empty"),
        ("a x\nb x\n", "a 1\n", "utt2dur has no line for b"),
        ("a x\n", "a one\n", "utt2dur: the number of 'a': 'one' is no number"),
        (None, "a 1\n", "wav.scp: there is no such file"),
    ],
)
def test_bad_lists_are_explained(tmp_path, scp, weights, sentence):
    if scp is not None:
        (tmp_path / "wav.scp").write_text(scp)
    (tmp_path / "utt2dur").write_text(weights)
    done = split(tmp_path, "--weights", "utt2dur", 2, "wav.scp", "wav.JOB.scp")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not list(tmp_path.glob("wav.*.scp"))

"""Kaldi's segments and reco2file_and_channel: read, written, and refused in one sentence."""

import math

import pytest

from sv.data.segments import (
    Segment,
    read_channels,
    read_segments,
    write_channels,
    write_segments,
)
from sv.data.spans import Span, read_dir_spans
from sv.errors import InputError


def test_segments_are_read_as_they_were_written(tmp_path):
    segments = {
        "u1": Segment("r", 0.0, 1.5),
        "u2": Segment("r", 1.5000625, 3.0),
        "u3": Segment("r", 3.0, math.inf),
    }
    write_segments(tmp_path / "segments", segments.items())
    assert (tmp_path / "segments").read_text() == "u1 r 0 1.5\nu2 r 1.5000625 3\nu3 r 3 -1\n"
    assert read_segments(tmp_path / "segments") == segments


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("u r 2 1\n", "'u r 2 1': is empty: its end is not after its start; correct"),
        ("u r 1 1\n", "is empty"),
        ("u r -2 1\n", "starts before its recording"),
        ("u r 0\n", "is not '<utterance> <recording> <start> <end>'"),
        ("u r 0 1 A\n", "has a fifth column; put the channel into reco2file_and_channel"),
        ("u r zero 1\n", "no number of seconds"),
        ("u r nan 1\n", "no number of seconds"),
        ("u r 0 1\nu r 1 2\n", "'u' is there twice"),
        ("".join(f"u{i:02} r 1 1\n" for i in range(12)), "12 such lines, the first 10: "),
    ],
)
def test_a_line_that_is_no_segment_is_refused(lines, message, tmp_path):
    (tmp_path / "segments").write_text(lines)
    with pytest.raises(InputError) as caught:
        read_segments(tmp_path / "segments")
    assert message in str(caught.value)
    assert str(caught.value).count("u11") == 0


def test_channels_are_letters_as_in_kaldi(tmp_path):
    path = tmp_path / "reco2file_and_channel"
    assert read_channels(path) == {}
    write_channels(path, [("call-A", "call", 0), ("call-B", "call", 1), ("x", "x", 27)])
    assert path.read_text() == "call-A call A\ncall-B call B\nx x 28\n"
    assert read_channels(path) == {"call-A": 0, "call-B": 1, "x": 27}
    path.write_text("call-A call 1\n")
    assert read_channels(path) == {"call-A": 0}
    path.write_text("call-A call left\n")
    with pytest.raises(InputError, match="not '<recording> <file> <channel>'"):
        read_channels(path)


def test_spans_of_a_directory(tmp_path):
    (tmp_path / "wav.scp").write_text("call-A /c.wav\ncall-B /c.wav\n")
    assert read_dir_spans(tmp_path) == {"call-A": Span("/c.wav"), "call-B": Span("/c.wav")}
    (tmp_path / "reco2file_and_channel").write_text("call-A call A\ncall-B call B\n")
    (tmp_path / "segments").write_text("u call-B 1 2\n")
    assert read_dir_spans(tmp_path) == {"u": Span("/c.wav", 1.0, 2.0, 1)}
    assert str(Span("/c.wav")) == "/c.wav"
    (tmp_path / "segments").write_text("u call-C 1 2\n")
    with pytest.raises(
        InputError, match="1 segments are of recordings that .* lacks, the first: u"
    ):
        read_dir_spans(tmp_path)

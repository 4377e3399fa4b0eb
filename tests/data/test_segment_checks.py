"""Validators and the repair of data directories know spans."""

import gzip
import json

import numpy as np
import pytest
import soundfile

from sv.data.fix import fix
from sv.data.manifests import span_of, write_data_dir
from sv.data.segment_checks import overlap_warning
from sv.data.segments import Segment
from sv.data.utterance import Utterance
from sv.data.validate import validate
from sv.errors import InputError

RATE = 16000


@pytest.fixture
def data(tmp_path):
    """A directory of two recordings (one of them a channel of a file) and three spans."""
    rng = np.random.default_rng(0)
    spans = []
    for name, channels, channel in (("call-B", 2, 1), ("talk", 1, None)):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, rng.normal(0, 0.1, (3 * RATE, channels)), RATE)
        whole = Utterance(name, str(path), 3.0, RATE, 3 * RATE, channels=channels)
        count = 2 if channel else 1
        for n in range(count):
            segment = Segment(name, n + 0.2, n + 1.1)
            spans.append(span_of(whole, f"{name}-{n}", segment, channel))
    write_data_dir(tmp_path / "data" / "train", spans)
    return tmp_path / "data" / "train"


def test_a_directory_of_spans_is_valid_and_needs_no_repair(data):
    assert validate(data, feats=False) == []
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    assert fix(data) == []
    assert before == {path.name: path.read_bytes() for path in data.iterdir()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("segments", "0.2 1.1", "0.2 9"), "1 segments lie beyond the end of their recordings: "),
        (("segments", "0.2 1.1", "0.2 0.2"), "is empty: its end is not after its start"),
        (("segments", "call-B-0 call-B", "call-B-0 call-X"), "wav.scp has no such recording"),
        (("segments", "talk-0 talk 0.2 1.1\n", ""), "no segment is of this recording"),
        (("utt2dur", "talk-0 0.9\n", ""), "lacks utterance 'talk-0' (segments, line 3)"),
        (("reco2file_and_channel", "call-B", "call-C"), "has 'call-C', which wav.scp has not"),
        (("reco2file_and_channel", " B\n", " left\n"), "where the channel is A, B"),
        (("segments", "0.2 1.1", "0.3 1.1"), "starts at 0.2 s, but at 0.3 s in segments"),
    ],
)
def test_what_is_wrong_is_said(data, change, message):
    name, old, new = change
    text = (data / name).read_text()
    assert old in text
    (data / name).write_text(text.replace(old, new, 1))
    problems = validate(data, feats=False)
    assert sum(message in problem for problem in problems) >= 1, problems


def test_the_first_ten_of_many_segments_beyond_their_recordings(data):
    lines = "".join(f"u{i:02} talk {i + 3} {i + 4}\n" for i in range(12))
    (data / "segments").write_text(lines)
    text = next(text for text in validate(data, feats=False) if "lie beyond" in text)
    assert "12 segments lie beyond" in text
    assert "the first 10: 'u00' (3 to 4 s of 3 s), 'u01'" in text
    assert "'u09'" in text
    assert "'u10'" not in text


def test_the_repair_drops_bad_spans_and_recordings_without_any(data):
    text = (data / "segments").read_text().replace("talk-0 talk 0.2 1.1", "talk-0 talk 7 8")
    (data / "segments").write_text(text)
    done = fix(data)
    assert any("dropped 1 utterances (talk-0): beyond the end of its recording" in t for t in done)
    assert validate(data, feats=False) == []
    assert [line.split()[0] for line in (data / "wav.scp").read_text().splitlines()] == ["call-B"]
    assert (data / "reco2dur").read_text() == "call-B 3.0\n"
    with gzip.open(data / "recordings.jsonl.gz", "rt") as lines:
        assert [json.loads(line)["id"] for line in lines] == ["call-B"]
    (data / "segments").write_text("a call-B 9 10\n")
    with pytest.raises(InputError, match="nothing was changed"):
        fix(data)


def test_segments_that_overlap_are_named():
    rows = {"a": Segment("r", 0, 2), "b": Segment("r", 1, 3), "c": Segment("r", 3, 4)}
    assert "1 segments overlap" in overlap_warning(rows)
    assert "'a' and 'b'" in overlap_warning(rows)
    del rows["a"]
    assert overlap_warning(rows) is None

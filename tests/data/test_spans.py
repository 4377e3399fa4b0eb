"""Utterances that are spans of recordings: written, read back, and heard as the cut-out files."""

import lhotse
import numpy as np
import pytest
import soundfile

from sv.audio.files import read_audio
from sv.data.extraction import Settings, extract_piece
from sv.data.manifests import read_data_dir, span_of, write_data_dir
from sv.data.merging import merge_pieces
from sv.data.segments import Segment
from sv.data.utterance import Utterance
from sv.errors import AudioError
from sv.kaldi.arks import read_matrix, read_scp

RATE = 16000


@pytest.fixture
def call(tmp_path):
    """A call of 4 s: the samples (samples, 2), and its path."""
    samples = np.random.default_rng(1).normal(0, 0.1, (4 * RATE, 2))
    soundfile.write(tmp_path / "call.wav", samples, RATE)
    return soundfile.read(tmp_path / "call.wav", dtype="float32")[0], tmp_path / "call.wav"


def _utterances(path) -> list[Utterance]:
    found = []
    for channel, name in enumerate(("call-A", "call-B")):
        whole = Utterance(name, str(path), 4.0, RATE, 4 * RATE, speaker=f"s{channel}", channels=2)
        for number, (start, end) in enumerate([(0.5, 1.7), (2.0, 3.20004)]):
            key = f"{name}-{number}"
            found.append(span_of(whole, key, Segment(name, start, end), channel))
    return found


def test_a_directory_of_spans_is_read_as_it_was_written(call, tmp_path):
    utterances = _utterances(call[1])
    write_data_dir(tmp_path / "d", utterances, labels_dir=tmp_path / "l")
    assert read_data_dir(tmp_path / "d", tmp_path / "l") == utterances
    lines = (tmp_path / "d" / "segments").read_text().splitlines()
    assert lines[1] == "call-A-1 call-A 2 3.2000625"
    assert (tmp_path / "d" / "wav.scp").read_text() == f"call-A {call[1]}\ncall-B {call[1]}\n"
    assert (tmp_path / "d" / "reco2dur").read_text() == "call-A 4.0\ncall-B 4.0\n"
    told = (tmp_path / "d" / "reco2file_and_channel").read_text()
    assert told == "call-A call A\ncall-B call B\n"


def test_lhotse_hears_the_spans(call, tmp_path):
    write_data_dir(tmp_path / "d", _utterances(call[1]))
    for cut in lhotse.CutSet.from_file(tmp_path / "d" / "cuts.jsonl.gz"):
        start = round(cut.start * RATE)
        expected = call[0][start : start + cut.num_samples, cut.channel]
        np.testing.assert_allclose(cut.load_audio()[0], expected, atol=1e-6)
        assert (cut.supervisions[0].start, cut.supervisions[0].duration) == (0, cut.duration)


def test_features_of_a_span_are_those_of_the_cut_out_file(call, tmp_path):
    utterances = _utterances(call[1])
    write_data_dir(tmp_path / "d", utterances)
    data, settings = tmp_path / "d", Settings(wave=True)
    extract_piece(data / "wav.scp", tmp_path / "f", "1", settings, segments=data / "segments")
    again = extract_piece(
        data / "wav.scp", tmp_path / "f", "1", settings, segments=data / "segments"
    )
    assert "skipped" in again
    merge_pieces(data, tmp_path / "f", 1, wave=True)
    lines = []
    for u in utterances:
        first = round(u.start * RATE)
        path = tmp_path / f"{u.id}.wav"
        soundfile.write(path, call[0][first : first + u.num_samples, u.channel], RATE)
        lines.append(f"{u.id} {path}\n")
    (tmp_path / "wav.scp").write_text("".join(lines))
    extract_piece(tmp_path / "wav.scp", tmp_path / "g", "1", settings)
    ours, cut = read_scp(data / "feats.scp"), read_scp(tmp_path / "g" / "raw_fbank.1.scp")
    assert list(ours) == list(cut)
    for key in ours:
        assert np.array_equal(read_matrix(ours[key]), read_matrix(cut[key]))
    waves = [(tmp_path / folder / "raw_wave.1.ark").read_bytes() for folder in "fg"]
    assert waves[0] == waves[1]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_span_has_the_samples_of_the_whole_file(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.random.default_rng(2).normal(0, 0.1, (3 * RATE, 2)), RATE)
    for channel in (None, 1):
        whole = read_audio(path, RATE, channel)
        for start, end in ((0.0, 0.7), (1.23, 2.5), (2.0, float("inf")), (2.0, 3.2)):
            found = read_audio(path, RATE, channel, (start, end))
            last = len(whole) if end > 3 else round(end * RATE)
            assert np.array_equal(found, whole[round(start * RATE) : last])
    for span in ((3.0, 3.1), (1.0, 3.6), (4.0, float("inf"))):
        with pytest.raises(AudioError, match=r"a\.\w+ has 3\.\d+ s, and a span of it lasts from"):
            read_audio(path, RATE, 0, span)
    with pytest.raises(AudioError, match="has 2 channels, counted from 0"):
        read_audio(path, RATE, 2, (0.0, 1.0))

"""A corpus of whole files: its manifests, Kaldi files and arks are known byte for byte."""

import gzip
import json

import numpy as np
import pytest

from sv.audio.files import read_audio, write_audio
from sv.data.audio_headers import read_headers
from sv.data.extraction import Settings, extract_piece
from sv.data.manifests import write_data_dir
from sv.data.merging import merge_pieces
from sv.data.utterance import AudioFile
from sv.features.filterbank import fbank
from sv.kaldi.arks import ArkWriter

FILES = {
    "wav.scp": "a CORPUS/a.wav\nb CORPUS/b.flac\n",
    "utt2spk": "a a\nb b\n",
    "spk2utt": "a a\nb b\n",
    "utt2dur": "a 0.5\nb 0.250063\n",
}
MONO = {"type": "file", "channels": [0]}
A = {
    "id": "a",
    "sources": [MONO | {"source": "CORPUS/a.wav"}],
    "sampling_rate": 16000,
    "num_samples": 8000,
    "duration": 0.5,
    "channel_ids": [0],
}
B = A | {
    "id": "b",
    "sources": [MONO | {"source": "CORPUS/b.flac"}],
    "num_samples": 4001,
    "duration": 0.2500625,
}


def _supervision(recording: dict) -> dict:
    name = recording["id"]
    start = {"id": name, "recording_id": name, "start": 0.0, "duration": recording["duration"]}
    return start | {"channel": 0, "speaker": name}


def _cut(recording: dict) -> dict:
    start = {"id": recording["id"], "start": 0.0, "duration": recording["duration"], "channel": 0}
    rest = {"supervisions": [_supervision(recording)], "recording": recording, "type": "MonoCut"}
    return start | rest


@pytest.fixture
def data(tmp_path):
    """A data directory of two files without features."""
    rng = np.random.default_rng(5)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, samples in (("a.wav", 8000), ("b.flac", 4001)):
        write_audio(corpus / name, rng.normal(0, 0.1, samples), 16000)
    files = [AudioFile("a.wav", "a", "anna"), AudioFile("b.flac", "b", "bert")]
    utterances, bad = read_headers(corpus, files)
    assert not bad
    write_data_dir(tmp_path / "data" / "train", utterances, labels_dir=tmp_path / "data" / "labels")
    return tmp_path / "data" / "train"


def test_the_files_of_a_directory(data, tmp_path):
    corpus = str(tmp_path / "corpus")
    manifests = ["cuts.jsonl.gz", "recordings.jsonl.gz", "supervisions.jsonl.gz"]
    assert sorted(path.name for path in data.iterdir()) == sorted([*FILES, *manifests])
    for name, text in FILES.items():
        assert (data / name).read_text() == text.replace("CORPUS", corpus)
    for name, make in zip(manifests, (_cut, dict, _supervision), strict=True):
        expected = "".join(json.dumps(make(item)) + "\n" for item in (A, B))
        with gzip.open(data / name, "rt") as handle:
            assert handle.read() == expected.replace("CORPUS", corpus)


def test_the_arks_of_a_directory(data, tmp_path):
    settings = Settings(wave=True)
    extract_piece(data / "wav.scp", tmp_path / "fbank", "1", settings)
    merge_pieces(data, tmp_path / "fbank", 1, wave=True)
    with (
        ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp", "CM2") as features,
        ArkWriter(tmp_path / "w.ark", tmp_path / "w.scp") as waves,
    ):
        for name, file in (("a", "a.wav"), ("b", "b.flac")):
            samples = read_audio(tmp_path / "corpus" / file)
            features.write(name, fbank(samples, 16000, 80))
            waves.write_waveform(name, samples, 16000)
    for ours, expected in (("raw_fbank.1.ark", "f.ark"), ("raw_wave.1.ark", "w.ark")):
        assert (tmp_path / "fbank" / ours).read_bytes() == (tmp_path / expected).read_bytes()
    assert (data / "utt2num_frames").read_text() == "a 48\nb 23\n"
    assert (data / "utt2num_samples").read_text() == "a 8000\nb 4001\n"
    stamp = json.loads((tmp_path / "fbank" / ".raw_fbank.1.done").read_text())
    # A piece made before this version of the toolkit is not made again.
    assert stamp["made_from"].split(" ", 1)[1] == "16000 80 CM2 wave v2"

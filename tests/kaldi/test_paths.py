"""Relative paths in every kind of scp, from the folder where they were written and from others."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from sv.audio.files import write_audio
from sv.bin.doctor import _cases
from sv.corpora.musan_rirs import read_clips
from sv.crops.banks import load_rooms
from sv.crops.index import TrainingIndex
from sv.crops.wave_index import WaveformIndex
from sv.data.fix import fix
from sv.data.kaldi_dirs import from_kaldi_dir
from sv.data.validate import validate
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter, load_vectors, read_matrix, read_paths

IDS = ["a", "b"]


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe folder whose files name each other as its stages do: relative to it."""
    folder = tmp_path / "egs" / "v1"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for number, key in enumerate(IDS):
        (folder / "audio").mkdir(exist_ok=True)
        samples = np.random.default_rng(number).uniform(-0.5, 0.5, 16000)
        write_audio(folder / "audio" / f"{key}.wav", samples, 16000)
    tables = {
        "wav.scp": "audio/{}.wav",
        "utt2spk": "{}",
        "spk2utt": "{}",
        "utt2dur": "1.0",
        "utt2num_frames": "98",
        "utt2num_samples": "16000",
        "utt2kind": "noise",
    }
    for place in ("data/test", "banks/rooms"):
        (folder / place).mkdir(parents=True)
        for name, value in tables.items():
            (folder / place / name).write_text("".join(f"{k} {value.format(k)}\n" for k in IDS))
        with (
            ArkWriter(f"fbank/{place}.ark", f"{place}/feats.scp") as feats,
            ArkWriter(f"fbank/{place}.wave.ark", f"{place}/wav_ark.scp") as waves,
            ArkWriter(f"exp/{place}.ark", f"exp/{place}.scp") as vectors,
        ):
            for key in IDS:
                feats.write(key, np.ones((98, 5)))
                waves.write_waveform(key, np.ones(16000, np.int16), 16000)
                vectors.write(key, np.arange(4.0))
    return folder


READERS = {
    "embeddings": lambda top: load_vectors(f"scp:{top}exp/data/test.scp")[0],
    "feats.scp": lambda top: _ids(TrainingIndex.load(f"{top}data/test")),
    "wav_ark.scp": lambda top: _ids(WaveformIndex.load(f"{top}data/test")),
    "rooms": lambda top: IDS[
        : len(read_paths(f"{top}banks/rooms/feats.scp") if load_rooms(f"{top}banks") else [])
    ],
    "Kaldi's wav.scp": lambda top: [u.id for u in from_kaldi_dir(f"{top}data/test")],
    "doctor": lambda top: [c.id for c in _cases(Path(top, "data/test")) if Path(c.path).exists()],
    "clips": lambda top: [c[0] for c in read_clips(f"{top}data/test") if c[2].exists()],
    "validate": lambda top: IDS if not _about_paths(f"{top}data/test") else [],
    "fix": lambda top: IDS if not any("missing" in text for text in fix(f"{top}data/test")) else [],
}


def _ids(index):
    starts = np.zeros(len(index), int)
    index.read_windows(np.arange(len(index)), starts, 10)  # opens the arks
    return index.ids(slice(None))


def _about_paths(folder):
    return [text for text in validate(folder) if "there is no such" in text]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("place", [".", "..", "../..", "data", "elsewhere"])
def test_every_reader_finds_relative_paths(recipe, monkeypatch, kind, place):
    (recipe.parent / "elsewhere").mkdir()
    target = recipe.parent / "elsewhere" if place == "elsewhere" else recipe / place
    monkeypatch.chdir(target)
    top = "" if place == "." else f"{recipe}/"
    assert READERS[kind](top) == IDS


def test_a_relative_path_to_nothing_names_the_cause(recipe, monkeypatch):
    (recipe / "exp/data/test.ark").unlink()
    monkeypatch.chdir(recipe.parent)
    with pytest.raises(InputError, match=r"test.ark does not exist, neither from .*write absolute"):
        load_vectors("scp:v1/exp/data/test.scp")
    monkeypatch.chdir(recipe)
    (recipe / "exp/data/x.scp").write_text("a /none/x.ark:2\n")
    with pytest.raises(InputError, match="x.ark does not exist; run the stage"):
        load_vectors("scp:exp/data/x.scp")


def test_one_missing_file_does_not_hide_the_others(recipe, monkeypatch):
    scp = recipe / "data/test/wav.scp"
    scp.write_text("0 audio/missing.wav\n" + scp.read_text())
    monkeypatch.chdir(recipe.parent)
    assert read_paths(scp)["a"] == str(recipe / "audio/a.wav")


def test_two_recipes_with_the_same_names_are_not_mixed_up(recipe, monkeypatch):
    other = recipe.parent / "v2"
    shutil.copytree(recipe, other)
    monkeypatch.chdir(other)
    with pytest.raises(InputError, match="names one file from the current folder.* and another"):
        load_vectors("scp:../v1/exp/data/test.scp")
    assert load_vectors("scp:exp/data/test.scp")[0] == IDS


def test_offsets_stay_and_absolute_paths_are_left(recipe, monkeypatch, tmp_path):
    absolute = tmp_path / "x.ark"
    with ArkWriter(absolute, recipe / "data/x.scp") as writer:
        writer.write("a", np.ones((2, 2)))
        writer.write("b", np.zeros((2, 2)))
    monkeypatch.chdir(tmp_path)
    table = read_paths(recipe / "data/x.scp")
    assert table["a"] == f"{absolute}:2"
    np.testing.assert_array_equal(read_matrix(table["b"]), np.zeros((2, 2)))

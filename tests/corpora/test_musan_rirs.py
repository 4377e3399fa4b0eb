"""MUSAN and RIRS_NOISES of the miniature tree, through lhotse, to banks."""

import shutil
import sys
from pathlib import Path

import pytest
from lhotse import RecordingSet

from sv.bin import make_banks
from sv.corpora.musan_rirs import Archive, fetch, prepare_musan, prepare_rirs, read_clips
from sv.crops.banks import load_noises, load_rooms
from sv.errors import InputError

sys.path.append(str(Path(__file__).resolve().parents[2] / "egs" / "voxceleb" / "local"))
import make_miniature


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a mini")
    make_miniature.write_musan(folder / "musan")
    make_miniature.write_rirs(folder / "RIRS_NOISES")
    return folder


@pytest.fixture
def corpora(made, tmp_path):
    shutil.copytree(made, tmp_path / "c")
    return tmp_path / "c"


def test_both_become_banks(corpora, tmp_path):
    musan, rirs = tmp_path / "data" / "musan", tmp_path / "data" / "rirs"
    assert prepare_musan(corpora / "musan", musan) == {"music": 2, "noise": 2, "speech": 2}
    assert prepare_rirs(corpora / "RIRS_NOISES", rirs) == {"sim_rir": 6}
    assert len(RecordingSet.from_file(musan / "musan_recordings_speech.jsonl.gz")) == 2
    words = ["--noise", str(musan), "--rir", str(rirs), "--num-mel-bins", "40"]
    make_banks.main([*words, "--out", str(tmp_path / "banks")])
    noises, rooms = load_noises(tmp_path / "banks"), load_rooms(tmp_path / "banks")
    assert {kind: len(rows) for kind, rows in noises.rows.items()} == {
        "noise": 2,
        "music": 2,
        "speech": 2,
    }
    assert noises.index.ids(int(noises.rows["speech"][0])) == "speech-librivox-speech-librivox-0000"
    assert rooms.decays.shape == (6, 50, 40)


def test_a_musan_without_speech(corpora, tmp_path):
    shutil.rmtree(corpora / "musan" / "speech")
    with pytest.raises(InputError, match="no wav files in speech .*folders music, noise.*--babble"):
        prepare_musan(corpora / "musan", tmp_path / "m")
    assert not (tmp_path / "m").exists()
    assert prepare_musan(corpora / "musan", tmp_path / "m", babble="training") == {
        "music": 2,
        "noise": 2,
    }
    assert {kind for _, kind, _ in read_clips(tmp_path / "m")} == {"music", "noise"}


def test_a_musan_without_more_than_speech_is_no_musan(corpora, tmp_path):
    shutil.rmtree(corpora / "musan" / "speech")
    shutil.rmtree(corpora / "musan" / "music")
    for babble in ("musan", "training"):
        with pytest.raises(InputError, match="no wav files in music.*as it was unpacked$"):
            prepare_musan(corpora / "musan", tmp_path / "m", babble=babble)
    with pytest.raises(InputError, match="there is no such folder; check --musan"):
        prepare_musan(corpora / "none", tmp_path / "m")


def test_a_damaged_file_is_a_sentence_and_leaves_the_former_list(corpora, tmp_path):
    prepare_musan(corpora / "musan", tmp_path / "m")
    next((corpora / "musan" / "noise").rglob("*.wav")).write_text("no audio")
    with pytest.raises(InputError, match="lhotse cannot describe it"):
        prepare_musan(corpora / "musan", tmp_path / "m")
    assert len(read_clips(tmp_path / "m")) == 6


def test_rooms_are_taken_evenly_and_all_sizes_must_be_there(corpora, tmp_path):
    prepare_rirs(corpora / "RIRS_NOISES", tmp_path / "r", max_rooms=3)
    names = [name for name, _, _ in read_clips(tmp_path / "r")]
    assert [name.split("-")[1] for name in names] == ["largeroom", "mediumroom", "smallroom"]
    shutil.rmtree(corpora / "RIRS_NOISES" / "simulated_rirs" / "mediumroom")
    with pytest.raises(InputError, match="no wav files in simulated_rirs/mediumroom"):
        prepare_rirs(corpora / "RIRS_NOISES", tmp_path / "r")
    with pytest.raises(InputError, match="known are sim_rir, real_rir"):
        prepare_rirs(corpora / "RIRS_NOISES", tmp_path / "r", parts=["rooms"])


def test_fetching_looks_at_the_checksum_and_leaves_what_is_there(corpora, tmp_path):
    archive = Archive("https://nowhere.invalid/musan.tar.gz", "md5:0", "musan", "1 GB")
    fetch(archive, corpora / "musan")
    (tmp_path / "musan.tar.gz").write_bytes(b"not it")
    with pytest.raises(InputError, match="is not the published file"):
        fetch(archive, tmp_path / "new")
    assert not (tmp_path / "new").exists()

"""Reading audio: right values, and a plain sentence for each kind of bad file."""

import logging
import os

import numpy as np
import pytest
import soundfile

from sv.audio import files
from sv.audio.files import audio_info, read_audio, resample, write_audio
from sv.data.audio_headers import read_header
from sv.errors import InputError

RATE = 16000


def tone(seconds: float = 1.0, rate: int = RATE, hz: float = 440.0) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples[1000:-1000] ** 2)))


@pytest.fixture(autouse=True)
def nothing_said():
    files._said.clear()


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
def test_written_16_bit_samples_come_back_exactly(tmp_path, suffix):
    samples = np.array([0, 1, -1, 32767, -32768, 12345], np.float32) / 32768
    path = tmp_path / f"with space{suffix}"
    write_audio(path, samples, RATE)
    back = read_audio(path)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, samples)
    assert audio_info(path) == (RATE, 1, 6)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("name", "form", "subtype", "tolerance"),
    [
        ("a.wav", "WAV", "PCM_U8", 0.01),
        ("a.wav", "WAV", "PCM_24", 1e-6),
        ("a.wav", "WAV", "FLOAT", 1e-7),
        ("a.wav", "WAV", "DOUBLE", 1e-7),
        ("a.wav", "WAV", "ULAW", 0.02),
        ("a.flac", "FLAC", "PCM_24", 1e-6),
        ("a.sph", "NIST", "PCM_16", 1e-4),
        ("a.ogg", "OGG", "VORBIS", 0.05),
        ("a.opus", "OGG", "OPUS", 0.1),
        ("a.mp3", "MP3", "MPEG_LAYER_III", 0.1),
    ],
)
def test_formats(tmp_path, name, form, subtype, tolerance):
    samples = tone()
    soundfile.write(tmp_path / name, samples, RATE, format=form, subtype=subtype)
    back = read_audio(tmp_path / name)
    assert back.dtype == np.float32
    assert abs(len(back) - len(samples)) <= 2400  # MP3 may keep the coder's run-in
    assert abs(level(back) - level(samples)) < tolerance
    if tolerance <= 1e-2:
        np.testing.assert_allclose(back, samples, atol=tolerance)


def test_stereo_is_averaged_and_said_once(tmp_path, caplog):
    left, right = tone(hz=300), tone(hz=700)
    for number in range(2):
        soundfile.write(tmp_path / f"{number}.wav", np.stack([left, right], 1), RATE)
    with caplog.at_level(logging.WARNING):
        samples = read_audio(tmp_path / "0.wav")
        read_audio(tmp_path / "1.wav")
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-4)
    assert len(caplog.messages) == 1
    assert "0.wav has 2 channels" in caplog.text


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_rates_are_resampled_and_said_once(tmp_path, caplog, rate):
    for number in range(2):
        write_audio(tmp_path / f"{number}.wav", tone(rate=rate, hz=1000), rate)
    with caplog.at_level(logging.WARNING):
        samples = read_audio(tmp_path / "0.wav")
        read_audio(tmp_path / "1.wav")
    assert len(samples) == RATE
    np.testing.assert_allclose(samples[1000:-1000], tone(hz=1000)[1000:-1000], atol=5e-3)
    assert len(caplog.messages) == 1
    assert f"{rate} Hz" in caplog.text
    assert "16000 Hz" in caplog.text
    assert audio_info(tmp_path / "0.wav") == (rate, 1, rate)


def test_what_the_new_rate_cannot_hold_is_removed():
    assert level(resample(tone(rate=44100, hz=12000), 44100, 16000)) < 0.01 * level(tone())


def refusal(path) -> str:
    with pytest.raises(InputError) as caught:
        read_audio(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def test_missing(tmp_path):
    assert "does not exist" in refusal(tmp_path / "a.wav")
    with pytest.raises(InputError, match="does not exist"):
        audio_info(tmp_path / "a.wav")


def test_folder(tmp_path):
    assert "is a folder" in refusal(tmp_path)


def test_text_named_wav(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("this is no audio\n" * 100)
    assert "cannot be read as audio" in refusal(path)


def test_a_format_that_is_not_read(tmp_path):
    path = tmp_path / "a.M4A"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(4000))
    assert "convert it by 'ffmpeg -i in.m4a -ar 16000 -ac 1 out.flac'" in refusal(path)


def test_float_samples_of_16_bit_scale(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone() * 32768, RATE, subtype="FLOAT")
    assert "floating-point samples up to 9,830, not in [-1, 1]" in refusal(path)
    assert "sox -v" in refusal(path)


def test_headerless(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(4000))
    assert "cannot be read as audio" in refusal(path)


def test_empty_file(tmp_path):
    path = tmp_path / "a.flac"
    path.touch()
    assert "empty (0 bytes)" in refusal(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = tmp_path / "a.wav"
    write_audio(path, tone(), RATE)
    path.chmod(0)
    assert "permission denied" in refusal(path)


def test_no_samples(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0, np.float32), RATE)
    assert "no samples" in refusal(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number(tmp_path, bad):
    samples = tone()
    samples[77] = bad
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    assert "NaN" in refusal(path)


@pytest.mark.parametrize("kept", [0.03, 0.5, 0.98])
@pytest.mark.parametrize(
    ("name", "form", "subtype"),
    [
        ("a.wav", "WAV", "PCM_16"),
        ("a.wav", "WAV", "FLOAT"),
        ("a.wav", "WAV", "PCM_24"),
        ("a.flac", "FLAC", "PCM_16"),
        ("a.ogg", "OGG", "VORBIS"),
        ("a.opus", "OGG", "OPUS"),
        ("a.mp3", "MP3", "MPEG_LAYER_III"),
    ],
)
def test_cut_off(tmp_path, name, form, subtype, kept):
    samples = tone(4.0) + 0.05 * np.random.default_rng(0).standard_normal(4 * RATE)
    path = tmp_path / name
    soundfile.write(path, samples, RATE, format=form, subtype=subtype)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    sentence = refusal(path)
    assert "cut off" in sentence or "cannot be read as audio" in sentence


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFFF])
def test_wav_written_to_a_pipe_is_not_cut_off(tmp_path, size):
    """Such writers cannot go back to fill in the sizes."""
    path = tmp_path / "a.wav"
    write_audio(path, tone(), RATE)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = size.to_bytes(4, "little")
    path.write_bytes(content)
    np.testing.assert_allclose(read_audio(path), tone(), atol=1e-4)


def test_flac_written_to_a_pipe_has_no_length(tmp_path):
    """It is valid, but libsndfile cannot seek in it: said plainly, by both stages that look."""
    path = tmp_path / "a.flac"
    write_audio(path, tone(), RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # 36 bits of STREAMINFO: the number of samples, 0 for unknown
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert "does not say how long it is" in refusal(path)
    assert "flac in.flac -o out.flac" in refusal(path)
    with pytest.raises(ValueError, match="does not say how long it is"):
        read_header(path)


def test_writing_clips_and_refuses(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([2.0, -2.0]), RATE)
    np.testing.assert_array_equal(
        read_audio(tmp_path / "a.wav"), np.array([32767, -32768], np.float32) / 32768
    )
    with pytest.raises(InputError, match="NaN"):
        write_audio(tmp_path / "b.wav", np.array([np.nan]), RATE)
    with pytest.raises(InputError, match="choose one"):
        write_audio(tmp_path / "b.mp3", tone(), RATE)
    assert [file.name for file in tmp_path.iterdir()] == ["a.wav"]

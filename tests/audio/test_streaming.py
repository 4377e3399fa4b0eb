import numpy as np
import pytest
import soundfile

from sv.audio import streaming
from sv.audio.files import read_audio, resample
from sv.audio.streaming import resample_blocks, stream_audio
from sv.errors import AudioError, Cancelling, Truncated


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(streaming, "BLOCK", 4001)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
def test_resampled_blocks_are_the_resampled_whole(rate):
    whole = np.random.default_rng(0).standard_normal(20_011).astype(np.float32)
    for size in (311, 7000, 20_011):
        pieces = (whole[at : at + size] for at in range(0, len(whole), size))
        found = np.concatenate(list(resample_blocks(pieces, rate, 16000)))
        np.testing.assert_array_equal(found, resample(whole, rate, 16000))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize(("rate", "channel"), [(16000, None), (44100, 1)])
def test_a_stream_gives_the_samples_of_a_file(tmp_path, name, rate, channel):
    samples = 0.1 * np.random.default_rng(1).standard_normal((20_000, 2)).cumsum(0) / 30
    soundfile.write(tmp_path / name, samples, rate)
    pieces = list(stream_audio(tmp_path / name, 16000, channel))
    assert len(pieces) > 1
    whole = read_audio(tmp_path / name, 16000, channel)
    # An MP3 that is decoded in other blocks differs in the last bits.
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)


def test_what_is_wrong_at_the_end_is_found(tmp_path):
    noise = 0.1 * np.random.default_rng(1).standard_normal(20_000)
    soundfile.write(tmp_path / "two.wav", np.stack([noise, -noise], 1), 16000)
    with pytest.raises(Cancelling, match=r"two\.wav has 2 channels that cancel"):
        list(stream_audio(tmp_path / "two.wav"))
    soundfile.write(tmp_path / "a.flac", noise, 16000)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    with pytest.raises(Truncated, match=r"a\.flac"):
        list(stream_audio(tmp_path / "a.flac"))
    soundfile.write(tmp_path / "empty.wav", noise[:0], 16000)
    with pytest.raises(AudioError, match="no samples"):
        list(stream_audio(tmp_path / "empty.wav"))
    noise[15_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", noise, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match="no numbers"):
        list(stream_audio(tmp_path / "nan.wav"))

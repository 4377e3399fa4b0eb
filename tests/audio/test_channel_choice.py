"""Several channels to one: the mean, a choice, and what is said of both."""

import numpy as np
import pytest
import soundfile

from sv.audio.channel_choice import to_mono, unlike
from sv.audio.files import read_audio
from sv.audio.problems import examine
from sv.errors import Cancelling, InputError

RNG = np.random.default_rng(0)
ONE, TWO, THREE = RNG.normal(0, 0.1, (3, 16000)).astype(np.float32)


def stack(*channels):
    return np.stack(channels, 1).astype(np.float32)


@pytest.mark.parametrize(
    "channels",
    [
        (ONE, -ONE),
        (ONE, -0.9 * ONE),
        (ONE + 0.3, -ONE + 0.3),  # an offset hides it from the ear only
        (ONE, -ONE, TWO, -TWO),
        (-1.1 * ONE, ONE + 0.05 * TWO),
    ],
)
def test_channels_that_cancel(channels):
    for samples in (stack(*channels), (stack(*channels) * 20000).astype(np.int16)):
        with pytest.raises(Cancelling, match=r"cancel each other.*--channel \d"):
            to_mono(samples)
        assert np.var(to_mono(samples, 1)) > 0


@pytest.mark.parametrize(
    "channels",
    [
        (ONE, TWO),
        (ONE, ONE),
        (ONE, 0 * ONE),
        (ONE, 0.5 * ONE),
        (ONE, TWO, THREE),
        (ONE, -0.3 * ONE),
    ],
)
def test_channels_that_do_not(channels):
    np.testing.assert_allclose(to_mono(stack(*channels)), np.mean(channels, 0), atol=1e-6)


def test_silent_channels_are_no_case_of_it():
    assert not to_mono(np.zeros((100, 2), np.float32)).any()
    assert unlike(np.zeros((100, 2), np.float32)) is None
    assert unlike(np.zeros((0, 2), np.int16)) is None


def test_the_choice_of_a_channel():
    both = stack(ONE, TWO, THREE)
    for number, wanted in enumerate((ONE, TWO, THREE)):
        np.testing.assert_array_equal(to_mono(both, number), wanted)
    np.testing.assert_array_equal(to_mono(ONE, 0), ONE)
    np.testing.assert_array_equal(to_mono(ONE, -1), ONE)
    for samples, channel in ((both, 3), (both, -1), (both, -2), (ONE, 1)):
        with pytest.raises(InputError, match=f"--channel {channel}"):
            to_mono(samples, channel)


def test_channels_that_differ():
    assert "correlation" in unlike(stack(ONE, TWO))
    assert "correlation" in unlike(stack(ONE, ONE, TWO))
    for channels in ((ONE, ONE), (ONE, 0.2 * ONE), (ONE, ONE + 0.5 * TWO), (ONE, 1e-4 * TWO)):
        assert unlike(stack(*channels)) is None
    assert unlike(ONE) is None


def test_a_file(tmp_path, caplog):
    path = tmp_path / "a.wav"
    soundfile.write(path, stack(ONE, -ONE), 16000, subtype="FLOAT")
    with pytest.raises(Cancelling, match=r"a\.wav has 2 channels that cancel"):
        read_audio(path)
    np.testing.assert_array_equal(read_audio(path, 16000, 0), ONE)
    assert "cancel" in examine(path) and examine(path, 16000, 1) is None
    soundfile.write(path, stack(ONE, TWO), 16000, subtype="FLOAT")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sv.audio.files._said", set())
        read_audio(path)
    assert "differ (correlation" in caplog.text

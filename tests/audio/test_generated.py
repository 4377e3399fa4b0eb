import numpy as np
import pytest

from sv.audio.generated import generate_noise, generate_room_response
from sv.errors import InputError


@pytest.mark.parametrize("kind", ["noise", "music", "babble"])
def test_clips_have_their_length_and_come_from_the_generator_alone(kind):
    clips = [generate_noise(kind, 1.5, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert {(clip.shape, clip.dtype) for clip in clips} == {((24000,), np.dtype(np.float32))}
    assert np.array_equal(clips[0], clips[1])
    assert not np.array_equal(clips[0], clips[2])
    assert np.abs(clips[0]).max() == pytest.approx(0.9)
    assert clips[0].std() > 0.01


def flatness(clip):
    power = np.abs(np.fft.rfft(clip)) ** 2 + 1e-9
    return np.exp(np.mean(np.log(power))) / np.mean(power)


def test_music_is_tonal_and_noise_is_not():
    kinds = {
        kind: np.median(
            [flatness(generate_noise(kind, 2.0, np.random.default_rng(i))) for i in range(8)]
        )
        for kind in ("music", "noise")
    }
    assert kinds["noise"] > 5 * kinds["music"]


def test_babble_has_syllables():
    clip = generate_noise("babble", 4.0, np.random.default_rng(0))
    frames = clip.reshape(-1, 800).std(axis=1)
    assert frames.std() > 0.2 * frames.mean()


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_empty_clips_are_refused(seconds):
    with pytest.raises(InputError, match="too short"):
        generate_noise("noise", seconds, np.random.default_rng(0))


def test_an_unknown_kind_is_named_with_the_known_ones():
    with pytest.raises(InputError, match="'rain' is unknown; use one of noise, music, babble"):
        generate_noise("rain", 1.0, np.random.default_rng(0))


def test_room_responses_start_with_the_direct_path_and_differ():
    first, second = (generate_room_response(np.random.default_rng(seed)) for seed in (0, 1))
    assert first[0] == second[0] == 1.0
    assert first.dtype == np.float32
    assert 0.05 * 16000 < len(first) <= 0.6 * 16000
    assert not np.array_equal(first[:800], second[:800])

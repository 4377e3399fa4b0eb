"""Hard sessions: drawn from a name, of all families, and of none that augmentation draws."""

import ast
import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest

import sv
from sv.corpora import hard_sessions as hard
from sv.features.augment import AugmentConfig

ROOT = Path(sv.__file__).parent
AUGMENTATION = (
    "audio/generated.py",
    "crops/banks.py",
    "crops/plan.py",
    "crops/noises.py",
    "bin/make_banks.py",
    "corpora/musan_rirs.py",
    "features/augment.py",
    "features/augment_wave.py",
    "features/mixing.py",
)


def voice(seconds=0.6, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(int(16000 * seconds)) / 16000
    tone = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 30))
    return 0.05 * tone * np.abs(np.sin(9 * time)) + 0.001 * rng.standard_normal(len(time))


def recorded(name, samples):
    session = hard.draw_session(hard.generator_of(name))
    return hard.record(samples, session, hard.generator_of(f"packets {name}"))


def test_no_family_is_part_of_augmentation():
    """Augmentation has its settings and its banks; neither knows a family, nor its module."""
    words = {"distance", "equal", "compress", "distort", "clip", "sampl", "codec", "packet"}
    words |= {"rate", "pitch", "effort", "tilt"}
    settings = [field.name for field in dataclasses.fields(AugmentConfig)]
    assert not [name for name in settings if any(word in name for word in words)]
    assert AugmentConfig().speeds == [1.0]  # a speed would change rate and pitch
    for name in AUGMENTATION:
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        found = {
            f"{getattr(node, 'module', '') or ''}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not [one for one in found if "distortions" in one or "hard_sessions" in one], name


def test_every_family_is_drawn_and_changes_what_is_recorded():
    samples = voice()
    neutral = hard.HardSession(
        metres=0.3, height=0.2, equaliser=(0.0,) * 8, threshold=0.0, ratio=1.0, seconds=0.1,
        drive=0.0, clipped=0.0, rate=16000, codec="none", level=0.0, lost=0.0, burst=1.0,
    )  # fmt: skip
    changes = {
        "distance": {"metres": 1.5},
        "equaliser": {"equaliser": (9.0, -9.0) * 4},
        "compression": {"ratio": 6.0, "threshold": -12.0},
        "distortion": {"drive": 3.0},
        "clipping": {"clipped": 0.03},
        "resampling": {"rate": 8000},
        "codec": {"codec": "gsm", "rate": 8000},
        "packet loss": {"lost": 0.2},
    }
    assert tuple(changes) == hard.FAMILIES

    def heard(session):
        return hard.record(samples, session, np.random.default_rng(0))

    for family, change in changes.items():
        other = heard(dataclasses.replace(neutral, **change))
        assert np.abs(other - heard(neutral)).max() > 1e-3, family
    drawn = [hard.draw_session(hard.generator_of(str(number))) for number in range(300)]
    for name in ("ratio", "drive", "clipped", "codec", "lost"):
        absent = getattr(neutral, name)
        assert 30 < sum(getattr(one, name) != absent for one in drawn) < 290, name
    assert {one.codec for one in drawn} == {"none", *hard.distortions.CODECS}
    assert {one.rate for one in drawn} == set(hard.RATES)


def test_a_session_is_a_function_of_its_name():
    samples = voice()
    one, again, other = (recorded(name, samples) for name in ("a/s1", "a/s1", "a/s2"))
    assert np.array_equal(one, again) and not np.allclose(one, other, atol=1e-3)
    assert hard.draw_session(hard.generator_of("a")) != hard.draw_session(hard.generator_of("a", 1))


def test_length_and_level_stay():
    for number in range(30):
        samples = voice(0.3 + 0.01 * number, number)
        out = recorded(str(number), samples)
        assert len(out) == len(samples) and np.isfinite(out).all() and np.abs(out).max() <= 0.981
        assert np.sqrt(np.mean(out**2) / np.mean(samples**2)) == pytest.approx(1.0, abs=0.2)
    silence = np.zeros(800)
    assert np.array_equal(recorded("x", silence), silence)


def test_speakers_speak_differently_from_session_to_session():
    drawn = [hard.draw_speaking(hard.generator_of(str(number))) for number in range(400)]
    assert tuple(inspect.signature(hard.Speaking).parameters) == ("rate", "pitch", "pitch_range",
        "effort")  # fmt: skip
    for name, centre, deviation in (("rate", 1, 0.12), ("pitch", 1, 0.08), ("effort", 0, 1.5)):
        values = np.array([getattr(one, name) for one in drawn])
        assert abs(values.mean() - centre) < 0.15 and abs(values.std() / deviation - 1) < 0.2

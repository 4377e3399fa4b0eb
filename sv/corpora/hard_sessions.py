"""Recording sessions that augmentation does not imitate: another device, line and way of speaking.

Augmentation draws rooms, noise, music and babble. If the sessions of a speaker differ in these
alone, augmentation makes the sessions irrelevant, and no method can gain by positives from other
sessions. Here a session is one draw of each of the families below. A test fixes that no family is
part of augmentation.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from sv.audio import distortions
from sv.audio.channels import SAMPLE_RATE

FAMILIES = (
    "distance",
    "equaliser",
    "compression",
    "distortion",
    "clipping",
    "resampling",
    "codec",
    "packet loss",
)
"""What a hard session draws, in the order in which speech passes through it."""
SPEAKING = ("rate", "pitch", "pitch range", "effort")
"""What a hard session changes in a synthetic speaker; it cannot be changed in a recorded one."""

CENTRES = np.geomspace(110.0, 7000.0, 8)  # Hz, of the equaliser
RANGE = 10.0  # dB, up and down
RATES = (8000, 11025, 12000, 16000)


@dataclass(frozen=True)
class HardSession:
    """The device and the line of a session. A family that is not used has its neutral value."""

    metres: float
    height: float  # of the microphone above a table, metres
    equaliser: tuple[float, ...]  # dB at CENTRES
    threshold: float  # dB above the mean level
    ratio: float  # of the compressor; 1: none
    seconds: float  # of its level; above 0.5 an automatic gain control
    drive: float  # of soft distortion; 0: none
    clipped: float  # share of the samples; 0: none
    rate: int  # Hz, between device and codec
    codec: str  # "none" or one of ``sv.audio.distortions.CODECS``
    level: float  # of the codec, 0 best to 1 worst
    lost: float  # share of packets; 0: none
    burst: float  # packets lost in a row, mean

    def describe(self) -> str:
        """Return the session as one cell of a table."""
        curve = ",".join(f"{gain:+.1f}" for gain in self.equaliser)
        return (
            f"{self.metres} m, equaliser {curve} dB, ratio {self.ratio} over {self.seconds} s, "
            f"drive {self.drive}, clipped {self.clipped}, {self.codec} {self.level} at "
            f"{self.rate} Hz, lost {self.lost}"
        )


@dataclass(frozen=True)
class Speaking:
    """How a synthetic speaker speaks in a session: factors of rate, pitch and pitch range, effort.

    ``effort`` is in dB per octave above 200 Hz: a louder voice has more treble.
    """

    rate: float
    pitch: float
    pitch_range: float
    effort: float


def generator_of(name: str, seed: int = 0) -> np.random.Generator:
    """Return the random generator of one session; its name and the seed determine it."""
    return np.random.default_rng(list(hashlib.sha256(f"hard {seed} {name}".encode()).digest()))


def draw_session(rng: np.random.Generator) -> HardSession:
    """Draw a session. Every family has a range, and most can also be absent."""

    def sometimes(probability: float, low: float, high: float, absent: float = 0.0) -> float:
        used, value = rng.random() < probability, rng.uniform(low, high)
        return round(float(value), 4) if used else absent

    metres = round(float(np.exp(rng.uniform(np.log(0.05), np.log(2.0)))), 3)
    height = round(float(rng.uniform(0.05, 0.4)), 3)
    curve = tuple(round(float(gain), 2) for gain in rng.uniform(-RANGE, RANGE, len(CENTRES)))
    codec = str(rng.choice(["none", *distortions.CODECS]))
    rates = RATES if codec == "none" else distortions.CODECS[codec][2]
    return HardSession(
        metres=metres,
        height=height,
        equaliser=curve,
        ratio=sometimes(0.7, 1.5, 8.0, absent=1.0),
        threshold=round(float(rng.uniform(-12.0, 3.0)), 2),
        seconds=round(float(np.exp(rng.uniform(np.log(0.01), np.log(1.0)))), 4),
        drive=sometimes(0.5, 0.5, 4.0),
        clipped=sometimes(0.3, 0.001, 0.03),
        rate=int(rng.choice(rates)),
        codec=codec,
        level=round(float(rng.random()), 3),
        lost=sometimes(0.3, 0.01, 0.08),
        burst=round(float(rng.uniform(1.0, 3.0)), 2),
    )


def draw_speaking(rng: np.random.Generator) -> Speaking:
    """Draw how a speaker speaks in a session: about as different as calm and excited speech."""
    rate, pitch, spread = np.exp(np.array([0.12, 0.08, 0.25]) * rng.standard_normal(3))
    effort = 1.5 * rng.standard_normal()
    return Speaking(*(round(float(value), 4) for value in (rate, pitch, spread, effort)))


def record(samples: np.ndarray, session: HardSession, rng: np.random.Generator) -> np.ndarray:
    """Return speech (samples,) at 16 kHz as the session records it: same length, same level.

    ``rng`` draws which packets are lost.
    """
    power = float(np.mean(samples**2))
    if power == 0.0:
        return samples
    far, curve = distortions.distance(session.metres, session.height), session.equaliser
    tone = distortions.equaliser(CENTRES, np.array(curve))
    heard = distortions.filter_by(samples, SAMPLE_RATE, lambda hertz: far(hertz) * tone(hertz))
    if session.ratio > 1:
        form = (session.threshold, session.ratio, session.seconds)
        heard = distortions.compress(heard, SAMPLE_RATE, *form)
    if session.drive:
        heard = distortions.saturate(heard, session.drive)
    if session.clipped:
        heard = distortions.clip(heard, session.clipped)
    heard = distortions.resample(heard, SAMPLE_RATE, session.rate)
    if session.codec != "none":
        heard = distortions.code(heard, session.rate, session.codec, session.level)
    if session.lost:
        heard = distortions.lose_packets(heard, session.rate, session.lost, session.burst, rng)
    heard = distortions.resample(heard, session.rate, SAMPLE_RATE)[: len(samples)]
    heard = np.pad(heard, (0, len(samples) - len(heard)))
    heard = heard * np.sqrt(power / max(float(np.mean(heard**2)), 1e-12))
    return heard * min(1.0, 0.98 / max(float(np.abs(heard).max()), 1e-9))

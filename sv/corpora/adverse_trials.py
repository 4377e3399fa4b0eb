"""Adverse trials: another person speaks over the test side, or over both sides.

The list, the true speakers and a seed determine the interferers. They are the same at every level,
so lists at 10, 5 and 0 dB differ in the level only. True speakers must be read: if the interferer
were one of the trial's own two speakers, the trial would ask another question. Trials are scoring
data; training sees nothing of them.
"""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sv.audio.files import read_audio, write_audio
from sv.data.utterance import Trial, Utterance
from sv.errors import InputError

Sides = Literal["test", "both"]


@dataclass(frozen=True)
class Mixture:
    """One utterance with another person over it: ids of the new one and of its parts."""

    id: str
    target: str
    interferer: str


@dataclass(frozen=True)
class AdversePlan:
    """Trials of mixtures, and the mixtures that they need."""

    trials: list[Trial]
    mixtures: list[Mixture]


def plan(
    trials: Sequence[Trial], speakers: Mapping[str, str], *, sides: Sides = "test", seed: int = 0
) -> AdversePlan:
    """Draw an interferer for each utterance of the test side, or of both.

    trials: (label, enrol id, test id). speakers: id → true speaker, of at least the utterances
    in the trials; interferers are drawn from all of them. An interferer's speaker is neither
    speaker of any trial with that mixture, and on both sides not the other side's interferer
    either; where no speaker is left for all trials of an utterance, it is mixed more than once.

    Raises:
        InputError: an utterance without a speaker, or too few speakers to choose from.
    """
    unknown = [name for _, *pair in trials for name in pair if name not in speakers]
    if unknown:
        raise InputError(
            f"the trials name {unknown[0]}, whose speaker is not known: adverse trials need true "
            "speakers (data/labels/<set>/utt2spk), to draw somebody else"
        )
    spoken = defaultdict(list)
    for name in sorted(speakers):
        spoken[speakers[name]].append(name)
    met = defaultdict(set)  # whom an utterance meets in its trials, on the sides that are mixed
    for _, enrol, test in trials:
        for name in (enrol, test) if sides == "both" else (test,):
            met[name] |= {speakers[enrol], speakers[test]}
    made: dict[str, list[Mixture]] = defaultdict(list)

    def mixed(name: str, excluded: set[str]) -> Mixture:
        for mixture in made[name]:
            if speakers[mixture.interferer] not in excluded:
                return mixture
        free = sorted(spoken.keys() - met[name] - excluded) or sorted(spoken.keys() - excluded)
        if not free:
            raise InputError(
                f"only {len(spoken)} speakers: nobody is left to speak over {name}; adverse trials "
                f"need {4 if sides == 'both' else 3} or more"
            )
        new_id = f"{name}-mix{len(made[name]) + 1}"
        rng = generator(seed, new_id)
        theirs = spoken[free[rng.integers(len(free))]]
        made[name].append(Mixture(new_id, name, theirs[rng.integers(len(theirs))]))
        return made[name][-1]

    result = []
    for label, enrol, test in trials:
        involved = {speakers[enrol], speakers[test]}
        if sides == "both":
            first = mixed(enrol, involved)
            enrol, involved = first.id, involved | {speakers[first.interferer]}
        result.append((label, enrol, mixed(test, involved).id))
    return AdversePlan(result, [mixture for each in made.values() for mixture in each])


def generator(seed: int, name: str) -> np.random.Generator:
    """Return random numbers that belong to a name."""
    return np.random.default_rng(list(hashlib.sha256(f"{seed} {name}".encode()).digest()))


def speak_over(
    target: np.ndarray, interferer: np.ndarray, snr: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the target (samples,) with the interferer over all of it, at ``snr`` dB.

    The interferer begins at a random place and is repeated where it is too short. Powers are about
    the mean, over the whole utterance. A sum beyond full scale is made softer as a whole.

    Waveforms are mixed, not features: a real recording has the cross term that mel power leaves
    out.
    """
    start = int(rng.integers(len(interferer)))
    other = np.take(interferer, np.arange(start, start + len(target)), mode="wrap")
    other = other - other.mean()
    gain = np.sqrt(np.var(target) / max(np.var(other), 1e-12)) * 10.0 ** (-snr / 20.0)
    mixture = target + np.float32(gain) * other
    return (mixture / max(1.0, float(np.abs(mixture).max()) / 0.99)).astype(np.float32)


def write_mixture(
    mixture: Mixture, sources: Mapping[str, Utterance], out: Path, snr: float, seed: int
) -> Utterance:
    """Write the audio of one mixture in ``out`` as FLAC, and return what it is.

    The speaker and session are the target's.
    """
    target = sources[mixture.target]
    rate = target.sample_rate
    parts = (read_audio(sources[name].path, rate) for name in (mixture.target, mixture.interferer))
    path = out / f"{mixture.id}.flac"
    samples = speak_over(*parts, snr, generator(seed, f"{mixture.id} place"))
    write_audio(path, samples, rate)
    return dataclasses.replace(
        target,
        id=mixture.id,
        path=str(path.absolute()),
        num_samples=len(samples),
        duration=len(samples) / rate,
        channels=1,
    )

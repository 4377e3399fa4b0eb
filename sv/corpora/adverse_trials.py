"""Adverse trials: another person speaks over the test side, or over both sides.

The list, the true speakers and a seed determine the interferers. They are the same at every level,
so lists at 10, 5 and 0 dB differ in the level only. The true speakers are needed, because an
interferer must be neither speaker of the trial. Trials are scoring data; training does not see
them.
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
    """An utterance with another person over it: ids of the mixture, the target, the interferer."""

    id: str
    target: str
    interferer: str


@dataclass(frozen=True)
class AdversePlan:
    """Trials between mixtures, and the mixtures that they need."""

    trials: list[Trial]
    mixtures: list[Mixture]


def plan(
    trials: Sequence[Trial], speakers: Mapping[str, str], *, sides: Sides = "test", seed: int = 0
) -> AdversePlan:
    """Draw an interferer for each utterance of the test side, or of both.

    trials: (label, enrol id, test id). speakers: id → true speaker, for the utterances in the
    trials and perhaps more; interferers are drawn from all of them. The speaker of an interferer is
    neither speaker of any trial with its mixture. If both sides are mixed, it is not the
    interferer's speaker of the other side either. If no speaker fits all trials of an utterance,
    the utterance gets several mixtures.

    Raises:
        InputError: an utterance has no speaker, or there are too few speakers.
    """
    unknown = [name for _, *pair in trials for name in pair if name not in speakers]
    if unknown:
        raise InputError(
            f"the trials name {unknown[0]}, whose speaker is not known: adverse trials need true "
            "speakers (data/labels/<set>/utt2spk), to draw another person"
        )
    spoken = defaultdict(list)
    for name in sorted(speakers):
        spoken[speakers[name]].append(name)
    met = defaultdict(set)  # speakers that an utterance on a mixed side meets in its trials
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
    """Return a random generator that the seed and the name determine."""
    return np.random.default_rng(list(hashlib.sha256(f"{seed} {name}".encode()).digest()))


def speak_over(
    target: np.ndarray, interferer: np.ndarray, snr: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the target (samples,) with the interferer over all of it, at ``snr`` dB.

    The interferer begins at a random place, and is repeated if it is too short. Powers are
    variances over the whole utterance. If the sum exceeds full scale, all of it is scaled down.

    Waveforms are mixed, not features, because mel powers lack the cross term of a real recording.
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
    """Write the audio of one mixture into the folder ``out`` as FLAC; return it as an utterance.

    Its speaker and session are those of the target. ``snr`` in dB.
    """
    target = sources[mixture.target]
    rate = target.sample_rate
    both = (sources[name] for name in (mixture.target, mixture.interferer))
    parts = (read_audio(one.path, rate, one.channel, one.seconds) for one in both)
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
        recording=None,
        start=0.0,
        channel=None,
        recording_samples=None,
    )

"""A table of systems between floors and ceilings: gains as shares of the distance between them.

A gain of one point means little without what could be gained. With F the lowest EER without any
training of a network and C the lowest EER of a system that learns from true speakers,

    share = (F − EER) / (F − C)

is 0 % at the floor and 100 % at the ceiling. It is not given if C is not below F.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.data.speaker_groups import Groups
from sv.data.trials import Trials
from sv.report.tables import percent
from sv.scoring.intervals import Resampled, interval, paired_difference, resample
from sv.scoring.metrics import eer
from sv.scoring.score_file import match_scores, read_scores

HEADER = ["system", "kind", "EER % of each seed", "mean ± deviation", "share of the distance"]
ABSENT = "–"


@dataclass(frozen=True)
class Figures:
    """EER of each seed (seeds,), and the mean over seeds in each draw of speakers (draws,)."""

    eers: np.ndarray
    drawn: np.ndarray

    @property
    def mean(self) -> float:
        """Return the mean EER over seeds."""
        return float(self.eers.mean())


def measure(files: Sequence[Path], trials: Trials, groups: Groups, resamples: int) -> Figures:
    """Return the figures of one system from its score files, one for each seed."""
    eers, drawn = [], []
    for file in files:
        scores = match_scores(read_scores(file), trials)
        eers.append(eer(scores, trials.require_both_classes()))
        draws: Resampled = resample(scores, trials, groups, (), resamples)
        drawn.append(draws.eer)
    return Figures(np.array(eers), np.mean(drawn, axis=0))


def share(value: float, floor: float, ceiling: float) -> float | None:
    """Return which share of the way from floor to ceiling an EER has gone; None: no way."""
    return (floor - value) / (floor - ceiling) if ceiling < floor else None


def bench_rows(
    systems: Mapping[str, Figures], kinds: Mapping[str, str], against: str
) -> list[list[str]]:
    """Return the table, header first, from the highest mean EER to the lowest.

    Parameters
    ----------
    systems: name → figures.
    kinds: name → "floor", "system" or "ceiling".
    against: name of the system from which differences are taken, on the same draws of speakers.
    """
    floors, ceilings = (
        [systems[name].mean for name in systems if kinds[name] == kind]
        for kind in ("floor", "ceiling")
    )
    rows = [[*HEADER, f"EER − that of {against} [95 %]"]]
    for name, one in sorted(systems.items(), key=lambda pair: -pair[1].mean):
        spread = f" ± {100 * one.eers.std(ddof=1):.2f}" if len(one.eers) > 1 else ""
        gone = share(one.mean, min(floors), min(ceilings)) if floors and ceilings else None
        difference = ABSENT
        if name != against:
            base = systems[against]
            span = paired_difference(one.drawn, base.drawn).interval
            difference = percent(one.mean - base.mean, span)
        rows.append(
            [
                name,
                kinds[name],
                ", ".join(f"{100 * value:.2f}" for value in one.eers),
                f"{percent(one.mean, interval(one.drawn))}{spread}",
                ABSENT if gone is None else f"{100 * gone:.0f} %",
                difference,
            ]
        )
    return rows

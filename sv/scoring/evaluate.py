"""Figures of a system on a trial list, and the differences between the figures of two systems."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sv.data.speaker_groups import Groups
from sv.data.trials import Trials
from sv.scoring import intervals, metrics
from sv.scoring.intervals import Interval, Resampled


@dataclass
class SystemResult:
    """The figures of one system. Error rates are shares in [0, 1], not per cent.

    ``min_dcf``: p_target -> cost. ``intervals``: "eer" or p_target -> interval. ``act_dcf``,
    ``cllr`` and ``min_cllr`` exist only for calibrated scores. ``groups``: group -> EER, None if a
    class has no trial. ``few``: the number of speakers in the trials, if there are few. ``kind``:
    of score; ``kinds``: kind of score -> figures of these scores of the same embeddings, its own
    kind included.
    """

    name: str
    classes: metrics.Classes
    eer: metrics.OperatingPoint
    min_dcf: dict[float, metrics.OperatingPoint]
    act_dcf: dict[float, float] = field(default_factory=dict)
    cllr: float | None = None
    min_cllr: float | None = None
    intervals: dict[str | float, Interval] = field(default_factory=dict)
    groups: dict[str, float | None] = field(default_factory=dict)
    resampled: Resampled | None = None
    few: str | None = None
    kind: str = "cosine"
    kinds: dict[str, "SystemResult"] = field(default_factory=dict)

    @property
    def other_kinds(self) -> dict[str, "SystemResult"]:
        """The figures of the other kinds of scores."""
        return {kind: one for kind, one in self.kinds.items() if kind != self.kind}

    @property
    def constant(self) -> bool:
        """Whether all scores are equal."""
        target, nontarget = self.classes
        return bool(min(target[0], nontarget[0]) == max(target[-1], nontarget[-1]))

    @property
    def group_mean(self) -> float | None:
        """The mean EER over the groups that have one."""
        values = [value for value in self.groups.values() if value is not None]
        return float(np.mean(values)) if values else None


def evaluate(
    name: str,
    scores: np.ndarray,
    trials: Trials,
    p_targets: Sequence[float],
    *,
    groups: Groups | None = None,
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
    llr: bool = False,
    utt2group: Mapping[str, str] | None = None,
) -> SystemResult:
    """Return all figures of one system.

    ``groups``: the groups that are resampled for intervals; None: no intervals. ``llr``: the scores
    are calibrated log-likelihood ratios. ``utt2group``: compute also the EER within each group.
    """
    labels = trials.require_both_classes()
    classes = metrics.sort_classes(scores, labels)
    result = SystemResult(
        name,
        classes,
        metrics.eer_point(classes),
        {p: metrics.min_dcf_point(classes, p) for p in p_targets},
    )
    if llr:
        result.act_dcf = {p: metrics.act_dcf(scores, labels, p) for p in p_targets}
        result.cllr = metrics.cllr(scores, labels)
        result.min_cllr = metrics.min_cllr(scores, labels)
    if groups is not None and (count := intervals.taking_part(trials, groups)) < (
        intervals.FEW_SPEAKERS
    ):
        result.few = f"{count} {groups.kind.split()[0]}"
    if groups is not None and groups.count > 1 and resamples > 0:
        result.resampled = intervals.resample(scores, trials, groups, p_targets, resamples, seed)
        result.intervals = _intervals(result.resampled)
    if utt2group is not None:
        result.groups = group_eers(scores, trials, utt2group)
    return result


def _intervals(resampled: Resampled) -> dict[str | float, Interval]:
    each = {"eer": resampled.eer, **resampled.min_dcf}
    return {key: intervals.interval(values) for key, values in each.items()}


def differences(
    result: SystemResult, first: SystemResult
) -> dict[str | float, intervals.PairedDifference]:
    """Return ``result`` minus ``first``, draw by draw of the same speakers; {} without intervals.

    If the interval contains 0, it is a tie. This is much sharper than comparing two separate
    intervals.
    """
    if result.resampled is None or first.resampled is None:
        return {}
    return intervals.paired_differences(result.resampled, first.resampled)


def group_eers(
    scores: np.ndarray, trials: Trials, utt2group: Mapping[str, str]
) -> dict[str, float | None]:
    """Return the EER of the trials inside each group; trials across groups are left out."""
    missing = sum(name not in utt2group for name in trials.names)
    if missing:
        warnings.warn(
            f"{missing} of {len(trials.names)} utterances have no group, such as "
            f"{next(name for name in trials.names if name not in utt2group)}; their trials are "
            "left out of the figures per group",
            stacklevel=2,
        )
    names, of_name = np.unique(
        [utt2group.get(name, "") for name in trials.names], return_inverse=True
    )
    enrol, test = of_name[trials.enrol], of_name[trials.test]
    result = {}
    for number, group in enumerate(names.tolist()):
        inside = (enrol == number) & (test == number)
        labels = trials.labels[inside]
        if group:
            both = labels.any() and not labels.all()
            result[group] = metrics.eer(scores[inside], labels) if both else None
    return result

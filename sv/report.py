"""Figures of one or more systems on one trial list, as a table and as JSON.

The first system is the one under test; the others are there to be compared with it.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sv.scoring import intervals, metrics, paired
from sv.scoring.intervals import Groups, Interval, Resampled
from sv.scoring.trials import Trials


@dataclass
class SystemResult:
    """The figures of one system. Error rates are shares in [0, 1], not per cent.

    ``min_dcf``: p_target -> cost; ``intervals``: "eer" or p_target -> interval; ``act_dcf``,
    ``cllr`` and ``min_cllr`` only for calibrated scores; ``groups``: group -> EER, None where a
    class is absent; ``few``: of how many speakers the trials are, if they are few.
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

    ``groups``: what to resample for intervals (None: no intervals); ``llr``: the scores are
    calibrated log-likelihood ratios; ``utt2group``: also give the EER within each group.
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
) -> dict[str | float, paired.PairedDifference]:
    """Return ``result`` minus ``first``, draw by draw of the same speakers; {} without intervals.

    An interval that holds 0 is a tie. Much sharper than to compare two separate intervals.
    """
    if result.resampled is None or first.resampled is None:
        return {}
    return paired.paired_differences(result.resampled, first.resampled)


def group_eers(
    scores: np.ndarray, trials: Trials, utt2group: Mapping[str, str]
) -> dict[str, float | None]:
    """Return the EER of the trials inside each group; trials across groups count nowhere."""
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


# ---------------------------------------------------------------- as text


def percent(value: float | None, span: Interval | None = None) -> str:
    """``9.53 [8.10, 10.92]``: a share in per cent, with its interval."""
    return _figure(value, span, 100.0, 2)


def cost(value: float | None, span: Interval | None = None) -> str:
    """``0.6168 [0.5710, 0.6634]``: a normalised cost, with its interval."""
    return _figure(value, span, 1.0, 4)


def _figure(value: float | None, span: Interval | None, scale: float, digits: int) -> str:
    if value is None:
        return "-"
    text = f"{scale * value:.{digits}f}"
    if span is not None and np.isfinite(span.low):
        text += f" [{scale * span.low:.{digits}f}, {scale * span.high:.{digits}f}]"
    return text


def figure_rows(results: Sequence[SystemResult]) -> list[list[str]]:
    """Return the table of figures, header first: one row per system."""
    first = results[0]
    header = ["system", "EER %", *(f"minDCF p={p:g}" for p in first.min_dcf)]
    if first.cllr is not None:
        header += [*(f"actDCF p={p:g}" for p in first.act_dcf), "Cllr bits", "minCllr bits"]
    rows = [header]
    for result in results:
        spans = result.intervals
        row = [result.name, percent(result.eer.value, spans.get("eer"))]
        row += [cost(point.value, spans.get(p)) for p, point in result.min_dcf.items()]
        if result.cllr is not None:
            row += [cost(value) for value in result.act_dcf.values()]
            row += [cost(result.cllr), cost(result.min_cllr)]
        rows.append(row)
    return rows


def difference_rows(results: Sequence[SystemResult]) -> list[list[str]]:
    """Return how the other systems differ from the first, header first; [] without intervals."""
    first, rows = results[0], []
    for result in results[1:]:
        found = differences(result, first)
        if found:
            gap = result.eer.value - first.eer.value
            row = [f"{result.name} - {first.name}", percent(gap, found["eer"].interval)]
            for p, point in result.min_dcf.items():
                row.append(cost(point.value - first.min_dcf[p].value, found[p].interval))
            (low, high), p_value = found["eer"]
            verdict = "tie" if low <= 0 <= high else ("worse" if low > 0 else "better")
            known = np.isfinite(low)
            rows.append([*row, *((f"{p_value:.3f}", verdict) if known else ("-", "-"))])
    if not rows:
        return []
    minima = (f"minDCF p={p:g}" for p in first.min_dcf)
    return [["difference", "EER %", *minima, "p-value of EER", "by EER"], *rows]


def group_rows(results: Sequence[SystemResult]) -> list[list[str]]:
    """Return the EER per group, header first: one row per group, then their mean; or []."""
    if not results[0].groups:
        return []
    rows = [["EER % within", *(result.name for result in results)]]
    for group in results[0].groups:
        rows.append([group, *(percent(result.groups[group]) for result in results)])
    return [*rows, ["mean of groups", *(percent(result.group_mean) for result in results)]]


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Align the columns of a table with blanks."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


# ---------------------------------------------------------------- as JSON


def as_dict(results: Sequence[SystemResult]) -> dict:
    """Return plain types. ``eer`` and ``min_dcf`` at the top are those of the first system."""
    systems = [_system_dict(result) for result in results]
    record = {
        "eer": systems[0]["eer"],
        "min_dcf": systems[0]["min_dcf"],
        "systems": systems,
        "differences": [
            {
                "system": result.name,
                "minus": results[0].name,
                **_spans({key: each.interval for key, each in found.items()}),
                "eer_p_value": _finite(found["eer"].p_value),
            }
            for result in results[1:]
            if (found := differences(result, results[0]))
        ],
    }
    return _plain(record)


def _plain(value):
    """Return ``value`` with what JSON has no number for: infinity as "inf", NaN as null."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(float(value))
    return value


def _system_dict(result: SystemResult) -> dict:
    return {
        "name": result.name,
        "eer": result.eer.value,
        "eer_threshold": _finite(result.eer.threshold),
        "min_dcf": {f"{p:g}": point.value for p, point in result.min_dcf.items()},
        "min_dcf_threshold": {
            f"{p:g}": _finite(point.threshold) for p, point in result.min_dcf.items()
        },
        "act_dcf": {f"{p:g}": value for p, value in result.act_dcf.items()},
        "cllr": result.cllr,
        "min_cllr": result.min_cllr,
        "intervals": _spans(result.intervals),
        "eer_of_groups": result.groups,
        "eer_mean_of_groups": result.group_mean,
    }


def _finite(value: float) -> float | None:
    """Rejecting everything has no threshold, few draws no p-value, and JSON neither inf nor NaN."""
    return value if np.isfinite(value) else None


def _spans(spans: dict[str | float, Interval]) -> dict[str, list[float] | None]:
    return {
        key if isinstance(key, str) else f"min_dcf {key:g}": (
            list(span) if np.isfinite(span.low) else None
        )
        for key, span in spans.items()
    }

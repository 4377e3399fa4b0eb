"""What was drawn for a batch, in words: a row for each view of each item.

A time is that from the beginning of an utterance, or of the crop (masks). Masks go from the first
frame or band that is hidden, counted from 0, to the one behind the last.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from sv.crops.index import TrainingIndex
from sv.crops.noises import NoiseBank, NoisePlan, sounds_of
from sv.crops.plan import BatchPlan, GroupPlan
from sv.features.framing import FRAMES_PER_SECOND

NONE = "-"


def describe_plan(
    plan: BatchPlan,
    index: TrainingIndex,
    noises: NoiseBank | None,
    rooms: Sequence[str],
    items: int,
) -> list[dict[str, str]]:
    """Return a row of words for each view of the first ``items`` items of a whole batch.

    rooms: ids of the rooms in the bank.
    """
    return [
        _row(group, item, view, index, noises, rooms)
        for item in range(items)
        for group in plan.groups.values()
        for view in range(len(group.starts))
    ]


def view_name(group: str, view: int) -> str:
    """Return what table, picture and sound files call crop ``view`` (from 0) of a group."""
    return f"{group}.{view + 1}"


def lines(rows: list[dict[str, str]]) -> Iterator[str]:
    """Yield rows as lines of aligned columns, below their names."""
    if not rows:
        return
    table = [list(rows[0]), *([*row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _row(
    plan: GroupPlan,
    item: int,
    view: int,
    index: TrainingIndex,
    noises: NoiseBank | None,
    rooms: Sequence[str],
) -> dict[str, str]:
    at = view, item
    noise = plan.noise
    noisy = noise is not None and noise.kind[at] >= 0
    return {
        "item": str(item + 1),
        "view": view_name(plan.group.name, view),
        "utterance": index.ids(int(plan.utterances[at])),
        "start": _seconds(plan.starts[at], index),
        "speed": NONE if plan.speed is None else f"{plan.speed[at]:g}",
        "room": NONE if plan.room is None or plan.room[at] < 0 else rooms[plan.room[at]],
        "noise": noise.kinds[noise.kind[at]] if noisy else NONE,
        "snr": f"{noise.snr[at]:.1f}dB" if noisy else NONE,
        "sounds": _sounds(noise, at, index, noises) if noisy else NONE,
        "time_masks": _masks(plan.time_masks, at, FRAMES_PER_SECOND, "s"),
        "band_masks": _masks(plan.band_masks, at, 1, ""),
        "interferers": _interferers(plan, at, index),
    }


def _seconds(row: int, index: TrainingIndex) -> str:
    return f"{row * index.row_seconds:.3f}s"


def _sounds(
    noise: NoisePlan, at: tuple[int, int], index: TrainingIndex, noises: NoiseBank | None
) -> str:
    source = sounds_of(noise.kinds[noise.kind[at]], index, noises)
    pairs = zip(noise.sounds[at], noise.starts[at], strict=True)
    return _joined(f"{source.ids(int(n))}@{_seconds(s, source)}" for n, s in pairs if n >= 0)


def _masks(stretches: np.ndarray | None, at: tuple[int, int], scale: int, unit: str) -> str:
    """Name what is hidden, from the first frame or band to the one behind the last."""
    some = [] if stretches is None else stretches[at]
    return _joined(f"{a / scale:g}-{b / scale:g}{unit}" for a, b in some if b > a)


def _interferers(plan: GroupPlan, at: tuple[int, int], index: TrainingIndex) -> str:
    if plan.items is None:
        return NONE
    found = []
    for place, level in zip(plan.items[at][1:], plan.level[at], strict=True):
        if place >= 0:
            name = index.ids(int(plan.utterances[at[0], place]))
            found.append(f"{name}@{_seconds(plan.starts[at[0], place], index)}:{level:.1f}dB")
    return _joined(found)


def _joined(words) -> str:
    return ",".join(words) or NONE

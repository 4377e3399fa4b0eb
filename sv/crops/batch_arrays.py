"""A batch as named arrays and back, for code that sends or stores batches."""

import dataclasses
from typing import Any

from torch import Tensor

from sv.crops.codes import decoded
from sv.crops.views import Batch, Crops
from sv.features.augment import Draws

UTTERANCES = "utterances"
ITEMS = "items"


def flatten(batch: Batch) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the arrays of a batch by name, and values fit for JSON that `rebuild` also needs.

    The names are ``utterances`` and, for each group of crops, ``<group>/signal``,
    ``<group>/<field of Draws>`` and, for mixtures, ``<group>/items``.
    """
    arrays, groups = {UTTERANCES: batch.utterances}, {}
    for name, crops in batch.crops.items():
        arrays[f"{name}/signal"] = crops.signal
        for draw, values in vars(crops.draws).items():
            if values is not None:
                arrays[f"{name}/{draw}"] = values
        if crops.items is not None:
            arrays[f"{name}/{ITEMS}"] = crops.items
        groups[name] = {"frames": crops.frames, "sources": crops.sources}
    return arrays, groups


def without_codes(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the arrays of `flatten` with 16-bit codes decoded (``sv.crops.codes``)."""
    scales = {name.removesuffix("_scales"): name for name in arrays if name.endswith("_scales")}
    return {
        name: decoded(values, arrays[scales[name]]) if name in scales else values
        for name, values in arrays.items()
        if name not in scales.values()
    }


def rebuild(arrays: dict[str, Tensor], groups: dict[str, Any]) -> Batch:
    """Return the batch of which `flatten` returned these arrays and values."""
    crops = {}
    for name, rest in groups.items():
        drawn = {
            field.name: arrays[f"{name}/{field.name}"]
            for field in dataclasses.fields(Draws)
            if f"{name}/{field.name}" in arrays
        }
        rest = {**rest, "items": arrays.get(f"{name}/{ITEMS}")}
        crops[name] = Crops(arrays[f"{name}/signal"], draws=Draws(**drawn), **rest)
    return Batch(crops, arrays[UTTERANCES])

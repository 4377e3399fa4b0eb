"""Finding, saving and describing a batch whose loss is not finite."""

import json
from collections.abc import Iterator
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from sv import distributed
from sv.cli import describe_os_error
from sv.crops.batch_arrays import UTTERANCES, flatten, without_codes
from sv.crops.index import TrainingIndex
from sv.crops.views import Batch
from sv.errors import InputError
from sv.files import atomic_write

INPUT = "input"
"""Name of the network's input: the crops after augmentation and normalisation."""


class RecentLosses:
    """The losses since the last check. They stay on the device, because reading waits for it."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, Tensor]] = []

    def add(self, step: int, loss: Tensor) -> None:
        """Remember the loss of a step."""
        self.kept.append((step, loss.detach().float()))

    def first_bad(self) -> tuple[int, float, bool] | None:
        """Return the first loss that is not finite, None if all are finite; forget all losses.

        Returns (step, loss, whether this process's own loss is bad). Step and loss are the same in
        all processes.
        """
        kept, self.kept = self.kept, []
        if not kept:
            return None
        own = torch.stack([loss for _, loss in kept])
        means = distributed.all_reduce_mean(own)
        bad = (~means.isfinite()).nonzero()
        if not len(bad):
            return None
        place = int(bad[0])
        return kept[place][0], float(means[place]), not bool(own[place].isfinite())


def bad_batch_path(exp: Path) -> Path:
    """Return the path of the file in which this process saves its share of a bad batch."""
    many = distributed.world_size()
    part = f".{distributed.rank() + 1}-of-{many}" if many > 1 else ""
    return exp / f"bad_batch{part}.safetensors"


def save_bad_batch(
    exp: Path,
    batch: Batch,
    inputs: dict[str, Tensor],
    index: TrainingIndex,
    about: dict[str, int | str],
    told: str,
) -> str:
    """Save a batch as safetensors; return the diagnosis ``told`` with a command that shows it.

    Losses are checked only every ten steps, so the batch was not kept. It was made again: a batch
    is a function of seed, epoch and step.

    inputs: name of a group of crops → the network's input, (count, batch, frames, mel).
    about: other facts to save, such as the epoch.
    """
    arrays, groups = flatten(batch)
    arrays = without_codes(arrays)
    arrays |= {f"{name}/{INPUT}": crops.detach() for name, crops in inputs.items()}
    places = batch.utterances.unique()
    ids = dict(zip(places.tolist(), index.ids(places.numpy()), strict=True))
    notes = {"about": json.dumps(about), "groups": json.dumps(groups), "ids": json.dumps(ids)}
    whole = {name: array.cpu().contiguous().clone() for name, array in arrays.items()}
    path = bad_batch_path(exp)
    try:
        with atomic_write(path, "wb") as handle:
            handle.write(safetensors.torch.save(whole, notes))
    except OSError as error:
        return f"{told}. The batch could not be saved ({describe_os_error(error)})"
    return f"{told}. 'python -m sv.bin.show_bad_batch {path}' shows the batch"


def load_bad_batch(
    path: str | Path, only: list[str] | None = None
) -> tuple[dict[str, Tensor], dict, dict[int, str]]:
    """Return the arrays by name, the facts of the step, and the id of each utterance.

    only: names of the arrays to return; all if None.

    Raises
    ------
    InputError: the file is missing or of another kind, or it has no such array.
    """
    try:
        with safetensors.safe_open(str(path), "pt") as file:
            notes = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        ids = {int(place): name for place, name in json.loads(notes["ids"]).items()}
        about, batch = json.loads(notes["about"]), arrays[UTTERANCES].shape[-1]
        if any(array.shape[1] != batch for name, array in arrays.items() if name != UTTERANCES):
            raise ValueError("crops of another number of items")
    except (OSError, safetensors.SafetensorError, ValueError, LookupError, AttributeError) as error:
        raise InputError(
            f"{path}: not a batch that training saved ({error}): give bad_batch.safetensors of an "
            "experiment folder"
        ) from None
    for name in only or []:
        if name not in arrays or name == UTTERANCES:
            known = ", ".join(sorted(arrays.keys() - {UTTERANCES}))
            raise InputError(f"{path} has no array {name!r}: it has {known}")
    wanted = {UTTERANCES, *(only if only is not None else arrays)}
    return {name: array for name, array in arrays.items() if name in wanted}, about, ids


def describe(
    arrays: dict[str, Tensor], about: dict, ids: dict[int, str], items: bool = False
) -> Iterator[str]:
    """Yield lines: each array with its shape and range, then the items that are not finite.

    items: yield also a line for each item of the batch, with the range of each array.
    """
    yield ", ".join(f"{name} {value}" for name, value in about.items())
    utterances = arrays[UTTERANCES]
    crops = {name: array for name, array in sorted(arrays.items()) if name != UTTERANCES}
    width = max(map(len, crops), default=0)
    for name, array in crops.items():
        shape = " x ".join(map(str, array.shape))
        yield f"{name:{width}}  {shape:24}  {_range(array)}"
    wrong = {}
    for name, array in crops.items():
        bad = _bad(name, array)
        for item in bad.flatten(2).any(dim=2).any(dim=0).nonzero().flatten().tolist():
            wrong.setdefault(item, []).append(name)
    for item, names in sorted(wrong.items()):
        yield f"item {item + 1} ({_names(utterances, item, ids)}): not finite in {', '.join(names)}"
    if not wrong:
        yield (
            "every number of the batch is finite: look for the cause in the network (optim.lr, "
            "optim.clip_norm, train.precision)"
        )
    if items:
        for item in range(utterances.shape[-1]):
            ranges = "; ".join(f"{name} {_range(array[:, item])}" for name, array in crops.items())
            yield f"item {item + 1} ({_names(utterances, item, ids)}): {ranges}"
    else:
        yield f"utterances: {' '.join(ids[place] for place in utterances.flatten().tolist())}"


def _bad(name: str, array: Tensor) -> Tensor:
    """Return where an array is not finite; an SNR of +inf is allowed and means no noise."""
    allowed = array == torch.inf if name.endswith("/snr") else False
    return (~torch.isfinite(array) & ~torch.as_tensor(allowed)).reshape(*array.shape[:2], -1)


def _range(array: Tensor) -> str:
    values = array.double()
    finite = values[values.isfinite()]
    shown = f"{finite.min():.4g} to {finite.max():.4g}" if len(finite) else "no finite number"
    rest = [f"{int(values.isnan().sum())} nan"] if values.isnan().any() else []
    rest += [f"{int(values.isinf().sum())} infinite"] if values.isinf().any() else []
    return ", ".join([shown, *rest])


def _names(utterances: Tensor, item: int, ids: dict[int, str]) -> str:
    return " ".join(ids[place] for place in utterances[..., item].reshape(-1).tolist())

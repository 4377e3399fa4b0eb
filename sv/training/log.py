"""The log of a training: a JSON line for each epoch, TensorBoard, and a summary at the end."""

import contextlib
import json
import logging
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from sv.data.glossary import TRAINING
from sv.files import atomic_write

logger = logging.getLogger(__name__)


class TrainLog:
    """``train.jsonl`` and ``tensorboard/`` of one experiment.

    Lines of epochs after ``after_epoch`` are deleted, because those epochs run again. Such lines
    exist if a training was killed after it wrote its log and before it wrote its checkpoint.
    """

    def __init__(self, exp: Path, after_epoch: int):
        self.path = exp / "train.jsonl"
        kept = [row for row in _rows(self.path) if row["epoch"] <= after_epoch]
        with atomic_write(self.path) as handle:
            handle.writelines(json.dumps(row) + "\n" for row in kept)
        self.board = SummaryWriter(str(exp / "tensorboard"), purge_step=after_epoch + 1)
        self.explained = False

    def epoch(self, row: dict[str, float]) -> None:
        """Write the figures of one epoch."""
        with self.path.open("a") as handle:
            handle.write(json.dumps(row) + "\n")
        if not self.explained:
            explained = (f"**{name}**: {TRAINING[name]}" for name in row if name in TRAINING)
            self.board.add_text("glossary", "\n\n".join(explained), row["epoch"])
            self.explained = True
        for name, value in row.items():
            self.board.add_scalar(name, value, row["epoch"])
        figures = ", ".join(f"{name} {value:.4g}" for name, value in row.items())
        logger.info(figures)

    def close(self) -> None:
        """Flush TensorBoard."""
        self.board.close()

    def summarise(self, facts: dict[str, object]) -> None:
        """Write ``train.json``: the facts on a training for a row in a table of results."""
        with atomic_write(self.path.with_name("train.json")) as handle:
            json.dump(facts, handle, indent=1)


def epoch_row(
    epoch: int, figures: dict[str, float], rate: float, seconds: dict[str, float], crops: int
) -> dict[str, float]:
    """Return the line of one epoch.

    Parameters
    ----------
    epoch: its number, from 1.
    figures: means over its steps.
    rate: learning rate of its last step.
    seconds: of the ``epoch``, and of the ``wait`` for data in it.
    crops: number of crops in it.
    """
    spent = max(1e-9, seconds["epoch"])
    return {
        "epoch": epoch,
        **figures,
        "lr": rate,
        "seconds": seconds["epoch"],
        "crops_per_second": crops / spent,
        "data_wait": seconds["wait"] / spent,
    }


def _rows(path: Path) -> list[dict]:
    """Return the lines of a log; skip a line that was cut off, for example by a full disk."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows

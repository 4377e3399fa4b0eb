"""Stage 6, first half: average the models of the last epochs into one.

The mean of the weights of the last N epochs varies less than the weights of any one epoch. It needs
no development set: a checkpoint is never chosen by its error on a test list.

Example:
  python -m sv.bin.average --exp exp/simclr --last 5 --out exp/simclr/final.pt
"""

import json
from pathlib import Path

from sv.cli import parser, run
from sv.errors import InputError, command_of
from sv.files import atomic_write
from sv.numbers import COUNT


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and average."""
    p = parser(__doc__)
    p.add_argument("--exp", type=Path, required=True, help="experiment folder of stage 3")
    p.add_argument(
        "--last", type=COUNT, default=10, help="largest number of last epochs to average"
    )
    p.add_argument("--out", type=Path, required=True, help="model file to write")
    args = p.parse_args(argv)

    from sv import checkpoint

    epochs = [epoch for epoch in checkpoint.epochs_at_hand(args.exp) if epoch > 0][-args.last :]
    if not epochs:
        raise InputError(f"{args.exp}: no epoch has been trained: run stage 3: {command_of(3)}")
    if len(epochs) < min(args.last, epochs[-1]):
        raise InputError(
            f"{args.exp}: of {epochs[-1]} epochs {len(epochs)} are kept, but --last {args.last} "
            "needs more: lower --last, or train with a higher train.keep"
        )
    checkpoint.save(
        args.out, checkpoint.average(checkpoint.epoch_path(args.exp, epoch) for epoch in epochs)
    )
    rule = f"mean of epochs {epochs[0]}–{epochs[-1]}"
    _note_rule(args.exp / "train.json", rule)
    print(f"{args.out}: {rule}")


def _note_rule(path: Path, rule: str) -> None:
    """Add the rule to the summary of the training, which reports read."""
    summary = json.loads(path.read_text()) if path.exists() else {}
    with atomic_write(path) as handle:
        json.dump({**summary, "checkpoint_rule": rule}, handle, indent=1, ensure_ascii=False)


if __name__ == "__main__":
    run(main)

"""Show the batch of a loss that is not finite.

Training stops at such a loss and saves the batch in the experiment folder: the crops as they were
read (<group>/signal), the draws for their augmentation (<group>/noise, snr, room ...) and the input
of the network (<group>/input). This program prints the shape and the range of each array, the items
with a number that is not finite, and the ids of the utterances. If every number is finite, the
cause is in the network.

Example:
  python -m sv.bin.show_bad_batch exp/simclr/bad_batch.safetensors --items
"""

from pathlib import Path

from sv.cli import parser, run


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print."""
    p = parser(__doc__)
    p.add_argument("file", type=Path, metavar="FILE", help="bad_batch.safetensors of an experiment")
    p.add_argument("--items", action="store_true", help="also print a line for each item")
    p.add_argument(
        "--only", nargs="+", metavar="ARRAY", help="show only these arrays, such as views/input"
    )
    args = p.parse_args(argv)

    from sv.training.bad_batch import describe, load_bad_batch

    for line in describe(*load_bad_batch(args.file, args.only), items=args.items):
        print(line)


if __name__ == "__main__":
    run(main)

"""Print the resolved settings of a file, with the source of each value.

A setting comes from --set, the file, the file's base (`base: FILE`), that file's base, or the
default. The output is itself a valid file of settings.

Example:
  sv config conf/simclr.yaml --set optim.lr=0.0005
"""

from pathlib import Path

from sv.cli import add_settings, parser, run


def main(argv: list[str] | None = None) -> None:
    """Print the settings, or the files that they are read from."""
    p = parser(__doc__)
    p.add_argument("file", type=Path, help="YAML settings, as for `sv train --config`")
    add_settings(p)
    p.add_argument(
        "--files", action="store_true", help="print only the paths of the file and its bases"
    )
    args = p.parse_args(argv)
    from sv import config

    if args.files:
        print("\n".join(map(str, config.files(args.file))))
        return
    from sv.training.experiment import SCHEMA

    print(config.explain(SCHEMA, args.file, args.set))


if __name__ == "__main__":
    run(main)

"""The command ``sv``: every program of ``sv.bin`` under one name, such as ``sv train --help``."""

import ast
import importlib
import sys
from pathlib import Path

from sv.cli import run
from sv.errors import InputError


def programs() -> dict[str, str]:
    """Return all programs: name → first line of the program's description."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        found[path.stem] = (text or "").partition("\n")[0]
    return found


def main(argv: list[str] | None = None) -> int | None:
    """Run the program that the command line names, with the rest of the command line."""
    words = sys.argv[1:] if argv is None else argv
    known = programs()
    if not words or words[0] in ("-h", "--help"):
        width = max(map(len, known))
        print("usage: sv PROGRAM [options]     sv PROGRAM --help explains its options\n")
        print("\n".join(f"  {name:{width}}  {line}" for name, line in known.items()))
        return 0
    name = words[0].replace("-", "_")
    if name not in known:
        raise InputError(f"sv {words[0]}: there is no such program; known: {', '.join(known)}")
    sys.argv[0] = f"sv {words[0]}"
    return importlib.import_module(f"sv.bin.{name}").main(words[1:])


def entry() -> None:
    """Start from the console script."""
    run(main)


if __name__ == "__main__":
    entry()

"""Run benchmarks and print their tables.

    python -m benchmarks.run --list
    python -m benchmarks.run ark_windows fbank --json speeds.json

Without a name all of them run, one after another. Each compares this toolkit with its peers in
paired, interleaved runs, so the ratios hold on a busy machine; the absolute speeds do not.
"""

import argparse
import ast
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from sv.errors import InputError
from sv.files import atomic_write

FOLDER = Path(__file__).parent


def discover() -> dict[str, str]:
    """Return name -> first line of the docstring, for each module with a ``benchmark`` function.

    The sources are parsed, not imported: ``--list`` works where a peer is not installed.
    """
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == "benchmark":
                text = ast.get_docstring(node) or "(no description)"
                found[path.stem] = text.splitlines()[0]
    return found


def _load(name: str) -> Callable[[bool], list]:
    try:
        return importlib.import_module(f"benchmarks.{name}").benchmark
    except OSError as error:  # a compiled library, torchaudio's for example, made for another torch
        raise ImportError(str(error)) from error


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="name", help="which ones (default: all)")
    parser.add_argument("--list", action="store_true", help="name them and exit")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="little data, few rounds: shows that it runs; the ratios are rough",
    )
    parser.add_argument("--json", metavar="FILE", help="also write all figures to FILE")
    options = parser.parse_args(argv)

    known = discover()
    if options.list:
        for name, text in known.items():
            print(f"{name:20} {text}")
        return 0
    unknown = [name for name in options.names if name not in known]
    if unknown:
        raise InputError(f"no benchmark named {unknown[0]!r}; there are: {', '.join(known)}")

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{platform.machine()}, {cores} cores, Python {platform.python_version()}"
    print(f"# {machine}; ratio = speed relative to the base, paired within a round", flush=True)
    results, failed = {}, []
    for name in options.names or known:
        try:
            benchmark = _load(name)
            tables = benchmark(options.quick)
        except ImportError as error:  # a peer that is absent, or does not fit another package
            print(f"\n== {name}: skipped, a peer cannot be imported: {error}", flush=True)
            failed.append(name)
            continue
        print(f"\n== {name}", flush=True)
        for table in tables:
            print(table, flush=True)
        results[name] = [table.as_dict() for table in tables]
    if options.json:
        with atomic_write(options.json) as handle:
            json.dump({"machine": machine, "quick": options.quick, "results": results}, handle)
            handle.write("\n")
    return 1 if options.names and failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")

"""Run a recipe for several settings and seeds, and end with a table of all runs.

A short file names the settings: a grid, or a list of runs. Each run has a folder of its own in
exp/<name of the file>/, made by stages 3 to 7 of the recipe: training, embeddings, scores. Data,
features and banks (stages 0 to 2) must exist. The jobs of a run go where cmd.sh of the recipe
sends them, to this machine or to a queue. A run that fails does not stop the others. The same
command goes on after a stop, and skips what is complete.

A file, conf/sweep_margins.yaml (a key with a dot is a setting, another key is an option of run.sh):
  base: {config: conf/simclr.yaml, train.epochs: 10}
  grid: {method.margin: [0, 0.1], method.temperature: [0.03, 0.05]}
  seeds: [0, 1, 2]

Or a list instead of the grid:
  runs:
    - {name: simclr, config: conf/simclr.yaml}
    - {name: dino, config: conf/dino.yaml, optim.lr: 0.0005}

Examples (in the folder of a recipe, such as egs/mini/v1):
  sv sweep conf/sweep_margins.yaml --dry-run
  sv sweep conf/sweep_margins.yaml --jobs 2
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from sv.cli import parser, run
from sv.errors import InputError
from sv.numbers import JOBS, NATURAL

SHARED_BASELINE = 600
"""Seconds that a run waits for another one that makes the same baseline (utils/once)."""


def main(argv: list[str] | None = None) -> int:
    """Parse the command line; run all, or print what would run; return the exit status."""
    p = parser(__doc__)
    p.add_argument("file", type=Path, help="YAML file with the settings and seeds")
    p.add_argument(
        "--jobs",
        type=JOBS,
        default=1,
        help="runs at once; each of them starts the jobs of its stages as cmd.sh says. In a queue, "
        "give the number of runs that may wait there",
    )
    p.add_argument("--dry-run", action="store_true", help="print the commands, and start nothing")
    p.add_argument(
        "--data",
        type=Path,
        default=Path("data/test"),
        metavar="DIR",
        help="data directory that the runs score, for the table, seen from the recipe",
    )
    p.add_argument("--run", type=NATURAL, metavar="N", help="start only the N-th run, here")
    args = p.parse_args(argv)

    from sv.training.sweep import read_sweep

    sweep = read_sweep(args.file, check=args.run is None)
    if args.dry_run:
        print(f"cd {shlex.quote(str(sweep.recipe.resolve()))}")
        print("\n".join(shlex.join(each.command) for each in sweep.runs))
        return 0
    if args.run is not None:
        if not 1 <= args.run <= len(sweep.runs):
            raise InputError(f"--run {args.run}: there are runs 1 to {len(sweep.runs)}")
        return _start(sweep, args.run)
    _check_data(sweep)
    again = f"sv sweep {shlex.join(sys.argv[1:] if argv is None else argv)}"
    began = time.time()
    status = _launch(args, sweep)
    return _summary(sweep, args.data, again, began, status)


def _check_data(sweep) -> None:
    """Raise ``InputError`` if the recipe has no data, which every run would say."""
    recipe = sweep.recipe
    if "--stage 0" not in " ".join(sweep.runs[0].command) and not (recipe / "data").exists():
        raise InputError(
            f"{recipe / 'data'} does not exist: make data, features and banks first (cd {recipe}; "
            "./run.sh --stop-stage 2)"
        )


def _launch(args, sweep) -> int:
    """Run all by ``launch``, each as a job of this program with --run; return its status."""
    launcher = Path(__file__).resolve().parents[2] / "utils" / "launch"
    command = [sys.executable, str(launcher), "--backend", "local", "--max-jobs", str(args.jobs)]
    command += ["--title", f"sweep {sweep.name}", f"JOB=1:{len(sweep.runs)}"]
    command += [str(sweep.folder / "log" / "run.JOB.log"), sys.executable, "-m", "sv.bin.sweep"]
    print(f"{len(sweep.runs)} runs, {args.jobs} at once; logs: {sweep.folder}/log/", flush=True)
    # The jobs get SIGINT and SIGTERM from `launch`, which then ends; we must live to report it.
    former = {n: signal.signal(n, lambda *_: None) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        return subprocess.run(
            [*command, str(args.file), "--run", "JOB"], env=_environment(), check=False
        ).returncode
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        "SV_LOCK_WAIT": str(SHARED_BASELINE),
        "SV_PYTHON": sys.executable,
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(os.path.abspath(path) for path in paths)),
    }


def _start(sweep, number: int) -> int:
    """Run one setting of one seed; note its exit status; return 0, so that the others go on."""
    this = sweep.runs[number - 1]
    note = sweep.folder / "log" / f"{this.label}.status"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    print(f"run {number}: {this.label}\ncd {sweep.recipe}; {shlex.join(this.command)}", flush=True)
    # The run gets SIGTERM with us, because it is in our group, and writes its checkpoint.
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    began = time.monotonic()
    done = subprocess.run(this.command, cwd=sweep.recipe, env=_environment(), check=False)
    note.write_text(f"{done.returncode} {time.monotonic() - began:.0f}\n")
    return 143 if stopped else 0


def _summary(sweep, data: Path, again: str, began: float, status: int) -> int:
    """Print the failed runs and the table of the others; return the exit status."""
    from sv.report.settings_compared import compare_settings, write_table
    from sv.report.table_formats import FORMATS
    from sv.training.sweep import experiments_of

    failed = []
    for number, each in enumerate(sweep.runs, start=1):
        note = sweep.folder / "log" / f"{each.label}.status"
        fresh = note.exists() and note.stat().st_mtime >= began - 1
        words = note.read_text().split() if fresh else ["not started"]
        if words[0] != "0":
            log = f"; log: {sweep.folder / 'log' / f'run.{number}.log'}" if fresh else ""
            failed.append(f"  {each.label}: {_outcome(words[0])}{log}")
    good = len(sweep.runs) - len(failed)
    print(f"{good} of {len(sweep.runs)} runs complete")
    print("\n".join(failed), end="\n" if failed else "")
    found = experiments_of(sweep, data.name)
    if found:
        test = sweep.recipe / data
        compared = compare_settings(
            found,
            trials=test / "trials",
            labels=test.parent / "labels" / test.name / "utt2spk",
            scores=data.name,
            p_targets=[0.01, 0.05],
        )
        print("\n" + FORMATS["text"](compared.table.cells, compared.table.bold))
        for line in [f"warning: {text}" for text in compared.table.warnings]:
            print(line)
        print("\n".join(compared.table.notes))
        for ending in (".md", ".csv", ".tex", ".html"):
            write_table(compared, sweep.folder / f"table{ending}", sweep.name, again)
        print(f"tables: {sweep.folder}/table.md .csv .tex, page: {sweep.folder}/table.html")
    if failed or status:
        print(f"to go on: {again}", file=sys.stderr)
    return 1 if failed or status else 0


def _outcome(word: str) -> str:
    if word in ("not started", "-15", "143", "99"):
        return "not started" if word == "not started" else "stopped; its training is saved"
    return f"failed, exit status {word}"


if __name__ == "__main__":
    run(main)

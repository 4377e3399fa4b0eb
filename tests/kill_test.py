"""Kill training at random moments, start it again, and compare with a training never killed.

    python tests/kill_test.py --kills 20 --case moco dino
    python tests/kill_test.py --kills 20 --processes 2

Each case trains a tiny network (tests/tiny_methods.py) on made-up features, once from beginning to
end and once through many lives, each ended by SIGKILL at a random step or in the middle of writing
a checkpoint. At the end all weights, the optimiser, the generators and the logged losses must be
the same to the bit.

With --damage also the last checkpoint is torn, or a bit of it flipped, after some of the kills.

With --processes, utils/processes starts that many in each life, and half of the kills take one of
them alone; the others then have to end by themselves. The other half takes all and the launcher.

All processes are forks of this one, so that none of them waits for PyTorch to be loaded. Prints a
line a case; exit status 1 if one differs.
"""

import argparse
import contextlib
import json
import os
import random
import runpy
import select
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tiny_methods import TINY, settings_of, supervised  # noqa: E402

from sv.numbers import COUNT, JOBS, SEED, SHARE  # noqa: E402

SSPS = ["enabled=true", "clusters=4", "queue=16", "nearest=1", "reference_seconds=0.3"]
SSPS = [f"ssps.{text}" for text in SSPS]
CHNS = ["hard_ratio=0.7", "clusters=3", "refresh_every=2", "further=similar"]
CASES = {
    **{name: (name, []) for name in TINY},
    "ssps": ("simclr", SSPS),
    "ssps_dino": ("dino", SSPS),
    "chns": ("supcon", [f"batches.{text}" for text in CHNS]),
    "chns_aam": ("supcon_aam", [f"batches.{text}" for text in CHNS]),
}
"""Name of a case → its method, and settings over the tiny ones of the method."""
UTTERANCES, FRAMES, MEL = 24, 40, 8
STEPS = UTTERANCES // 8
PATIENCE = 300.0
"""Seconds without a step after which a life counts as hung."""
END = 120.0
"""Seconds after a kill in which all other processes of that life must have ended."""


def write_data(folder):
    """Write a data directory of features that are noise around a mean an utterance."""
    import numpy as np

    from sv.kaldi.arks import ArkWriter

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    ids = [f"utt{number:02d}" for number in range(UTTERANCES)]
    with ArkWriter(folder / "feats.ark", folder / "feats.scp") as writer:
        for name in ids:
            writer.write(name, rng.normal(size=MEL) + 0.5 * rng.normal(size=(FRAMES, MEL)))
    (folder / "labels").write_text("".join(f"{u} spk{n // 3}\n" for n, u in enumerate(ids)))
    with ArkWriter(folder / "centroids.ark", folder / "centroids.scp") as writer:
        for number in range(3):
            writer.write(str(number), rng.normal(size=8))
    (folder / "utt2cluster").write_text("".join(f"spk{n} {n // 3}\n" for n in range(8)))
    (folder / "utt2num_frames").write_text("".join(f"{name} {FRAMES}\n" for name in ids))
    return folder


def start(arguments, log, processes):
    """Train in a fork, or in several that a fork starts.

    Returns its process id and a pipe with a byte for each step and save, which ends with the last
    of the processes.
    """
    read, write = os.pipe()
    process = os.fork()
    if process:
        os.close(write)
        return process, read
    os.close(read)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    ending(train if processes == 1 else launch, arguments, write, processes)


def ending(function, *arguments):
    """Call a function in a fork and end it, with the status that ``sv.cli`` gives its errors."""
    from sv import cli

    try:
        cli.run(lambda _: function(*arguments))
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    os._exit(status)


def train(arguments, pipe, _):
    """Train in this process, which tells how far it is."""
    announce(pipe)
    from sv.bin import train

    train.main(arguments)


def launch(arguments, pipe, processes):
    """Train in several processes, of utils/processes; return the exit status."""
    script = runpy.run_path(str(ROOT / "utils" / "processes"))
    # Both keep the pipe open, which ends when all have: only the first process writes to it.
    script["main"].__globals__["subprocess"] = SimpleNamespace(
        Popen=lambda command, env, preexec_fn: Forked(command[3:], pipe, env, preexec_fn)
    )
    sys.argv = ["processes", str(processes), "-m", "sv.bin.train", *arguments]
    return script["main"]()


class Forked:
    """What utils/processes needs of ``subprocess.Popen``, without a new interpreter."""

    def __init__(self, arguments, pipe, environment, prepare):
        self.status, self.process = None, os.fork()
        if self.process == 0:
            prepare()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                signal.signal(number, signal.SIG_DFL)
            os.environ.update(environment)
            ending(train, arguments, pipe if environment["RANK"] == "0" else None, None)

    def poll(self):
        """Return the exit status, less than 0 for a signal, or None while it runs."""
        if self.status is None:
            found, status = os.waitpid(self.process, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if found else None
        return self.status

    def send_signal(self, number):
        """Send a signal."""
        os.kill(self.process, number)

    def terminate(self):
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """End it."""
        self.send_signal(signal.SIGKILL)


def announce(pipe):
    """Let training write a byte to ``pipe`` before each step and each checkpoint."""
    if pipe is None:
        return
    from sv import checkpoint
    from sv.training.trainer import Trainer

    def telling(function):
        def told(*arguments):
            with contextlib.suppress(BrokenPipeError):
                os.write(pipe, b".")
            return function(*arguments)

        return told

    Trainer.train_step = telling(Trainer.train_step)
    checkpoint.save_state = telling(checkpoint.save_state)


def live(arguments, log, events, rng, processes=1):
    """Train until ``events`` have happened and a little longer, then kill.

    events: None to train to the end.

    Returns how it ended, "killed", "complete" (before the kill), "failed" or "hung", and how many
    processes were killed.
    """
    process, pipe = start(arguments, log, processes)
    seen, times, victims, dead = 0, [time.monotonic()], [], False
    while not dead and (events is None or seen < events):
        if not select.select([pipe], [], [], PATIENCE)[0]:
            break
        got = os.read(pipe, 1 if events else 4096)
        dead, seen = not got, seen + len(got)
        times.append(time.monotonic())
    hung = not dead and (events is None or seen < events)
    if not dead:
        gaps = sorted(b - a for a, b in zip(times[1:], times[2:], strict=False)) or [0.02]
        time.sleep(rng.uniform(0, 1.2 * gaps[len(gaps) // 2]))
        victims = [process, *children(process)]
        if not hung and len(victims) > 1 and rng.random() < 0.5:
            victims = [rng.choice(victims[1:])]
        kill(victims)
        if not ended(pipe, END):
            hung = True
            kill([process, *children(process)])
    os.close(pipe)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if hung:
        return "hung", 0
    if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return "killed", len(victims)
    return ("complete" if status == 0 else "failed"), 0


def children(process):
    """Return the process ids of the children of a process."""
    try:
        return [
            int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    except FileNotFoundError:
        return []


def kill(victims):
    """End the processes, of which some may have ended, the first of them first."""
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


def ended(pipe, patience):
    """Wait until nobody has the pipe open for writing; False if that takes too many seconds."""
    until = time.monotonic() + patience
    while select.select([pipe], [], [], max(0, until - time.monotonic()))[0]:
        if not os.read(pipe, 4096):
            return True
    return False


def damage(path, rng):
    """Tear the file, or flip a bit of it."""
    data = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        del data[rng.randrange(len(data)) :]
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def equal(a, b):
    """Tell whether two checkpoints hold the same values to the bit."""
    import torch

    if isinstance(a, torch.Tensor):
        return torch.equal(a, b) and a.dtype == b.dtype
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def differences(whole, killed, epochs):
    """Return the names of what two experiment folders do not have in common."""
    from sv import checkpoint

    states = [checkpoint.load(checkpoint.state_path(exp)) for exp in (whole, killed)]
    names = ("epoch", "step", "method", "optimizer", "random", "watch")
    found = [name for name in names if not equal(*(state[name] for state in states))]
    models = [checkpoint.load(checkpoint.epoch_path(exp, epochs)) for exp in (whole, killed)]
    if not equal(*models):
        found.append("model")
    rows = [(exp / "train.jsonl").read_text().splitlines() for exp in (whole, killed)]
    logs = [[(r["epoch"], r["loss"]) for r in map(json.loads, text)] for text in rows]
    if logs[0] != logs[1]:
        found.append("train.jsonl")
    return found


def examine(case, folder, options):
    """Run one case; return a dict for the report."""
    rng = random.Random(f"{options.seed} {case}")
    method, more = CASES[case]
    # Batches by speaker are fewer: a life sees more epochs.
    epochs = options.epochs or options.kills * (4 if supervised(method) else 1) + 2
    settings = settings_of(method, *more, f"train.epochs={epochs}", "train.keep=2")
    data = folder.parent / "data"
    words = ["--data", str(data), "--device", "cpu"]
    if supervised(method):
        words += ["--labels", str(data / "labels")]
    if case.startswith("chns"):
        words += ["--clusters", str(data)]
    words += [part for text in [*settings, *options.set] for part in ("--set", text)]
    whole, killed = folder / "whole", folder / "killed"
    log, result = folder / "log", {"case": case, "kills": 0, "of_one": 0, "damaged": 0}
    folder.mkdir()
    common = {"log": log, "rng": rng, "processes": options.processes}
    outcome, _ = live([*words, "--out", str(whole)], events=None, **common)
    words += ["--out", str(killed)]
    while outcome in ("killed", "complete") and result["kills"] < options.kills:
        events = rng.randint(1, 2 * (STEPS + 1))
        outcome, victims = live(words, events=events, **common)
        if outcome == "complete":
            break
        result["kills"] += outcome == "killed"
        result["of_one"] += victims == 1 < options.processes
        checkpoints = killed / "checkpoints"
        both = all((checkpoints / name).exists() for name in ("last.pt", "previous.pt"))
        if outcome == "killed" and both and rng.random() < options.damage:
            damage(checkpoints / "last.pt", rng)
            result["damaged"] += 1
            outcome, _ = live(words, events=2 * (STEPS + 1), **common)
    if outcome in ("killed", "complete"):
        outcome, _ = live(words, events=None, **common)
    found = [outcome] if outcome != "complete" else differences(whole, killed, epochs)
    if found:
        print(log.read_text()[-3000:], file=sys.stderr)
    return {**result, "different": found}


def main():
    """Parse, run the cases, print, and return the exit status."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES))
    p.add_argument("--kills", type=COUNT, default=20, help="of each case (default: 20)")
    p.add_argument(
        "--epochs",
        type=COUNT,
        help="of three steps each (default: kills + 2, or four times as many)",
    )
    p.add_argument("--damage", type=SHARE, default=0.0, help="share of kills that spoil last.pt")
    p.add_argument("--processes", type=JOBS, default=1, help="that train together (default: 1)")
    p.add_argument("--seed", type=SEED, default=0, help="of the moments (default: 0)")
    p.add_argument("--set", action="append", default=[], metavar="GROUP.KEY=VALUE")
    options = p.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch: a fork has no other threads
    import torch._dynamo  # noqa: F401  every optimiser loads it, in more time than a life takes

    import sv.bin.train
    import sv.training.trainer  # noqa: F401

    failed = False
    with tempfile.TemporaryDirectory() as work:
        write_data(Path(work, "data"))
        for case in options.case:
            result = examine(case, Path(work, case), options)
            print(json.dumps(result), flush=True)
            failed = failed or bool(result["different"])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

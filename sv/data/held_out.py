"""A development set: some speakers, true or pseudo, that leave the training set."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.data.subset import write_part
from sv.data.trial_labels import strictest_trials
from sv.errors import InputError
from sv.files import atomic_write
from sv.kaldi.arks import read_scp

NOTE = "held_out.json"


class HeldOut(NamedTuple):
    """A development set. ``labels``: those that chose it, "speakers" or "clusters"."""

    folder: Path
    speakers: int
    labels: str

    @classmethod
    def read(cls, folder: str | Path) -> "HeldOut":
        """Read what ``hold_out`` has written. Raises ``InputError`` if there is nothing."""
        folder = Path(folder)
        try:
            note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
            return cls(folder, int(note["speakers"]), str(note["labels"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{folder} holds no development set: make one with sv.bin.hold_out (a recipe: "
                "stage 1 with --dev-speakers)"
            ) from None


def choose_speakers(speakers: Mapping[str, list[str]], count: int, seed: int) -> list[str]:
    """Return ``count`` speakers with two utterances or more, drawn by ``seed``, sorted.

    ``speakers``: speaker -> utterances. Raises ``InputError`` if there are too few of them, or if
    fewer than two would be left to train on.
    """
    able = sorted(name for name, own in speakers.items() if len(own) > 1)
    if count < 2 or count > len(able) or len(speakers) - count < 2:
        raise InputError(
            f"{count} development speakers of {len(speakers):,}, of whom {len(able):,} have two "
            f"utterances or more: take from 2 to {max(2, min(len(able), len(speakers) - 2)):,}"
        )
    return sorted(np.random.default_rng(seed).permutation(able)[:count].tolist())


def hold_out(
    data: Path,
    out: Path,
    utt2spk: Mapping[str, str],
    *,
    labels: str,
    count: int,
    seed: int = 0,
    number: int | None = None,
    sessions: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
) -> tuple[HeldOut, int, int]:
    """Write ``out/train`` and ``out/dev`` with its trials, and the labels of ``out/dev``.

    Parameters
    ----------
    data: the training set, which stays as it is.
    utt2spk: true speakers or clusters, as ``labels`` says.
    number: of trials, at most; None: as many as there are.
    sessions, groups: as for trials (``sv.data.trial_labels``); utterances may lack them.

    Returns the development set, and the numbers of its utterances and of its trials.
    """
    ids = list(read_scp(data / "utt2spk"))
    missing = [name for name in ids if name not in utt2spk]
    if missing:
        raise InputError(
            f"{len(missing):,} of the {len(ids):,} utterances of {data} have no label, the first "
            f"is {missing[0]}: give labels of this training set"
        )
    speakers: dict[str, list[str]] = defaultdict(list)
    for name in ids:
        speakers[utt2spk[name]].append(name)
    chosen = choose_speakers(speakers, count, seed)
    dev = sorted(name for speaker in chosen for name in speakers[speaker])
    trials = strictest_trials(dev, utt2spk, sessions, groups, number, seed)
    left = set(ids).difference(dev)
    write_part(data, [name for name in ids if name in left], out / "train")
    lines = "".join(f"{label} {enrol} {test}\n" for label, enrol, test in trials)
    write_part(data, dev, out / "dev", lines)
    for name, table in (("utt2spk", utt2spk), ("utt2session", sessions), ("utt2group", groups)):
        if table is not None and all(one in table for one in dev):
            with atomic_write(out / "labels" / "dev" / name) as handle:
                handle.writelines(f"{one} {table[one]}\n" for one in dev)
    note = {"speakers": count, "labels": labels, "seed": seed, "trials": len(trials)}
    with atomic_write(out / NOTE) as handle:
        json.dump(note, handle, indent=1)
        handle.write("\n")
    return HeldOut(out, count, labels), len(dev), len(trials)

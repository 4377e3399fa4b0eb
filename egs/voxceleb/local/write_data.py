"""Make data directories of VoxCeleb from the tables that scan_audio.sh wrote.

Writes OUT/train (of the parts that --train-set names), OUT/voxceleb1 (what the trial lists name),
true labels in OUT/labels/{train,voxceleb1}, and the lists in OUT/trials: vox1-o, vox1-e, vox1-h
with utterance ids. A list with speakers of the training set is refused; with --contaminated true
its name ends in -contaminated, and so do its scores and its row of results.

Example:
  python write_data.py --scanned data/lists --trials corpus/trials --out data
"""

import contextlib
import dataclasses
from pathlib import Path

import voxceleb

from sv.cli import parser, run
from sv.corpora.counts import expected_counts
from sv.corpora.scan import read_scanned
from sv.data.guard import check_disjoint
from sv.data.manifests import staged_data_dir
from sv.data.replaced import replaced_directory
from sv.data.trial_checks import doubts
from sv.data.trials import Trials, refuse_missing, write_trials
from sv.data.utterance import Utterance
from sv.errors import InputError
from sv.files import atomic_write
from sv.numbers import SHARE


def main(argv: list[str] | None = None) -> None:
    """Parse, read, check, write."""
    p = parser(__doc__)
    p.add_argument("--scanned", type=Path, required=True, help="folder of tables, one a part")
    p.add_argument("--trials", type=Path, required=True, help="folder of the official lists")
    p.add_argument("--train-set", default="voxceleb2", help="parts to train on, joined by +")
    p.add_argument("--lists", default="o e h", help="trial lists: some of o, e, h")
    p.add_argument("--counts", default="published", help="published, any, or a file of counts")
    p.add_argument("--contaminated", choices=["true", "false"], default="false", help="allow it")
    p.add_argument("--max-bad", type=SHARE, default=0.01, help="tolerated share of bad files")
    p.add_argument("--out", type=Path, required=True, help="where the sets go")
    args = p.parse_args(argv)
    expected = expected_counts(args.counts, voxceleb.PUBLISHED)
    lists = voxceleb.read_lists(args.lists, args.trials, expected)
    parts = {
        part: read_part(part, args.scanned, args.out, args.max_bad)
        for part in voxceleb.parts_needed(args.train_set, args.lists)
    }
    train_parts = voxceleb.train_parts(args.train_set)
    train = [utterance for part in train_parts for utterance in parts[part]]
    spoken = {u.id: u for part in parts if part.startswith("voxceleb1") for u in parts[part]}
    tested: set[str] = set()
    for trials in lists.values():
        refuse_missing(trials, spoken, "VoxCeleb1 as it was found here")
        tested.update(trials.names)
    test = [dataclasses.replace(spoken[name], group=None) for name in sorted(tested)]
    named = guard(lists, train, spoken, allow=args.contaminated == "true")
    write(args.out, train, test, named)
    summarise(args.out, train, test, named, train_parts)


def read_part(part: str, scanned: Path, out: Path, max_bad: float) -> list[Utterance]:
    """Return the utterances of a part with their speakers; list the bad files."""
    tables = sorted((scanned / part).glob("scanned.*.tsv"))
    if not tables:
        raise InputError(f"{scanned / part}: holds no tables; run scan_audio.sh first")
    good, bad = read_scanned(tables)
    listed = out / f"bad_files.{part}"
    listed.unlink(missing_ok=True)
    if bad:
        with atomic_write(listed) as handle:
            handle.writelines(f"{path}\t{reason}\n" for path, reason in bad)
        print(f"{part}: {len(bad):,} files cannot be used and are left out, see {listed}")
    if len(bad) > max_bad * (len(good) + len(bad)):
        raise InputError(
            f"{part}: {len(bad):,} of {len(good) + len(bad):,} files cannot be used, the first: "
            f"{bad[0][0]}: {bad[0][1]}; all are listed in {listed}; repair them, or raise --max-bad"
        )
    result = []
    for u in good:
        # <speaker>-<video>-<utterance>; the name of a video may have dashes.
        speaker, _, rest = u.id.partition("-")
        session = rest.rpartition("-")[0]
        result.append(dataclasses.replace(u, speaker=speaker, session=session, group=part))
    return result


def guard(
    lists: dict[str, Trials], train: list[Utterance], spoken: dict[str, Utterance], allow: bool
) -> dict[str, Trials]:
    """Return the lists by their new names; refuse or mark lists with training speakers."""
    training = {u.id: u.speaker for u in train}
    named = {}
    for name, trials in lists.items():
        try:
            test = {one: spoken[one].speaker for one in trials.names}
            shared = check_disjoint(training, test, allow=allow)
        except InputError as error:
            raise InputError(
                f"{name}: {error}; or leave this list out (--lists o), or --contaminated true to "
                "score it and mark the result"
            ) from None
        if shared:
            print(f"{name}: CONTAMINATED, {len(shared):,} of its speakers are trained on; marked")
        named[name + ("-contaminated" if shared else "")] = trials
    return named


def write(
    out: Path,
    train: list[Utterance],
    test: list[Utterance],
    named: dict[str, Trials],
) -> None:
    """Write both sets, their labels and the lists: all of them, or none."""
    labels = out / "labels"
    with contextlib.ExitStack() as stack:
        stack.enter_context(staged_data_dir(out / "train", train, labels_dir=labels / "train"))
        stack.enter_context(
            staged_data_dir(out / "voxceleb1", test, labels_dir=labels / "voxceleb1")
        )
        folder = stack.enter_context(replaced_directory(out / "trials", marker="lists"))
        (folder / "lists").write_text("".join(f"{name}\n" for name in named))
        for name, trials in named.items():
            write_trials(folder / name, trials)


def summarise(
    out: Path,
    train: list[Utterance],
    test: list[Utterance],
    named: dict[str, Trials],
    parts: list[str],
) -> None:
    """Print a summary of the sets."""
    for name, utterances in (("train", train), ("voxceleb1", test)):
        hours = sum(u.duration for u in utterances) / 3600
        print(
            f"{out / name}: {len({u.speaker for u in utterances}):,} speakers, "
            f"{len(utterances):,} utterances, {hours:,.1f} h"
        )
    for name, trials in named.items():
        targets = int(trials.labels.sum())
        print(f"{out / 'trials' / name}: {targets:,} target, {len(trials) - targets:,} non-target")
        for text in doubts(trials, {u.id: u.speaker for u in test}):
            print(f"warning: {name}: {text}")
    for overlap in voxceleb.OVERLAPS:
        if overlap.train in parts:
            print(
                f"note: trained on {overlap.train}, do not test on {overlap.test}: {overlap.reason}"
            )


if __name__ == "__main__":
    run(main)

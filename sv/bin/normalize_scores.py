"""Stage 7: normalise scores by a cohort: Z-, T-, S- or AS-norm.

Each side of a trial is scored against a cohort of other people. The score of the trial is then
standardised by the mean and the deviation of these cohort scores. This makes the scores of easy and
difficult recordings comparable. It usually lowers minDCF more than the EER. A cohort needs no
labels: it may be training utterances, or means of clusters.

Give the same --embeddings, --center-on and --plda as for the scores. The program re-scores some
trials as a check.

Example:
  python -m sv.bin.normalize_scores --scores exp/simclr/scores/test --kind as --top-n 300 \\
      --embeddings scp:exp/simclr/embeddings/test.scp \\
      --cohort scp:exp/simclr/embeddings/train.scp --output exp/simclr/as-norm/scores/test
"""

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np

from sv.cli import parser, run
from sv.errors import InputError
from sv.numbers import COUNT
from sv.scoring.norms import NORMS
from sv.scoring.pairs import Sides, score_sides
from sv.scoring.score_file import Scores, read_info, read_scores, strongest, write_scores
from sv.scoring.system import (
    add_cohort_options,
    add_system_options,
    load_backend,
    load_cohort,
    load_sides,
)

CHECKED = 1000


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, normalise, write."""
    p = parser(__doc__)
    p.add_argument("--scores", type=Path, required=True, help="the score file to normalise")
    p.add_argument(
        "--kind",
        choices=NORMS,
        default="as",
        help="z: by the enrolment side; t: by the test side; s: by both; as: by both, "
        "with only the highest cohort scores of each",
    )
    p.add_argument(
        "--top-n",
        type=COUNT,
        default=300,
        help="for as: number of highest cohort scores that count. With too few, the mean "
        "is noisy; with too many, the result is S-norm. 200 to 400 is usual; take "
        "far fewer if the cohort is small",
    )
    add_system_options(p)
    add_cohort_options(p)
    p.add_argument("--output", type=Path, required=True, help="the score file to write")
    args = p.parse_args(argv)
    if args.output.resolve() == args.scores.resolve():
        raise InputError("--output is the file of --scores; give another, to keep those scores")

    scores = read_scores(args.scores)
    backend, info = load_backend(args)
    trials = scores.as_trials()
    sides = load_sides(args, backend, trials)
    refuse_other_system(scores, sides)
    cohort, cohort_info = load_cohort(args, backend, trials)
    size = cohort_info["size"]
    if args.kind == "as" and args.top_n >= size:
        print(
            f"note: --top-n {args.top_n} takes all of a cohort of {size}: this is S-norm. Take a "
            "tenth of the cohort or less for AS-norm",
            file=sys.stderr,
        )
    norm = NORMS[args.kind](args.kind, args.top_n).fit(cohort)
    normalised = norm.transform(scores.values, sides)
    write_scores(args.output, trials, normalised, facts(args, info, cohort_info))
    print(
        f"{len(trials):,} scores, {args.kind.upper()}-norm by {size:,} {cohort_info['members']} "
        f"of {args.cohort}, in {args.output}"
    )
    if cohort_info["labels"] == "speakers":
        print("The cohort uses true speaker labels: this result is not self-supervised.")


def facts(args: Namespace, info: dict, cohort_info: dict) -> dict:
    """Return the facts for the report."""
    before = read_info(args.scores)
    cohort_info = {"kind": args.kind, **cohort_info}
    if args.kind == "as":
        cohort_info["top_n"] = args.top_n
    labels = strongest(before.get("labels", "none"), info["labels"], cohort_info["labels"])
    return {**before, **info, "labels": labels, "normalisation": cohort_info}


def refuse_other_system(scores: Scores, sides: Sides) -> None:
    """Score some trials again; raise ``InputError`` if the file has other scores."""
    rows = np.unique(np.linspace(0, len(scores.values) - 1, CHECKED).round().astype(np.int64))
    part = sides._replace(enrol_rows=sides.enrol_rows[rows], test_rows=sides.test_rows[rows])
    again, given = score_sides(part), scores.values[rows]
    far = np.flatnonzero(~(np.abs(again - given) <= 1e-4 * np.maximum(1.0, np.abs(given))))
    if len(far):
        row = rows[far[0]]
        raise InputError(
            f"{scores.path}: {len(far)} of {len(rows)} scores are not those of these embeddings, "
            f"first {scores.names[scores.enrol[row]]} {scores.names[scores.test[row]]}: "
            f"{given[far[0]]:.6f} in the file, {again[far[0]]:.6f} now; give the options "
            "(--embeddings, --center-on, --plda) that the scores were made with"
        )


if __name__ == "__main__":
    run(main)

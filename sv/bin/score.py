"""Stage 7: score a list of trials by the cosine of two embeddings, or by PLDA.

Trials are lines "1 enrol test" or "0 enrol test" (VoxCeleb), "enrol test target|nontarget"
(Kaldi), or "enrol test". The output has a line "<enrol> <test> <score>" for each trial, in the same
order; a higher score means more similar. Labels are not used. OUTPUT.json says how the scores were
made.

Example:
  python -m sv.bin.score --trials data/test/trials \\
      --embeddings scp:exp/simclr/embeddings/test.scp --output exp/simclr/scores/test
"""

import sys
from pathlib import Path

from sv.cli import parser, run
from sv.data.trials import read_trials
from sv.scoring.pairs import score_sides
from sv.scoring.score_file import write_scores
from sv.scoring.system import add_system_options, load_backend, load_sides


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, score, write."""
    p = parser(__doc__)
    p.add_argument("--trials", type=Path, required=True, help="the trial list")
    add_system_options(p)
    p.add_argument("--output", type=Path, required=True, help="the score file to write")
    args = p.parse_args(argv)

    trials = read_trials(args.trials)
    if trials.duplicates:
        print(
            f"note: {trials.duplicates} of {len(trials):,} trials in {args.trials} repeat an "
            "earlier pair; they are scored and count each time",
            file=sys.stderr,
        )
    backend, info = load_backend(args)
    scores = score_sides(load_sides(args, backend, trials))
    write_scores(args.output, trials, scores, info)
    print(f"{len(trials):,} scores in {args.output}")


if __name__ == "__main__":
    run(main)

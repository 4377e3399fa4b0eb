"""Stage 7 for mixtures: score trials by the best pair of separated sources.

With a separative encoder every recording has an embedding for each of its speakers. The score of a
trial is the largest cosine between a source of one side and a source of the other side. It answers
the question: is the enrolled speaker among those who speak? (sv.bin.score compares only the
dominant sources.) Labels are not used.

Example:
  python -m sv.bin.score_sources --model exp/csc/final.pt --data data/test_0db \\
      --trials data/test_0db/trials --output exp/csc-sources/scores/test_0db
"""

from pathlib import Path

from sv.cli import parser, run
from sv.numbers import SHARE


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, embed the sources, score, write."""
    p = parser(__doc__)
    p.add_argument("--model", type=Path, required=True, help="final.pt of a separative encoder")
    p.add_argument("--data", type=Path, required=True, help="data directory with feats.scp")
    p.add_argument("--trials", type=Path, required=True, help="the trial list")
    p.add_argument("--output", type=Path, required=True, help="the score file to write")
    p.add_argument(
        "--least-share",
        type=SHARE,
        default=0.1,
        help="a source with at least this share of the energy counts as a speaker. If "
        "the share is too low, remainders of the separation are compared too, and "
        "non-targets score higher. 1: only the dominant source",
    )
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = p.parse_args(argv)

    from sv.data.trials import read_trials
    from sv.device import choose_device
    from sv.inference.sources import score_sources
    from sv.scoring.score_file import write_scores

    trials = read_trials(args.trials)
    device = choose_device(args.device)
    scores = score_sources(args.model, args.data, trials, args.least_share, device)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    info = {"backend": "cosine of the best pair of sources", "labels": "none"}
    write_scores(args.output, trials, scores, info)
    print(f"{len(trials):,} scores in {args.output}")


if __name__ == "__main__":
    run(main)

"""Stage 7: calibrate scores to log-likelihood ratios, or fuse the scores of several systems.

Logistic regression learns, from a labelled list of development trials, a weight for each system's
score and for each measure of quality. The result is a log-likelihood ratio (natural logarithm).
Accept a trial if the ratio is at least ln[c_fa (1-p) / (c_miss p)]; p is the prior of your
application.

The development trials must come from other speakers than the test, for example from training
speakers. If the calibration learns on the test list itself, the figures are too good, and the
result is marked.

Examples:
  python -m sv.bin.calibrate --dev-trials data/dev/trials --dev-scores exp/a/scores/dev \\
      --model exp/a/calibration.safetensors --scores exp/a/scores/test \\
      --output exp/a/calibrated/scores/test
  python -m sv.bin.calibrate --dev-trials data/dev/trials --model exp/fused/model.safetensors \\
      --dev-scores exp/a/scores/dev exp/b/scores/dev --dev-quality data/dev/utt2dur \\
      --scores exp/a/scores/test exp/b/scores/test --quality data/test/utt2dur \\
      --output exp/fused/scores/test
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from sv.cli import parser, run
from sv.data.trials import Trials, read_trials
from sv.errors import InputError
from sv.numbers import PRIOR
from sv.scoring import metrics
from sv.scoring.calibration import Calibration
from sv.scoring.fusion import gather
from sv.scoring.score_file import read_info, read_scores, strongest, write_scores


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="FILE.safetensors",
        help="the calibration file: written with --dev-trials, read without it",
    )
    group = p.add_argument_group("learn (leave out these options to apply an existing model)")
    group.add_argument("--dev-trials", type=Path, metavar="FILE", help="labelled trials")
    group.add_argument(
        "--dev-scores",
        nargs="+",
        metavar="FILE",
        help="score files of these trials, one for each system",
    )
    group.add_argument(
        "--dev-quality",
        nargs="+",
        default=[],
        metavar="SOURCE",
        help="measures of quality: utt2dur or another file of lines 'utterance number' "
        "(above 0), or scp:E.scp for the magnitudes of embeddings. They help if "
        "durations differ a lot. Each measure costs two weights, so give none if "
        "there are only a hundred trials",
    )
    group.add_argument(
        "--p-target",
        type=PRIOR,
        default=0.05,
        help="prior at which the ratios should be best: the prior of your application",
    )
    group = p.add_argument_group("apply")
    group.add_argument(
        "--scores",
        nargs="+",
        metavar="FILE",
        help="score files of one list, in the same order as --dev-scores",
    )
    group.add_argument(
        "--quality",
        nargs="+",
        default=[],
        metavar="SOURCE",
        help="the same measures of quality for this list, in the same order",
    )
    group.add_argument("--output", type=Path, metavar="FILE", help="the score file to write")
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, learn, apply."""
    args = options().parse_args(argv)
    if not args.dev_trials and not args.scores:
        raise InputError("nothing to do: give --dev-trials to learn, --scores to apply, or both")
    if bool(args.dev_trials) != bool(args.dev_scores):
        raise InputError("--dev-trials and --dev-scores go together: give both or neither")
    if bool(args.scores) != bool(args.output):
        raise InputError("--scores and --output go together: give both or neither")
    model = learn(args) if args.dev_trials else Calibration.load(args.model)
    if args.scores:
        apply(args, model)


def learn(args: Namespace) -> Calibration:
    """Fit, save, and print the weights and Cllr."""
    trials = read_trials(args.dev_trials)
    labels = trials.require_both_classes()
    columns, names = gather(trials, args.dev_scores, args.dev_quality)
    model = Calibration(args.p_target).fit(columns, labels, names)
    model.learned_from_ = {"trials": str(args.dev_trials), "pairs": trials.digest()}
    model.save(args.model)
    llr = model.transform(columns)
    for name, weight in zip(model.names_, model.weights_, strict=True):
        print(f"{weight:12.4f}  {name}")
    print(f"{model.intercept_:12.4f}  constant")
    for text in model.doubts:
        print(f"warning: {text}", file=sys.stderr)
    print(
        f"On {len(trials):,} trials of {args.dev_trials}: Cllr {metrics.cllr(llr, labels):.4f} "
        f"(least possible {metrics.min_cllr(llr, labels):.4f}); calibration in {args.model}"
    )
    return model


def apply(args: Namespace, model: Calibration) -> None:
    """Write the log-likelihood ratios of ``args.scores``."""
    trials = read_scores(args.scores[0]).as_trials()
    columns, names = gather(trials, args.scores, args.quality)
    if names != model.names_:
        raise InputError(
            f"{args.model} was learned from {', '.join(model.names_)}; the columns here are "
            f"{', '.join(names)}; give the same score files and measures, in the same order"
        )
    llr = model.transform(columns)
    write_scores(args.output, trials, llr, facts(args, model, trials))
    print(f"{len(trials):,} log-likelihood ratios in {args.output}")


def facts(args: Namespace, model: Calibration, trials: Trials) -> dict:
    """Return the facts for the report; the scores of a single system keep their earlier facts."""
    before = [read_info(path) for path in args.scores]
    learned = model.learned_from_
    on_test = learned.get("pairs") == trials.digest()
    if on_test:
        print(
            f"warning: {args.model} was learned from these same trials; its figures on them are "
            "too good",
            file=sys.stderr,
        )
    info = dict(before[0]) if len(before) == 1 else {"backend": "fusion", "fused": before}
    info["labels"] = strongest(*(each.get("labels", "none") for each in before))
    info["llr"] = True
    info["calibration"] = {
        "negative_weight": bool(model.negative),
        "model": str(args.model),
        "p_target": model.p_target,
        "learned_from": learned.get("trials"),
        "columns": model.names_,
        "learned_on_test": on_test,
    }
    return info


if __name__ == "__main__":
    run(main)

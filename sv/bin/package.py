"""Make a model directory, with everything that is needed to recognise speakers, from an experiment.

The program writes DIR/model.safetensors (weights), config.yaml (encoder and features) and README.md
(the model card: training, measured figures, limits). With labelled trials or a
fitted calibration it also writes calibration.json, which turns a cosine into a log-likelihood
ratio. You can copy the folder anywhere; sv.load, `sv verify`, `sv embed` and `sv export` read it.

The calibration is for use, not for evaluation. A user may use a calibration that was fitted on the
list of the EER, but its own quality must be measured on other trials.

Examples:
  python -m sv.bin.package --exp exp/simclr --out exp/simclr/model
  python -m sv.bin.package --exp exp/simclr --out exp/simclr/model \\
      --embeddings exp/simclr/embeddings/test.scp --trials data/test/trials
"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path

from sv.cli import parser, run
from sv.errors import InputError
from sv.numbers import PRIOR, SAMPLE_RATE


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument("--exp", type=Path, required=True, help="experiment folder, after stage 6")
    p.add_argument("--out", type=Path, required=True, help="model directory to write or replace")
    p.add_argument("--model", type=Path, help="file of weights (default: EXP/final.pt)")
    p.add_argument(
        "--report", type=Path, help="figures for the model card (default: EXP/report/report.json)"
    )
    p.add_argument(
        "--train-data", type=Path, metavar="DIR", help="training set; the model card gives its size"
    )
    p.add_argument(
        "--sample-rate",
        type=SAMPLE_RATE,
        default=16000,
        help="sample rate in Hz of the features' audio; a wrong rate ruins every score",
    )
    p.add_argument(
        "--whitening",
        type=Path,
        metavar="FILE",
        help="whiten every embedding by this file of sv.bin.whiten, so that cosines are those of "
        "sv.bin.score --whitening. The model card then has the figures of that system",
    )
    p.add_argument(
        "--like",
        type=Path,
        metavar="SCORES",
        help="score as this file was scored, by the facts beside it (SCORES.json): whiten every "
        "embedding, or AS-normalise every cosine by its cohort, which the folder then holds. The "
        "report must have this system first",
    )
    group = p.add_argument_group("calibration")
    group.add_argument(
        "--embeddings",
        type=Path,
        metavar="SCP",
        help="embeddings of the recordings in --trials, made by this model. The "
        "calibration is fitted to the scores that the model directory gives: plain "
        "cosines, whitened with --whitening, or as --like says",
    )
    group.add_argument("--trials", type=Path, help="labelled trials to fit the calibration on")
    group.add_argument(
        "--p-target",
        type=PRIOR,
        default=0.05,
        help="prior at which the fit should be best; with a small prior, high scores count more",
    )
    group.add_argument(
        "--calibration",
        type=Path,
        help="use this calibration instead: a calibration.json, or a file that "
        "sv.bin.calibrate learned from plain cosines",
    )
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, gather, write."""
    args = options().parse_args(argv)
    if (args.embeddings is None) != (args.trials is None):
        raise InputError("give --embeddings and --trials together, or neither")
    if args.trials is not None and args.calibration is not None:
        raise InputError("give either --embeddings with --trials, or --calibration, not both")
    if not args.exp.is_dir():
        what = "a file, not the folder of an experiment" if args.exp.exists() else "no such folder"
        raise InputError(f"--exp {args.exp}: {what}; stage 3 writes one, such as exp/simclr")

    from sv.inference import model_dir
    from sv.inference.embedder import Embedder
    from sv.report.card import training_card
    from sv.report.model_card import model_card
    from sv.scoring.system import whitening_facts
    from sv.scoring.whitening import Whitening

    cohort = None
    if args.like is not None:
        cohort = _scored_like(args)
    path = args.model or args.exp / "final.pt"
    embedder = Embedder.load(path)
    features = model_dir.FeatureConfig(
        args.sample_rate, embedder.mel_bins, embedder.normalise, embedder.preset
    )
    rate = embedder.encoder.sample_rate or args.sample_rate
    if rate != args.sample_rate:
        raise InputError(f"the model takes audio at {rate} Hz: --sample-rate {rate}")
    whitening = None if args.whitening is None else Whitening.load(args.whitening)
    dim = embedder.encoder.embedding_dim
    if whitening is not None and len(whitening.mean_) != dim:
        raise InputError(
            f"{args.whitening} whitens {len(whitening.mean_)} dimensions, and the model gives "
            f"{dim}: learn it from embeddings of this model"
        )
    calibration = _calibration(args, whitening, cohort)
    weights = embedder.encoder.state_dict()
    card = model_card(
        args.exp.absolute().name,
        training_card(args.exp, args.train_data),
        features,
        dim if whitening is None else whitening.projection_.shape[1],
        sum(weight.numel() for weight in embedder.encoder.parameters()),
        _figures(args.report, args.exp / "report" / "report.json", args.whitening),
        calibration,
        "" if whitening is None else whitening_facts(args.whitening)["by"],
        "" if cohort is None else f"{len(cohort[0]):,} training utterances, top {cohort[1]}",
    )
    arrays = None if whitening is None else arrays_of(whitening)
    members = None if cohort is None else _tensors(*cohort)
    model_dir.write(
        args.out, weights, embedder.settings, features, calibration, card, arrays, members
    )
    print(f"model directory: {args.out}" + ("" if calibration else " (without calibration)"))


def _scored_like(args):
    """Set ``--whitening`` as the scores ``--like`` had it; return their cohort, or None.

    A cohort is (rows (n, dim) of length one, top_n).
    """
    from sv.kaldi.arks import load_vectors
    from sv.scoring.cosine import unit_rows
    from sv.scoring.score_file import read_info

    info = read_info(args.like)
    norm, how = info.get("normalisation"), info.get("whitening")
    known = {"backend", "labels", "embeddings", "normalisation", "whitening"}
    wrong = info.keys() - known or info.get("backend") != "cosine" or (norm and how)
    if not wrong and norm:
        wrong = norm.get("kind") != "as" or norm.get("members") != "utterances"
    if wrong or args.whitening is not None or (how and "file" not in how):
        raise InputError(
            f"--like {args.like}: a model can whiten, or AS-normalise by utterances, and these "
            "scores are made otherwise; give scores of score_kinds.sh and no --whitening"
        )
    if how:
        args.whitening = Path(how["file"])
    if not norm:
        return None
    ids, vectors = load_vectors(norm["cohort"])
    if len(ids) != norm["size"]:
        raise InputError(
            f"--like {args.like}: its cohort had {norm['size']:,} utterances, and {norm['cohort']} "
            f"has {len(ids):,}: run stage 7 again"
        )
    return unit_rows(ids, vectors), norm["top_n"]


def _tensors(rows, top_n: int) -> dict:
    """Return a cohort as tensors."""
    import torch

    return {"rows": torch.from_numpy(rows), "top_n": torch.tensor([top_n])}


def arrays_of(whitening) -> dict:
    """Return ``mean`` and ``projection`` of a whitening as tensors, float32."""
    import torch

    arrays = {"mean": whitening.mean_, "projection": whitening.projection_}
    return {name: torch.from_numpy(array).float() for name, array in arrays.items()}


def _calibration(args, whitening, cohort):
    from sv.inference import model_dir

    if args.calibration is not None and args.calibration.suffix == ".json":
        return model_dir.read_calibration(args.calibration)
    if args.calibration is None and args.trials is None:
        return None
    from sv.files import sha256
    from sv.scoring.calibration import Calibration

    if args.calibration is not None:
        fitted, made_on = Calibration.load(args.calibration), args.calibration.name
        made_on = fitted.learned_from_.get("trials", made_on)
    else:
        from sv.data.trials import read_trials
        from sv.kaldi.arks import load_vectors
        from sv.scoring.cosine import Cosine
        from sv.scoring.pairs import Prepared, prepare_sides, score_sides
        from sv.scoring.score_norm import ScoreNorm
        from sv.scoring.whitening import WhitenedCosine

        trials = read_trials(args.trials)
        labels = trials.require_both_classes()
        sources = (str(args.embeddings), "")
        backend = Cosine() if whitening is None else WhitenedCosine(whitening)
        vectors = load_vectors(args.embeddings)
        sides = prepare_sides(trials, backend, vectors, sources=sources)
        scores = score_sides(sides)
        if cohort is not None:
            scores = ScoreNorm("as", cohort[1]).fit(Prepared(cohort[0])).transform(scores, sides)
        fitted = Calibration(args.p_target).fit(scores, labels)
        short = f"{args.trials.absolute().parent.name}/{args.trials.name}"
        made_on = f"{short} ({sha256(args.trials)}), {len(trials):,} trials"
    for text in fitted.doubts:
        print(f"warning: {text}", file=sys.stderr)
    if len(fitted.weights_) != 1:
        raise InputError(
            f"{made_on} fuses {len(fitted.weights_)} columns ({', '.join(fitted.names_)}); a model "
            "directory needs a calibration of the cosine alone"
        )
    return model_dir.CosineCalibration(float(fitted.weights_[0]), fitted.intercept_, made_on)


def _figures(given: Path | None, default: Path, whitening: Path | None) -> dict | None:
    """Return a report whose first system is the packaged one; None if it was not measured."""
    path = given or default
    if given is None and not path.exists():
        return None
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"{path} is not a report.json: run stage 8 again, or give --report"
        ) from None
    if whitening is None:
        return report
    from sv.files import sha256

    digest = sha256(whitening)
    systems = [one for one in report["systems"] if one.get("whitening") == digest]
    if not systems:
        print(
            f"warning: {path} has no figures of scores that {whitening} whitened", file=sys.stderr
        )
    return {**report, "systems": systems} if systems else None


if __name__ == "__main__":
    run(main)

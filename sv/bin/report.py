"""Stage 8: error rates of scores, with confidence intervals, curves and a report page.

The program prints a table with EER and minDCF of one or more systems on the same trials. The first
system is the system under test; the others are for comparison. Scores are matched to the trials by
pair, so a score file of another list is refused.

Examples:
  python -m sv.bin.report --scores exp/simclr/scores/test --trials data/test/trials
  python -m sv.bin.report --trials data/test/trials --utt2spk data/labels/test/utt2spk \\
      --scores trained=exp/a/scores/test untrained=exp/a/untrained/scores/test \\
      --exp exp/a --out exp/a/report --results RESULTS.md
"""

import math
from argparse import ArgumentParser, Namespace
from pathlib import Path

from sv.cli import parser, run
from sv.data.labels import read_label_file
from sv.data.speaker_groups import Groups, linked_groups, speaker_groups
from sv.data.trials import Trials, read_trials
from sv.errors import InputError
from sv.numbers import PRIOR, RESAMPLES, SEED
from sv.report.card import System, checks, doubtful, list_version
from sv.report.facts import training_facts
from sv.report.files import FILES, Outputs, Report, write_files
from sv.report.kinds import COSINE, KINDS, choose_scores, kind_tables, kinds_notes
from sv.report.results_table import append_row, columns, row
from sv.report.tables import difference_rows, figure_rows, group_rows, in_digits, text_table
from sv.scoring.evaluate import SystemResult, evaluate
from sv.scoring.score_file import match_scores, read_scores


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument(
        "--scores",
        nargs="+",
        required=True,
        metavar="[NAME=]FILE",
        help="score files; without a NAME, <exp>/scores/<set> gets the name <exp>",
    )
    p.add_argument("--trials", type=Path, required=True, help="trial list with labels")
    p.add_argument(
        "--p-target",
        type=PRIOR,
        nargs="+",
        default=[0.01, 0.05],
        help="priors for minDCF; with a small prior, false alarms count more. Figures with "
        "different priors cannot be compared",
    )
    p.add_argument(
        "--score",
        choices=[COSINE, *KINDS],
        default=COSINE,
        help="the kind of score that is the system, as sv.bin.package --score; another kind than "
        "the cosine is read from <exp>/<kind>/scores beside <exp>/scores. Choose it before you see "
        "the test set",
    )
    p.add_argument(
        "--kinds",
        nargs="*",
        choices=KINDS,
        default=[],
        help="kinds of other scores of the same embeddings to show beside the system's, those of "
        "them that exist in <exp>/<kind>/scores (local/score_kinds.sh makes them)",
    )
    p.add_argument(
        "--llr",
        action="store_true",
        help="the scores are calibrated log-likelihood ratios: the report then adds "
        "actDCF and Cllr",
    )
    _add_parts(p)
    _add_outputs(p)
    return p


def _add_parts(p: ArgumentParser) -> None:
    """Add the options on intervals, and on what is known of the utterances."""
    group = p.add_argument_group("intervals and parts")
    group.add_argument(
        "--utt2spk",
        type=Path,
        help="true speakers, for the intervals; without this file, groups are guessed "
        "from the trials",
    )
    group.add_argument(
        "--utt2group",
        type=Path,
        help="the part (corpus, language) of each utterance; the report then adds the EER "
        "inside each part",
    )
    group.add_argument(
        "--utt2session", type=Path, help="true sessions, for the colours of the map of embeddings"
    )
    group.add_argument(
        "--train-data",
        type=Path,
        metavar="DIR",
        help="the training set of the first system. The report then warns if the trials "
        "share recordings with it, or speakers (by the labels beside it)",
    )
    group.add_argument(
        "--list-name",
        help="name of the trial list, for instance 'VoxCeleb1-O (cleaned)'. The lists of "
        "VoxCeleb1 are recognised by the number of their trials and by the speakers",
    )
    group.add_argument(
        "--resamples",
        type=RESAMPLES,
        default=1000,
        help="number of draws of speakers for the 95%% intervals; below 200 the ends of "
        "the intervals are unstable, 0 gives no intervals",
    )
    group.add_argument("--seed", type=SEED, default=0, help="seed of these draws")


def _add_outputs(p: ArgumentParser) -> None:
    """Add the options that say what is written where."""
    group = p.add_argument_group("outputs")
    group.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="output folder for report.html and report.json, and for each picture as PNG "
        "and PDF: det, scores, map (of embeddings), curves (of training)",
    )
    group.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    group.add_argument(
        "--det",
        type=Path,
        metavar="FILE",
        help="write the DET curves of all systems to this file: PNG or PDF",
    )
    group.add_argument(
        "--histogram",
        type=Path,
        metavar="FILE",
        help="write the histograms to this file: PNG or PDF",
    )
    group.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write one page with all results to this file",
    )
    group.add_argument(
        "--results", type=Path, metavar="RESULTS.md", help="append a row to this file"
    )
    group.add_argument(
        "--exp",
        type=Path,
        metavar="DIR",
        help="experiment folder of the first system (train.json, config.yaml, "
        "train.jsonl); default: the folder above the scores/ of the first system",
    )
    group.add_argument(
        "--embeddings",
        help="embeddings of the first system, for the map: a Kaldi scp, or none. "
        "Default: the folder embeddings/ beside scores/, as in the recipes",
    )


def named(text: str) -> tuple[str, Path]:
    """Split ``NAME=FILE``; an existing file is never split."""
    name, equals, rest = text.partition("=")
    if equals and name and not Path(text).exists():
        return name, Path(rest)
    path = Path(text)
    folder = path.absolute().parent
    return (folder.parent.name if folder.name == "scores" else path.stem), path


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure, print, write."""
    args = options().parse_args(argv)
    systems = [named(text) for text in args.scores]
    _check(args, [name for name, _ in systems])
    report = _measure(args, systems)
    tables = _tables(report)
    report.tables = [("Figures", tables[0][1]), *tables[1:]]
    for heading, rows in tables:
        print(f"{heading}\n{text_table(rows)}\n")
    warnings = [f"warning: {c.text}" for c in report.checks if c.state == "warning"]
    for line in warnings + report.notes:
        print(line)
    outputs = _outputs(args)
    write_files(outputs, report)
    if outputs.html:
        print(f"report: {outputs.html}")
    if args.results:
        first = report.results[0]
        cells = row(first, args.trials, report.facts)
        added = append_row(args.results, columns(_priors(args), list(first.other_kinds)), cells)
        print(f"{'one row more' if added else 'the row exists already'} in {args.results}")


def _check(args: Namespace, names: list[str]) -> None:
    """Raise ``InputError`` for impossible options, before anything is measured."""
    for option, path in {"det": args.det, "histogram": args.histogram}.items():
        if path is not None and path.suffix not in (".png", ".pdf"):
            raise InputError(f"--{option} {path}: a picture must end in .png or .pdf")
    if len(set(names)) < len(names):
        raise InputError(f"--scores: two systems have the same name ({names}); give NAME=FILE")
    if args.exp is not None and not args.exp.is_dir():
        raise InputError(f"--exp {args.exp}: no such folder")


def _priors(args: Namespace) -> list[float]:
    """Return the priors of --p-target without duplicates."""
    return list(dict.fromkeys(args.p_target))


def _measure(args: Namespace, systems: list[tuple[str, Path]]) -> Report:
    """Return the figures of all systems and the facts about them, without tables."""
    trials = read_trials(args.trials)
    trials.require_both_classes()
    chosen = choose_scores(systems, args.score, args.kinds)
    systems = [(one.name, one.path) for one in chosen]
    scores = [match_scores(read_scores(path), trials) for _, path in systems]
    described = [System.of(*systems[0], args.exp, args.train_data)]
    described += [System.of(name, path) for name, path in systems[1:]]
    utt2spk = read_label_file(args.utt2spk) if args.utt2spk else None
    groups = speaker_groups(trials, utt2spk) if utt2spk else linked_groups(trials)
    how = {
        "groups": groups,
        "resamples": args.resamples,
        "seed": args.seed,
        "llr": args.llr or all(system.info.get("llr") for system in described),
        "utt2group": read_label_file(args.utt2group) if args.utt2group else None,
    }
    results = [
        evaluate(name, values, trials, _priors(args), **how)
        for (name, _), values in zip(systems, scores, strict=True)
    ]
    for one, result in zip(chosen, results, strict=True):
        result.kind = one.kind
        result.kinds = {
            kind: result
            if kind == one.kind
            else evaluate(
                name, match_scores(read_scores(path), trials), trials, _priors(args), **how
            )
            for kind, (name, path) in one.kinds.items()
        }
    return Report(
        results=results,
        systems=described,
        trials=trials,
        tables=[],
        notes=_notes(args, trials, groups, results) + kinds_notes(chosen),
        facts=training_facts(described[0].exp),
        checks=checks(described, trials, utt2spk) + doubtful(results, trials, groups, utt2spk),
        intervals=_intervals(args, groups, results),
        list_name=args.list_name or list_version(trials),
        speakers=groups.count if utt2spk else None,
        utt2spk=utt2spk,
        utt2session=read_label_file(args.utt2session) if args.utt2session else None,
        embeddings=_embeddings(args, described[0]),
    )


def _tables(report: Report) -> list[tuple[str, list[list[str]]]]:
    """Return (heading, rows with the header first) of all tables that are not empty."""
    trials, results = report.trials, report.results
    targets = int(trials.labels.sum())
    tables = [
        (
            f"{trials.path}: {len(trials):,} trials, {targets:,} of them target",
            figure_rows(results),
        ),
        (f"Differences from {results[0].name}, on the same draws", difference_rows(results)),
        *kind_tables(results),
        ("Parts of the list", group_rows(results)),
    ]
    return [(heading, rows) for heading, rows in tables if rows]


def _intervals(args, groups: Groups, results: list[SystemResult]) -> str:
    """Return a description of the resampling."""
    if not any(math.isfinite(span.low) for r in results for span in r.intervals.values()):
        return f"none, of {groups.count} {groups.kind}"
    return f"95 %, {args.resamples} draws of {groups.count} {groups.kind}, seed {args.seed}"


def _notes(args, trials: Trials, groups: Groups, results: list[SystemResult]) -> list[str]:
    first = results[0]
    notes = [f"The threshold at the EER of {first.name} is {in_digits(first.eer.threshold)}."]
    spans = [span for result in results for span in result.intervals.values()]
    if any(math.isfinite(span.low) for span in spans):
        notes.append(f"[95 % intervals]: {args.resamples} draws of {groups.count} {groups.kind}.")
        if not args.utt2spk:
            notes.append(
                "The speakers are not known here, so the intervals may be too narrow: give "
                "--utt2spk to resample speakers."
            )
    for result in results:
        span = result.intervals.get("eer")
        if span is not None and span.low == span.high and not result.constant:
            notes.append(
                f"All draws give the same EER of {result.name}: there are too few errors to "
                "estimate its uncertainty."
            )
        if result.cllr is not None and math.isinf(result.cllr):
            notes.append(
                f"Cllr of {result.name} is inf (infinite): a trial has an infinite log-likelihood "
                "ratio on the wrong side, and no number of right ones can compensate that."
            )
    if trials.duplicates:
        notes.append(f"{trials.duplicates} trials repeat an earlier pair and count each time.")
    return notes


def _embeddings(args, first: System) -> Path | None:
    if args.embeddings == "none":
        return None
    if args.embeddings is None:
        return first.embeddings
    path = Path(args.embeddings.removeprefix("scp:"))
    if not path.is_file():
        raise InputError(f"--embeddings {path}: there is no such file")
    return path


def _outputs(args) -> Outputs:
    """Return the path of each file: that of its own option, otherwise a path under --out."""
    outputs = Outputs(json=args.json, html=args.html)
    if args.out is not None:
        outputs.json = args.json or args.out / "report.json"
        outputs.html = args.html or args.out / "report.html"
        for key, stem in FILES.items():
            outputs.pictures[key] = [args.out / f"{stem}{form}" for form in (".png", ".pdf")]
    for key, path in {"det": args.det, "histogram": args.histogram}.items():
        if path is not None:
            outputs.pictures[key] = [path]
    return outputs


if __name__ == "__main__":
    run(main)

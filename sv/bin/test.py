"""Test a trained model on another corpus in one command: embeddings, scores, error rates, a report.

CORPUS is a folder of audio (<speaker>/<session>/<utterance>.flac, <speaker>/<utterance>.flac) or a
data directory with wav.scp. Trials are those of --trials, else CORPUS/trials, else they are drawn
from the speakers in the paths: equally many targets and non-targets, across sessions if the folders
have sessions. The score is that of the model directory, as in `sv verify`: the cosine, whitened if
the model whitens, AS-normalised if it has a cohort. With --norm as --cohort DATA the scores are
AS-normalised by that training set, and the report has both.

Results go to OUT: wav.scp, trials, labels, embeddings/, scores/, report/. The default OUT has a
name of its own for each corpus, list and model, so two test sets never overwrite each other. The
test set is for measuring; a setting that is chosen by it is fitted to it.

Example:
  sv test --model exp/simclr/model --corpus ~/other_corpus
  sv test --model exp/simclr/model --corpus ~/phone --trials ~/phone/list --norm as \\
      --cohort data/train --out results/phone
"""

import hashlib
import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np

from sv.audio.channel_choice import add_channel
from sv.cli import parser, run
from sv.errors import InputError
from sv.numbers import COUNT, SEED

SHOWN = 3


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument("--model", type=Path, required=True, help="a model directory, or a final.pt")
    p.add_argument(
        "--corpus", type=Path, required=True, help="folder of audio, or data directory, to test on"
    )
    p.add_argument(
        "--trials",
        type=Path,
        help="list of '1 enrol.wav test.wav' lines; names are paths from the corpus folder, or "
        "utterance ids",
    )
    p.add_argument(
        "--layout",
        choices=["auto", "flat", "speaker/utt", "speaker/session/utt"],
        default="auto",
        help="meaning of the last parts of a path, as sv.bin.prepare_folder --layout",
    )
    p.add_argument(
        "--number", type=COUNT, default=10000, help="number of trials, at most, if they are drawn"
    )
    p.add_argument("--seed", type=SEED, default=0, help="of the draw of trials")
    p.add_argument(
        "--norm",
        choices=["none", "as"],
        default="none",
        help="as: AS-normalise by --cohort; it usually lowers minDCF more than the EER",
    )
    p.add_argument(
        "--cohort",
        type=Path,
        metavar="DATA",
        help="training set for --norm as, a folder of audio or a data directory; no labels are "
        "read. Never take the test set",
    )
    p.add_argument(
        "--cohort-size",
        type=COUNT,
        default=6000,
        help="utterances of the cohort, spread over the list; a tenth of them, 300 at most, counts "
        "for each side",
    )
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    p.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the results (default: sv-test/NAME-HASH here, by corpus, list and model)",
    )
    add_channel(p)
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, embed, score, report."""
    args = options().parse_args(argv)
    if (args.norm == "as") != (args.cohort is not None):
        raise InputError("--norm as and --cohort DATA belong together: give both or neither")

    from sv.bin import report
    from sv.corpora.test_set import read_test_set
    from sv.data.trials import Trials
    from sv.device import choose_device
    from sv.inference.speaker_model import SpeakerModel
    from sv.scoring.cosine import Cosine
    from sv.scoring.pairs import Prepared, prepare_sides, score_sides
    from sv.scoring.score_file import write_scores
    from sv.scoring.score_norm import ScoreNorm

    model = SpeakerModel.load(args.model)
    how = {"layout": args.layout, "number": args.number, "seed": args.seed}
    found = read_test_set(args.corpus, args.trials, **how)
    out = args.out or default_folder(args)
    model.embedder.to(choose_device(args.device))
    used = sorted({name for _, *pair in found.trials for name in pair})
    absent = [name for name in used if name not in found.paths]
    if absent:
        raise InputError(
            f"the trials name {len(absent):,} utterances that are not in {args.corpus}: "
            f"{', '.join(absent[:SHOWN])}; give the list of this corpus"
        )
    write_lists(out, found)
    trials = Trials.of(out / "trials", found.trials)
    print(
        f"{len(trials):,} trials {'drawn from the labels' if found.made else 'of a list'}, "
        f"{len(used):,} utterances of {args.corpus}",
        flush=True,
    )
    embeddings = embedded(model, {n: found.paths[n] for n in used}, out / "embeddings/test", args)
    facts = {"backend": "cosine", "labels": "none", "embeddings": f"scp:{out}/embeddings/test.scp"}
    sides = prepare_sides(trials, Cosine(), embeddings)
    scores = score_sides(sides)
    write_scores(made(out / "scores/test"), trials, scores, facts)
    cohort, source = model.cohort, "the cohort of the model"
    if args.cohort is not None:
        tested = {found.paths[name] for name in used}
        cohort, source = cohort_of(model, args, out, tested), str(args.cohort)
    words = []
    if cohort is not None:
        rows, top_n = cohort
        norm = ScoreNorm("as", top_n).fit(Prepared(unit_rows_of(rows)))
        about = {"kind": "as", "cohort": source, "members": "utterances", "size": len(rows)}
        facts["normalisation"] = {**about, "labels": "none", "top_n": top_n}
        normalised = norm.transform(scores, sides)
        write_scores(made(out / "as-norm/scores/test"), trials, normalised, facts)
        words = ["--score", "as-norm", "--kinds", "as-norm"]
    for name in found.labels:
        words += [f"--{name}", str(out / "labels" / name)]
    name = args.model.absolute().parent.name if args.model.name in NAMELESS else args.model.stem
    given = ["--trials", str(out / "trials"), "--out", str(out / "report"), *words]
    report.main([*given, "--scores", f"{name}={out / 'scores/test'}"])


NAMELESS = ("model", "final.pt")
"""Names that every experiment has: the report calls the model by the folder above."""


def default_folder(args: Namespace) -> Path:
    """Return a folder whose name differs for every corpus, trial list and model."""
    corpus = args.corpus.absolute()
    parts = [corpus.resolve(), args.trials and args.trials.absolute(), args.model.absolute()]
    parts += [
        args.layout,
        args.number,
        args.seed,
        args.norm,
        args.cohort and args.cohort.absolute(),
    ]
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:8]
    return Path("sv-test") / f"{corpus.name}-{digest}"


def made(path: Path) -> Path:
    """Make the folder of a file, and return the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def unit_rows_of(rows: np.ndarray) -> np.ndarray:
    """Return rows (n, dim) of length one, float32."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def write_lists(out: Path, found) -> None:
    """Write wav.scp, the trials and the labels of a test set."""
    from sv.data.replaced import write_table

    for name, table in found.labels.items():
        write_table(made(out / "labels" / name), sorted(table.items()))
    write_table(made(out / "wav.scp"), sorted(found.paths.items()))
    rows = ((label, f"{a} {b}") for label, a, b in found.trials)
    write_table(out / "trials", rows, in_order=True)


def embedded(model, paths: dict[str, str], out: Path, args: Namespace):
    """Return (ids, vectors) of audio files, from ``out`` if the same ones are there already.

    Raises ``InputError`` that names the files that cannot be embedded; the others are kept.
    """
    from sv.files import sha256
    from sv.kaldi.arks import ArkWriter, load_vectors
    from sv.progress import progress

    weights = args.model if args.model.is_file() else args.model / "model.safetensors"
    note = {"model": sha256(weights), "channel": args.channel}
    known, done = out.with_suffix(".json"), {}
    if known.exists() and out.with_suffix(".scp").exists():
        try:
            if json.loads(known.read_text(encoding="utf-8")) == note:
                done = dict(zip(*load_vectors(f"scp:{out}.scp"), strict=True))
        except (ValueError, InputError):
            done = {}
    bad = []
    for name, path in progress(list(paths.items()), desc=f"embeddings, {out.name}", unit="file"):
        if name not in done:
            try:
                done[name] = model.embed_file(path, args.channel)
            except InputError as error:
                bad.append(str(error))
    rows = {name: done[name] for name in paths if name in done}
    if rows:
        with ArkWriter(made(out.with_suffix(".ark")), out.with_suffix(".scp")) as writer:
            for name, vector in rows.items():
                writer.write(name, vector)
        known.write_text(json.dumps(note) + "\n", encoding="utf-8")
    if bad:
        raise InputError(
            f"{len(bad):,} of {len(paths):,} files cannot be embedded ({'; '.join(bad[:SHOWN])}); "
            "repair them, or take their trials out of the list; the others are kept"
        )
    return list(rows), np.stack(list(rows.values()))


def cohort_of(model, args: Namespace, out: Path, tested: set[str]) -> tuple[np.ndarray, int]:
    """Return the cohort's embeddings and the number of its highest scores that count."""
    from sv.corpora.test_set import audio_of
    from sv.scoring.system import evenly_spaced

    paths = audio_of(args.cohort)
    shared = tested.intersection(paths.values())
    if shared:
        raise InputError(
            f"--cohort {args.cohort}: {len(shared):,} of its files are in the trials, such as "
            f"{min(shared)}; take a training set as cohort"
        )
    chosen = evenly_spaced(sorted(paths), args.cohort_size)
    if len(chosen) < 2:
        raise InputError(f"--cohort {args.cohort}: {len(chosen)} utterance; give two or more")
    _, vectors = embedded(model, {n: paths[n] for n in chosen}, out / "embeddings/cohort", args)
    return vectors, max(2, min(300, len(chosen) // 10))


if __name__ == "__main__":
    run(main)

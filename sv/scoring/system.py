"""A scoring system from command-line options: embeddings, back-end and cohort.

``sv.bin.score`` and ``sv.bin.normalize_scores`` share these options. So the same back-end scores
the trials and the cohort.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TypeVar

import numpy as np

from sv.data.labels import read_label_file, refuse_gaps
from sv.data.trials import Trials
from sv.errors import InputError
from sv.files import sha256
from sv.kaldi.arks import load_embeddings, load_vectors
from sv.numbers import NATURAL
from sv.scoring.cosine import Cosine
from sv.scoring.pairs import Embeddings, PairBackend, Prepared, Sides, prepare_sides, shown
from sv.scoring.plda import PLDA
from sv.scoring.two_covariance import group_sums
from sv.scoring.whitening import WhitenedCosine, Whitening

Item = TypeVar("Item")


def add_system_options(p: ArgumentParser) -> None:
    """Add the options that choose the embeddings and the back-end."""
    p.add_argument(
        "--embeddings",
        required=True,
        help="scp:FILE.scp or ark:FILE.ark, with one vector for each utterance; or with one "
        "embedding for each crop (sv.bin.embed --crops): a score is then the mean of the cosines "
        "of all pairs of crops",
    )
    p.add_argument(
        "--enrol-embeddings",
        help="vectors of the enrolment side; without this option both sides come from --embeddings",
    )
    p.add_argument(
        "--center-on",
        metavar="scp:TRAIN.scp",
        help="first subtract the mean of these embeddings from every vector. Take a "
        "training set, never the test set. Labels are not needed. It often helps if "
        "training and test differ in channel or language. With --plda, this mean "
        "replaces the mean of PLDA's training set",
    )
    p.add_argument(
        "--plda",
        metavar="FILE",
        help="score with this model from sv.bin.plda instead of the cosine; scores are then "
        "log-likelihood ratios",
    )
    p.add_argument(
        "--whitening",
        metavar="FILE",
        help="first whiten every vector by this file from sv.bin.whiten. With --center-on, its "
        "mean replaces the mean of the whitening's training set. PLDA needs no whitening",
    )


def load_backend(args: Namespace) -> tuple[PairBackend, dict]:
    """Return the back-end and the facts about it for ``write_info``."""
    backend: Cosine | PLDA
    if args.plda and args.whitening:
        raise InputError("give --plda or --whitening, not both: PLDA whitens by its own covariance")
    training = load_embeddings(args.center_on)[1] if args.center_on else None
    if args.plda:
        backend = PLDA.load(args.plda)
        info = {"backend": "plda", "plda": args.plda, "labels": backend.labels_}
        if training is not None:
            backend.mean_ = training.mean(axis=0, dtype=np.float64)
    elif args.whitening:
        whitening = Whitening.load(args.whitening)
        if training is not None:
            rows = training.reshape(-1, training.shape[-1])
            whitening.mean_ = rows.mean(axis=0, dtype=np.float64)
        backend = WhitenedCosine(whitening)
        info = {"backend": "cosine", "labels": "none", "whitening": whitening_facts(args.whitening)}
    else:
        backend = Cosine() if training is None else Cosine(center=True).fit(training)
        info = {"backend": "cosine", "labels": "none"}
    info["embeddings"] = args.embeddings
    if training is not None:
        info["centred_on"] = args.center_on
    return backend, info


def whitening_facts(path: str | Path) -> dict[str, str]:
    """Return the facts about a whitening for a reader of the scores; sha256 tells which it is."""
    whitening = Whitening.load(path)
    kept = f", {whitening.dim} dimensions" if whitening.dim else ""
    by = f"{whitening.kind}, shrinkage {whitening.shrinkage:g}{kept}"
    return {
        "by": "subtracting the mean" if whitening.only_centres else by,
        "learned_from": whitening.learned_from_.get("embeddings", str(path)),
        "file": str(path),
        "sha256": sha256(path),
    }


def load_sides(args: Namespace, backend: PairBackend, trials: Trials) -> Sides:
    """Return both sides of the trials, prepared for comparison."""
    load = load_embeddings if isinstance(backend, Cosine) else load_vectors
    return prepare_sides(
        trials,
        backend,
        load(args.embeddings),
        load(args.enrol_embeddings) if args.enrol_embeddings else None,
        sources=(args.embeddings, args.enrol_embeddings or ""),
    )


# ---------------------------------------------------------------- the cohort


def add_cohort_options(p: ArgumentParser) -> None:
    """Add the options that choose the cohort for score normalisation."""
    p.add_argument(
        "--cohort",
        required=True,
        metavar="scp:TRAIN.scp",
        help="embeddings of people who are not in the trials: a training set, never the "
        "test set. By default each utterance is a member of the cohort, and no label "
        "is used",
    )
    p.add_argument(
        "--cohort-utt2cluster",
        metavar="FILE",
        help="the members of the cohort are the means of these clusters (from stage 4); no "
        "labels are used. For a large training set this gives a smaller and cleaner "
        "cohort",
    )
    p.add_argument(
        "--cohort-utt2spk",
        metavar="FILE",
        help="the members of the cohort are the means of true speakers. This is for "
        "supervised recipes only, and the output is marked",
    )
    p.add_argument(
        "--cohort-size",
        type=NATURAL,
        default=20000,
        help="number of utterances of --cohort that are its members, spread over the list; "
        "0 for all. Time grows in proportion. With fewer than a few thousand members, "
        "the top 300 are no longer a selection. Clusters and speakers are always all "
        "taken",
    )


def load_cohort(
    args: Namespace, backend: PairBackend, trials: Trials
) -> tuple[Prepared, dict[str, str | int]]:
    """Return the prepared cohort and the facts about it.

    Raises ``InputError`` if the trials use an utterance of the cohort, because such a trial would
    be normalised by its own score.
    """
    if args.cohort_utt2cluster and args.cohort_utt2spk:
        raise InputError("give one of --cohort-utt2cluster and --cohort-utt2spk, not both")
    ids, vectors = load_vectors(args.cohort)
    own = set(trials.names).intersection(ids)
    if own:
        raise InputError(
            f"{args.cohort}: {len(own)} utterances of the cohort are in the trials "
            f"{trials.path} too: {shown(sorted(own), 5)}; take a training set as cohort"
        )
    members, labels, groups = "utterances", "none", None
    for path, name in ((args.cohort_utt2cluster, "clusters"), (args.cohort_utt2spk, "speakers")):
        if path:
            members, labels = f"means of {name}", name
            groups = labels_of(ids, path, args.cohort)
    if groups is None:
        chosen = evenly_spaced(list(range(len(ids))), args.cohort_size)
        ids, vectors = [ids[row] for row in chosen], vectors[chosen]
    else:
        ids, vectors = group_means(vectors, groups)
    info = {"cohort": args.cohort, "members": members, "size": len(ids), "labels": labels}
    return backend.prepare(ids, vectors), info


def labels_of(ids: list[str], path: str, source: str) -> np.ndarray:
    """Return the label (n,) of each of ``ids`` from the file ``path``, utt2spk or utt2cluster."""
    table = read_label_file(path)
    refuse_gaps(path, table, ids, source)
    return np.array([table[name] for name in ids])


def group_means(vectors: np.ndarray, groups: np.ndarray) -> Embeddings:
    """Return the names of the groups and the means of their vectors, (groups, dim) float32."""
    names, rows, counts = np.unique(groups, return_inverse=True, return_counts=True)
    means = group_sums(vectors, rows, len(names)) / counts[:, None]
    return names.tolist(), means.astype(np.float32)


def evenly_spaced(items: list[Item], limit: int) -> list[Item]:
    """Return at most ``limit`` of ``items``, spread over the whole list; 0 means all."""
    if limit <= 0 or limit >= len(items):
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int)]

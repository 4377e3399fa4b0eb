"""Scoring, cohorts and error rates against the ways common toolkits do it."""

import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import kaldiio
import numpy as np
from sklearn.metrics import roc_curve
from sklearn.metrics.pairwise import cosine_similarity

from benchmarks.harness import Table, compare
from sv.data.trials import read_trials
from sv.kaldi.arks import ArkWriter, load_vectors
from sv.scoring import metrics
from sv.scoring.cosine import score_trials
from sv.scoring.pairs import Prepared
from sv.scoring.score_file import write_scores
from sv.scoring.score_norm import cohort_statistics

DIM = 512

# The processor's time, not the clock's: a round of the largest list takes minutes, in which other
# work on the machine would fall on one contestant alone. Nothing here waits for a disk.
CLOCK = time.process_time


def pair_by_pair(trials: Path, scp: Path, output: Path) -> None:
    """One library call a pair, the way wespeaker's scoring script works."""
    embeddings = {key: vector for key, vector in kaldiio.load_scp_sequential(str(scp))}
    with trials.open() as source, output.open("w") as sink:
        for line in source:
            label, enrol, test = line.split()
            cosine = cosine_similarity(
                embeddings[enrol].reshape(1, -1), embeddings[test].reshape(1, -1)
            )[0][0]
            sink.write(f"{enrol} {test} {cosine:.5f} {label}\n")


def ours(trials: Path, scp: Path, output: Path) -> None:
    parsed = read_trials(trials)
    write_scores(output, parsed, score_trials(parsed, load_vectors(f"scp:{scp}")))


def sklearn_figures(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    p_fa, hits, _ = roc_curve(labels, scores)
    p_miss = 1 - hits
    at = np.nanargmin(np.abs(p_miss - p_fa))
    return (p_miss[at] + p_fa[at]) / 2, float(np.min(0.01 * p_miss + 0.99 * p_fa)) / 0.01


def our_figures(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    classes = metrics.sort_classes(scores, labels)
    return metrics.eer_point(classes).value, metrics.min_dcf_point(classes, 0.01).value


def make_set(folder: Path, trials: int, utterances: int, speakers: int) -> tuple[Path, Path, Path]:
    """Write a set of the size of one of VoxCeleb1's (ids as long as its own)."""
    generator = np.random.default_rng(0)
    ids = [f"id{10270 + i % speakers}/{i:011d}/{i % 100:05d}.wav" for i in range(utterances)]
    paths = folder / "trials", folder / "embeddings.scp", folder / "scores"
    with ArkWriter(folder / "embeddings.ark", paths[1]) as writer:
        for name in ids:
            writer.write(name, generator.standard_normal(DIM, dtype=np.float32))
    pairs = generator.integers(0, utterances, (trials, 2))
    paths[0].write_text(
        "".join(f"{int(i % speakers == j % speakers)} {ids[i]} {ids[j]}\n" for i, j in pairs)
    )
    return paths


def cosines(trials: int, utterances: int, speakers: int, rounds: int, warmup: int) -> Table:
    """Parse, load, score and write."""
    with tempfile.TemporaryDirectory() as name:
        paths = make_set(Path(name), trials, utterances, speakers)
        return compare(
            f"cosine, {trials} trials of {utterances} embeddings of {DIM}, file to file",
            {"a call a pair": lambda: pair_by_pair(*paths), "ours": lambda: ours(*paths)},
            base="a call a pair",
            items=trials,
            unit="trial",
            rounds=rounds,
            warmup=warmup,
            clock=CLOCK,
        )


def cohorts(utterances: int, cohort_size: int, top_n: int, rounds: int) -> Table:
    """Mean and deviation of the highest cohort scores, against the product that they need."""
    generator = np.random.default_rng(0)
    side, cohort = (
        Prepared(generator.standard_normal((n, DIM), dtype=np.float32))
        for n in (utterances, cohort_size)
    )

    def full_sort() -> None:
        best = np.sort(side.rows @ cohort.rows.T, axis=1)[:, -top_n:]
        best.mean(axis=1), best.std(axis=1)

    table = compare(
        f"cohort statistics, {utterances} utterances, cohort {cohort_size}, top {top_n}",
        {
            "the product alone": lambda: side.rows @ cohort.rows.T,
            "sort of all scores": full_sort,
            "ours": lambda: cohort_statistics(side, cohort, top_n),
        },
        base="the product alone",
        items=utterances,
        unit="utt",
        rounds=rounds,
        clock=CLOCK,
    )
    for name, work in (
        ("sort of all scores", full_sort),
        ("ours", lambda: cohort_statistics(side, cohort, top_n)),
    ):
        tracemalloc.start()
        work()
        table.notes.append(f"{name}: {tracemalloc.get_traced_memory()[1] / 1e6:.0f} MB extra")
        tracemalloc.stop()
    return table


def error_rates(count: int, rounds: int) -> Table:
    generator = np.random.default_rng(0)
    labels = generator.random(count) < 0.5
    scores = (generator.standard_normal(count) + 2 * labels).astype(np.float32)
    return compare(
        f"EER and minDCF, {count} scores",
        {
            "np.sort alone": lambda: np.sort(scores),
            "scikit-learn": lambda: sklearn_figures(scores, labels),
            "ours": lambda: our_figures(scores, labels),
        },
        base="np.sort alone",
        items=count,
        unit="score",
        rounds=rounds,
        clock=CLOCK,
    )


# In a process of its own, whose peak is then that of the figures and of their input.
MEMORY = """
import resource, time, numpy as np
from sv.scoring import metrics
count, generator = {count}, np.random.default_rng(0)
labels = generator.integers(0, 2, count, dtype=np.uint8).astype(bool)
scores = generator.standard_normal(count, dtype=np.float32)
scores += labels
start = time.process_time()
classes = metrics.sort_classes(scores, labels)
eer, cost = metrics.eer_point(classes).value, metrics.min_dcf_point(classes, 0.01).value
print(f"{{time.process_time() - start:.1f}} s,"
      f" {{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f}} GB at the peak,"
      " scores and labels included")
"""


def memory(count: int) -> str:
    """Return time and peak memory of EER and minDCF of ``count`` scores, in words."""
    command = [sys.executable, "-c", MEMORY.format(count=count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return f"EER and minDCF of {count} scores: {done.stdout.strip()}"


def benchmark(quick: bool) -> list[Table]:
    """Cosine scores file to file, cohort statistics, EER with minDCF: against loops and sorts."""
    if quick:
        tables = [cosines(2_000, 4_708, 40, rounds=3, warmup=1)]
        tables += [cohorts(256, 4_000, 100, rounds=3), error_rates(100_000, rounds=3)]
    else:
        tables = [
            cosines(37_611, 4_708, 40, rounds=3, warmup=1),  # the size of VoxCeleb1-O
            cosines(579_818, 145_160, 1_251, rounds=1, warmup=0),  # VoxCeleb1-E: minutes a round
            cohorts(2_048, 20_000, 300, rounds=7),
            error_rates(10_000_000, rounds=5),
        ]
    tables[-1].notes.append(memory(1_000_000 if quick else 100_000_000))
    return tables

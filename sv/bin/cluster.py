"""Stage 4: cluster embeddings without labels, for SSPS positives and pseudo-labels.

The program runs spherical k-means over all embeddings. With --merge it then merges the clusters, to
about the expected number of speakers. It writes to --out:

  utt2cluster               "<utterance> <cluster>", the pseudo-labels
  centroids.ark, .scp       a vector of length one for each cluster; the form is that of embeddings,
                            so they can be a cohort for score normalisation
  sizes                     "<cluster> <utterances>"
  sizes.png                 histogram of the sizes, also printed
  kmeans2cluster            with --merge: "<k-means cluster> <cluster>"
  cluster.json              settings, objective, empty clusters, agreement with true speakers

True speakers are read only if --labels names them, and only for comparison with the result.

Several processes (started by torchrun, or by utils/processes as in local/cluster.sh --ngpu) each
read their part of the embeddings; the first one merges and writes. The clusters are those of one
process, except that rounding may decide ties between two centroids differently.

Examples:
  python -m sv.bin.cluster --embeddings scp:exp/simclr/embeddings/train.scp --k 25000 \\
      --out exp/simclr/clusters
  python -m sv.bin.cluster --embeddings scp:E.scp --k 50000 --merge 7500 --out clusters
  python -m sv.bin.cluster --embeddings scp:E.scp --k auto --out clusters
"""

import argparse
import dataclasses
from pathlib import Path

from sv.cli import add_process_timeout, parser, run
from sv.errors import InputError
from sv.numbers import COUNT, SEED


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, cluster, write."""
    args = arguments(argv)
    # Imported after the options are read, so that --help does not wait for torch.
    from sv import distributed

    device = distributed.start(args.device, args.process_timeout)
    distributed.with_plain_errors(lambda: cluster(args, device))


def cluster(args: argparse.Namespace, device) -> None:
    """Cluster in all processes together; the first process writes."""
    import torch

    from sv import distributed
    from sv.cluster import best_of_starts
    from sv.cluster.files import Result, oracle, read_labels, write
    from sv.kaldi.arks import load_vectors, rows_of_share
    from sv.report.plots import save, sizes_figure

    first, processes = distributed.is_first(), distributed.world_size()
    share = distributed.rank(), processes
    ids, vectors = load_vectors(args.embeddings, share)
    labels = read_labels(args.labels, ids) if args.labels and first else None
    options = {
        "iterations": args.iterations, "seed": args.seed, "device": device,
        "precision": args.precision, "names": ids[rows_of_share(share, len(ids))],
        "sharded": processes > 1, "verbose": True,
    }  # fmt: skip
    k, silhouettes = args.k, None
    if k is None:
        k, silhouettes = choose(vectors, args, options)
    if args.merge is not None and args.merge >= k:
        raise InputError(
            f"--merge {args.merge} is not below --k {k}: merging joins the many small clusters of "
            "k-means; choose a larger --k or a smaller --merge"
        )
    # --k auto compares clusters from k-means++, so the chosen K is run from the same start.
    start = args.start if silhouettes is None else "k-means++"
    options["converge"] = args.converge == "true"
    found = best_of_starts(vectors, k, starts=args.starts, init=start, **options)
    assignments = distributed.to_first(torch.from_numpy(found.assignments))
    distributed.stop()  # one process does the rest
    if not first:
        return
    found = dataclasses.replace(found, assignments=assignments.numpy())
    result = Result(ids, found, settings(args, k, silhouettes))
    if args.merge is not None:
        result.merge(args.merge, args.linkage, device)
    result.oracle = oracle(result.clusters, ids, labels) if labels else None
    save(sizes_figure(result.sizes), args.out / "sizes.png")
    write(args.out, result)
    print(result.describe())


def choose(vectors, args: argparse.Namespace, options: dict) -> tuple[int, dict[int, float]]:
    """Return the number of clusters with the best silhouette, and all silhouettes."""
    from sv.cluster import choose_k
    from sv.distributed import is_first

    def report(k: int, silhouette: float) -> None:
        print(f"K = {k:,}: silhouette of held-out utterances {silhouette:.4f}", flush=True)

    report = report if is_first() else None
    k, silhouettes = choose_k(vectors, args.k_candidates, report=report, **options)
    if is_first():
        print(f"K = {k:,} has the best silhouette", flush=True)
    return k, silhouettes


def settings(args: argparse.Namespace, k: int, silhouettes: dict[int, float] | None) -> dict:
    """Return the settings for ``cluster.json``."""
    made = {"embeddings": args.embeddings, "k": k, "iterations": args.iterations}
    made |= {"seed": args.seed, "start": args.start if silhouettes is None else "k-means++"}
    made |= {"starts": args.starts, "converge": args.converge == "true"}
    if args.merge is not None:
        made |= {"merge": args.merge, "linkage": args.linkage}
    if silhouettes is not None:
        made["silhouettes"] = {str(number): value for number, value in silhouettes.items()}
    return made


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the options; ``k`` is None for ``auto``."""
    p = parser(__doc__)
    p.add_argument(
        "--embeddings",
        required=True,
        help="scp:FILE.scp or ark:FILE.ark, with one vector for each utterance",
    )
    p.add_argument(
        "--k",
        type=number_or_auto,
        required=True,
        metavar="K|auto",
        help="number of k-means clusters. Too few clusters mix speakers. Too many split a "
        "speaker by recording; --merge, or SSPS sampling from the nearest cluster, "
        "repairs that. Use 25,000 for the million utterances of VoxCeleb2: 4 times "
        "its speakers, 44 utterances per cluster. auto tries a grid and takes the "
        "best silhouette of held-out utterances",
    )
    p.add_argument(
        "--k-candidates",
        type=numbers,
        metavar="K,K,...",
        help="numbers of clusters that --k auto tries; default: from sqrt(N)/4 upwards by "
        "a factor of 1.41, until the result gets worse",
    )
    p.add_argument(
        "--merge",
        type=COUNT,
        help="merge the clusters until this number is left; give about the number of "
        "speakers that you expect. For training on pseudo-labels, too many clusters "
        "are better than too few",
    )
    p.add_argument(
        "--linkage",
        choices=("average", "ward"),
        default="average",
        help="how clusters are compared for merging. average: by the average cosine of "
        "their utterances, so outliers stay alone; ward: in a way that keeps sizes "
        "even",
    )
    p.add_argument(
        "--iterations",
        type=COUNT,
        default=10,
        help="number of passes of k-means over all utterances",
    )
    p.add_argument(
        "--converge",
        choices=("true", "false"),
        default="false",
        help="true: stop before --iterations as soon as no centroid moves; then give a "
        "large --iterations",
    )
    p.add_argument(
        "--starts",
        type=COUNT,
        default=1,
        help="number of runs of k-means from different first centroids; the best run "
        "counts. Time grows in proportion",
    )
    p.add_argument(
        "--start",
        choices=("random", "k-means++"),
        default="random",
        help="first centroids: random utterances, or k-means++, which spreads them. "
        "k-means++ costs as much as one or two iterations and is better if K is "
        "near the number of speakers. --k auto always takes k-means++",
    )
    p.add_argument("--seed", type=SEED, default=0, help="seed of the first centroids")
    p.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="precision of the matrix products during the iterations; the last "
        "assignment is always float32",
    )
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_process_timeout(p)
    p.add_argument(
        "--labels",
        type=Path,
        help="utt2spk with true speakers; it adds oracle figures to cluster.json and does "
        "not change the clusters",
    )
    p.add_argument("--out", type=Path, required=True, help="output folder")
    args = p.parse_args(argv)
    if args.k_candidates is not None and args.k is not None:
        p.error("--k-candidates needs --k auto")
    return args


def number_or_auto(text: str) -> int | None:
    """Parse the value of ``--k``."""
    if text == "auto":
        return None
    try:
        return COUNT(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or auto") from None


def numbers(text: str) -> list[int]:
    """Parse the value of ``--k-candidates``."""
    try:
        return [COUNT(part) for part in text.split(",")]
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, in a list like 100,200,400") from None


if __name__ == "__main__":
    run(main)

"""Stage 5 of recipe v5: what a round of training on pseudo-labels came to, in its last epoch.

The program reads the last checkpoint of a training by the method aam_gated, and writes to --out:

  losses.png    histogram of the log losses of the training set, with the gate
  round.json    the gate, and how many utterances were kept, corrected and confirmed; with --labels
                also NMI and purity of the clusters, and the share of right labels

True speakers are read only if --labels names them, and only for these figures.

Example:
  python -m sv.bin.report_round --exp exp/round1 --data data/train \\
      --clusters exp/base/clusters --out exp/round1/round
"""

import argparse
import json
from pathlib import Path

from sv.cli import parser, run


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, compute, draw, write."""
    args = arguments(argv)
    from sv.files import atomic_write
    from sv.report.plots import losses_figure, save
    from sv.report.rounds import round_figures, sentences

    ids, log_loss, gate, new = read_training(args.exp, args.data)
    label = read_clusters(args.clusters, ids)
    figures = round_figures(log_loss, gate, label, new)
    if args.labels is not None:
        figures["oracle_never_for_training"] = oracle(args.labels, ids, log_loss, gate, label, new)
    save(losses_figure(log_loss[log_loss < float("inf")], gate), args.out / "losses.png")
    with atomic_write(args.out / "round.json") as handle:
        json.dump(figures, handle, indent=2)
        handle.write("\n")
    print("\n".join(sentences(figures)))


def read_training(exp: Path, data: Path):
    """Return ids (N,), log losses, the gate, and new labels, of the last epoch."""
    from sv import checkpoint
    from sv.crops.wave_index import load_index
    from sv.errors import InputError

    path = checkpoint.state_path(exp)
    state = checkpoint.load(path)
    method, settings = state["method"], state["identity"]["settings"]["data"]
    if "log_loss" not in method:
        raise InputError(f"{path}: has no losses of utterances; it is not of the method aam_gated")
    if state["step"] or not state["epoch"]:
        raise InputError(f"{path} is inside an epoch: let the training end first (stage 5)")
    index = load_index(data, settings["domain"], settings.get("preset", "kaldi"))
    if len(index) != len(method["log_loss"]):
        raise InputError(
            f"{data} has {len(index):,} utterances and {path} {len(method['log_loss']):,}: give "
            "the data directory of the training"
        )
    arrays = (method[name].cpu().numpy() for name in ("log_loss", "gate", "new_label"))
    log_loss, gate, new = arrays
    return index.ids(slice(None)), log_loss, float(gate), new


def read_clusters(folder: Path, ids: list[str]):
    """Return the class (N,) of each utterance, as training has numbered them."""
    from sv.data.labels import numbered_labels

    return numbered_labels(folder / "utt2cluster", ids)[1]


def oracle(labels: Path, ids: list[str], log_loss, gate: float, label, new) -> dict[str, float]:
    """Return the agreement of clusters with true speakers, and shares of right labels."""
    from sv.cluster.agreement import agreement, most_frequent
    from sv.data.labels import numbered_labels
    from sv.report.rounds import right_labels

    speaker = numbered_labels(labels, ids)[1]
    figures = agreement(label, speaker)
    names = most_frequent(label, speaker)
    return {name: figures[name] for name in ("nmi", "purity")} | right_labels(
        log_loss, gate, label, new, speaker, names
    )


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    p = parser(__doc__)
    p.add_argument("--exp", type=Path, required=True, help="experiment folder of the round")
    p.add_argument("--data", type=Path, required=True, help="data directory of its training set")
    p.add_argument(
        "--clusters", type=Path, required=True, help="folder of stage 4 with the pseudo-labels"
    )
    p.add_argument(
        "--labels",
        type=Path,
        help="utt2spk with true speakers: adds figures for diagnosis and changes nothing else",
    )
    p.add_argument("--out", type=Path, required=True, help="output folder")
    return p.parse_args(argv)


if __name__ == "__main__":
    run(main)

"""Make a hard trial list: the target trials of a list, and the nearest impostors of its enrolments.

For each target trial the list gets one impostor of the enrolment utterance. The impostor is an
utterance of another speaker with the same values in all tables of --same (sex, corpus, language),
and it is the nearest by the embeddings. Take the embeddings from a model that is NOT among the
models to compare, and that was not trained on the test speakers. The reason: a list is hardest for
the model that chose it.

The program writes a trial list of "1|0 enrol test" lines.

Example:
  python -m sv.bin.hard_trials --trials data/test/trials --labels data/labels/test/utt2spk \\
      --embeddings scp:exp/heldout/embeddings/test.scp --same data/labels/test/utt2group \\
      --out data/test/trials_hard
"""

from pathlib import Path

from sv.cli import parser, run


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, choose, write."""
    args = _parse(argv)
    import numpy as np

    from sv.data.labels import numbered_labels
    from sv.data.trials import read_trials
    from sv.files import atomic_write
    from sv.kaldi.arks import load_vectors
    from sv.scoring.cosine import unit_rows
    from sv.scoring.hard_trials import nearest_impostors

    trials = read_trials(args.trials)
    target = trials.require_both_classes()
    ids, vectors = load_vectors(args.embeddings)
    units = unit_rows(trials.names, vectors[trials.rows_of(ids, args.embeddings)])
    _, speakers = numbered_labels(args.labels, trials.names, of="test set")
    tables = [numbered_labels(path, trials.names, of="test set")[1] for path in args.same]
    alike = np.stack([*tables, np.zeros_like(speakers)], axis=1)
    groups = np.unique(alike, axis=0, return_inverse=True)[1].reshape(-1)

    enrol, test = trials.enrol[target], trials.test[target]
    pairs = nearest_impostors(units, speakers, groups, enrol)
    with atomic_write(args.out) as handle:
        for mark, left, right in (("1", enrol, test), ("0", pairs[:, 0], pairs[:, 1])):
            for one, other in zip(left.tolist(), right.tolist(), strict=True):
                handle.write(f"{mark} {trials.names[one]} {trials.names[other]}\n")
    cosine = (units[pairs[:, 0]] * units[pairs[:, 1]]).sum(axis=1).mean()
    print(
        f"{args.out}: {len(enrol):,} target trials of {args.trials} and {len(pairs):,} with "
        f"nearest impostors in {groups.max() + 1} groups; their mean cosine is {cosine:.3f}"
    )


def _parse(argv: list[str] | None):
    p = parser(__doc__)
    p.add_argument("--trials", type=Path, required=True, help="list whose target trials are kept")
    p.add_argument("--labels", type=Path, required=True, help="utt2spk of the test set")
    p.add_argument(
        "--embeddings",
        required=True,
        help="scp:FILE.scp or ark:FILE.ark of the test set, made by the held-out model",
    )
    p.add_argument(
        "--same",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="table '<utterance> <value>', such as sex or corpus; an impostor must have "
        "the same value as the enrolment. The option can be repeated. Without a "
        "table of corpora, the microphones of another corpus reveal an impostor",
    )
    p.add_argument("--out", type=Path, required=True, help="the trial list to write")
    return p.parse_args(argv)


if __name__ == "__main__":
    run(main)

"""Stage 3 (and 5): train an encoder on a data directory, with or without labels.

The program reads only feats.scp and utt2num_frames of the data directory. With data.domain wave it
reads wav_ark.scp and utt2num_samples instead (stages 1 and 2 with --wave true). Methods that learn
from true speakers (supcon, h_scl, aam) need --labels; no other method opens that file. The program
writes to the experiment folder: config.yaml (every setting, defaults included), checkpoints/,
train.jsonl (a line for each epoch), tensorboard/, train.json (a summary).

If the program is started again, it resumes, and the result is bit-identical to that of an
uninterrupted run. After SIGTERM or SIGUSR1 (a scheduler's warning) it writes a checkpoint and ends
with status 99, so that a queue can start it again.

Several processes (started by torchrun, or by utils/processes as in local/train.sh --ngpu) each take
their share of every batch. train.batch_size counts the items of all processes. If it is not a
multiple of the number of processes, some processes get one item more. The result equals that of one
process up to rounding.

Example:
  python -m sv.bin.train --config conf/simclr.yaml --data data/train --out exp/simclr \\
      --set optim.lr=0.0005 --set train.seed=2
  python -m sv.bin.train --config conf/supcon.yaml --data data/train --out exp/supcon-chns \\
      --labels data/labels/train/utt2spk --clusters exp/supcon/clusters --set batches.hard_ratio=1
"""

import argparse
import logging
import shutil
from contextlib import nullcontext
from pathlib import Path

from sv.cli import add_process_timeout, add_settings, parser, run


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    args = _parse(argv)
    from sv import distributed
    from sv.crops.banks import load_banks
    from sv.crops.wave_index import load_index
    from sv.lock import locked
    from sv.machine.memory import told_with
    from sv.training.experiment import Experiment
    from sv.training.supervision import supervise
    from sv.training.trainer import Trainer

    device = distributed.start(args.device, args.process_timeout)
    first = distributed.is_first()
    logging.basicConfig(level=logging.INFO if first else logging.ERROR, format="%(message)s")
    settings = Experiment.load(args.config, args.set)
    domain, augmented = settings.data.domain, settings.augment
    index = load_index(args.data, domain, settings.data.preset)
    noises, rooms = load_banks(args.banks, domain, augmented)
    supervised = supervise(
        settings, index, labels=args.labels, clusters=args.clusters, device=device
    )
    known = {} if supervised is None else vars(supervised)
    oracle = None
    if args.oracle_labels is not None:
        from sv.training.oracle import Oracle

        oracle = Oracle.load(args.oracle_labels, index)
    banks = {"noises": noises, "rooms": rooms}
    with told_with(*_memory_remedies(settings)):
        encoder = None if args.encoder is None else _first_encoder(args.encoder)
        trainer = Trainer(
            settings, index, args.out, **banks, **known, oracle=oracle, base=args.base,
            encoder=encoder, device=device,
        )  # fmt: skip
        if args.dev is not None:
            trainer.development = _development(args.dev, settings)
        if first:
            _describe(trainer, index, device, supervised)
            if encoder is not None:
                print(f"the encoder starts from {encoder.path} ({encoder.digest})", flush=True)
        with locked(args.out / ".lock", f"training of {args.out}") if first else nullcontext():
            if args.restart == "true" and first:
                _forget(args.out)
            distributed.with_plain_errors(trainer.fit)
    distributed.stop()


def _development(folder: Path, settings):
    """Return the development set of a folder of sv.bin.hold_out, for the log."""
    from sv.crops.wave_index import load_index
    from sv.data.held_out import HeldOut
    from sv.report.development import DevelopmentSet
    from sv.training.development import Development

    held = HeldOut.read(folder)
    index = load_index(folder / "dev", settings.data.domain, settings.data.preset)
    measure = DevelopmentSet(index, folder / "dev" / "trials")
    facts = {"dev_labels": held.labels, "dev_speakers": held.speakers}
    return Development(settings, measure, facts)


def _first_encoder(path: Path):
    """Return the encoder of a model directory or of a file of weights."""
    from sv.inference.speaker_model import SpeakerModel
    from sv.training.first_encoder import FirstEncoder

    found = SpeakerModel.load(path).embedder
    weights = found.encoder.state_dict()
    return FirstEncoder(path, weights, found.settings, found.normalise, found.preset)


def _memory_remedies(settings) -> tuple[str, str]:
    """Return remedies for too little memory of the machine, and of a GPU."""
    groups = {"data": settings.data, "method": settings.method, "ssps": settings.ssps}
    if not settings.ssps.enabled:
        del groups["ssps"]
    crops = [
        f"{group}.{name} ({value:g})"
        for group, values in groups.items()
        for name, value in vars(values).items()
        if name.endswith("seconds")
    ]
    lower = (
        f"train.batch_size ({settings.train.batch_size}) or the length of crops, "
        f"{', '.join(crops)}, in a new training (another --out)"
    )
    return (
        f"lower train.workers ({settings.train.workers}) and start the same training again, which "
        f"goes on from its last checkpoint; or lower {lower}",
        "start the same training again with more GPUs (--ngpu), which share each batch and go on "
        f"from the last checkpoint; or lower {lower}",
    )


def _describe(trainer, index, device, supervised) -> None:
    """Print a description of the training and of its data."""
    from sv.distributed import world_size

    settings, augmented = trainer.settings, trainer.settings.augment
    weights = sum(p.numel() for p in trainer.method.encoder.parameters())
    planned = f"{settings.train.until} epochs"
    if settings.train.until < settings.train.epochs:
        planned += f", out of {settings.train.epochs} planned,"
    print(
        f"{len(index):,} utterances, {settings.model.name} with {weights / 1e6:.2f} M weights, "
        f"{settings.method.name}, {planned} of {trainer.steps} steps "
        f"on {device} in {'float32' if trainer.dtype is None else 'bfloat16'}"
        + (f", {world_size()} processes" if world_size() > 1 else ""),
        flush=True,
    )
    if supervised is not None:
        print(supervised.describe(), flush=True)
    kinds = trainer.source.noise_kinds() if augmented.noise_probability > 0 else {}
    added = [f"{kind} at {low:g} to {high:g} dB" for kind, (low, high) in kinds.items()]
    if augmented.room_probability > 0:
        added.append(f"{trainer.source.rooms} rooms")
    if augmented.speeds != [1.0]:
        added.append(f"speeds {augmented.speeds}")
    mixing = settings.mixing
    if mixing.probability > 0:
        few, most = mixing.interferers
        others = f"{few}" if few == most else f"{few} to {most}"
        low, high = mixing.snr
        share = f"{mixing.probability:.0%} of crops"
        added.append(f"{others} other speakers over {share}, {low:g} to {high:g} dB")
    of = "waveforms" if settings.data.domain == "wave" else "features"
    print(f"augmentation of {of}: {', '.join(added) or 'none'}", flush=True)
    longest = index.rows(max(group.frames for group in trainer.source.groups))
    short = int((index.lengths < longest).sum())
    if short:
        print(f"{short:,} utterances are shorter than a crop: they are repeated to fill it")
    if settings.data.crops == "apart":
        pair = 2 * index.rows(max(group.frames for group in trainer.source.groups if group.apart))
        print(
            f"crops that share no frame; {int((index.lengths < pair).sum()):,} utterances are "
            "shorter than two of them, and repeated to that length"
        )
    if settings.model.hears_waveforms:
        print(_cost(trainer, index, world_size()), flush=True)
    if trainer.method.positives is not None:
        print(f"memories of positives: {trainer.method.positives.bytes / 1e6:,.1f} MB", flush=True)


def _cost(trainer, index, processes: int) -> str:
    """Return what a step takes on each device."""
    from sv.training.cost import describe_cost

    own = -(-trainer.settings.train.batch_size // processes)
    crops = [(group.count * own, index.rows(group.frames)) for group in trainer.source.groups]
    return describe_cost(trainer.settings.model, crops, 4 if trainer.dtype is None else 2)


def _forget(exp: Path) -> None:
    """Remove the files of an earlier training. Call this only when the new training can begin."""
    if (exp / "checkpoints").exists():
        shutil.rmtree(exp / "checkpoints")
    (exp / "train.json").unlink(missing_ok=True)


def _parse(argv: list[str] | None):
    p = parser(__doc__)
    p.add_argument(
        "--config",
        type=Path,
        help="YAML settings; settings that are not in the file have their defaults",
    )
    p.add_argument("--data", type=Path, help="data directory with feats.scp and utt2num_frames")
    p.add_argument("--out", type=Path, help="experiment folder, made if it does not exist")
    p.add_argument(
        "--banks",
        type=Path,
        help="folder made by stage 2 (default: ./banks); not read if augmentation is off",
    )
    add_settings(p)
    _add_sources(p)
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_process_timeout(p)
    p.add_argument(
        "--restart",
        choices=["true", "false"],
        default="false",
        help="delete the checkpoints in --out and start over, instead of resuming",
    )
    p.add_argument(
        "--help-settings",
        action="store_true",
        help="list every GROUP.KEY with its meaning, then exit",
    )
    args = p.parse_args(argv)
    if args.help_settings:
        from sv.config import describe
        from sv.training.experiment import SCHEMA

        print(describe(SCHEMA))
        raise SystemExit(0)
    if args.data is None or args.out is None:
        p.error("--data and --out are needed")
    if args.base is not None and args.encoder is not None:
        p.error("--base gives all weights, --encoder those of the encoder: give one of them")
    return args


def _add_sources(p: argparse.ArgumentParser) -> None:
    """Add the options that name what training takes beside the training set."""
    p.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="utt2spk of the training set, for methods that learn from true speakers; "
        "other methods never open it",
    )
    p.add_argument(
        "--clusters",
        type=Path,
        metavar="DIR",
        help="clusters of the speakers (stage 4), for batches.hard_ratio above 0. With a "
        "ratio of 0, the log only shows how many negatives share the anchor's "
        "cluster",
    )
    p.add_argument(
        "--base",
        type=Path,
        metavar="EXP",
        help="go on in --out from the last epoch of this complete experiment; "
        "train.epochs also counts the epochs of the base",
    )
    p.add_argument(
        "--encoder",
        type=Path,
        metavar="FILE",
        help="start from the weights of this encoder instead of random ones: final.pt or "
        "checkpoints/epoch_NNNN.pt of another training, or a model directory. Student and teacher "
        "both start from it. Heads, optimiser and schedules begin anew. model.* and "
        "data.normalise must be those of that training; method and data may be others",
    )
    p.add_argument(
        "--dev",
        type=Path,
        metavar="DIR",
        help="folder of sv.bin.hold_out, whose DIR/train is --data: the log then has the equal "
        "error rate of DIR/dev every train.dev_every epochs. The weights do not depend on it",
    )
    p.add_argument(
        "--oracle-labels",
        type=Path,
        metavar="DIR",
        help="folder with utt2spk (and utt2session); the log then shows how many sampled "
        "positives are right. This changes only figures in the log, not the weights",
    )


if __name__ == "__main__":
    run(main)

"""Show what the network received in one step of a training: pictures, a table, sounds.

The seed, the epoch and the step determine a batch, so this program makes the batch again, with the
code that training uses. It writes to --out
  views.png   spectra of all views of the first items, augmented and normalised;
  draws.txt   a line for each of these views: utterance, start of the crop, speed, room, noise,
              hidden frames and bands, interfering speakers (also printed);
  *.wav       with --sound true: each view as a listener would hear it, before masks.

--exp reads the settings of an experiment folder. If the folder has a checkpoint, the data and banks
are compared with those of the training. --config shows a training that has not started yet.

Example:
  python -m sv.bin.show_batch --exp exp/simclr --data data/train --banks banks \\
      --epoch 3 --step 7 --out exp/simclr/epoch3_step7
  python -m sv.bin.show_batch --config conf/simclr_wave.yaml --data data/train --epoch 1 --step 1 \\
      --sound true --out shown
"""

from pathlib import Path

from sv.cli import add_settings, parser, run
from sv.errors import InputError
from sv.numbers import COUNT, whole

MOST_ITEMS = 32
"""A picture with more rows would be too large."""


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, make the batch, write and print."""
    args = _parse(argv)
    from sv.crops.banks import room_names
    from sv.crops.shown import describe_plan, lines
    from sv.files import atomic_write
    from sv.report.plots import save
    from sv.report.spectra import views_figure
    from sv.training.experiment import Experiment
    from sv.training.replay import open_training, replay, settings_of

    if args.exp is None:
        settings = Experiment.load(args.config, args.set)
    else:
        settings = settings_of(args.exp, args.set)
    if args.sound == "true" and settings.data.domain != "wave":
        raise InputError(
            "--sound true: the crops are features (data.domain: fbank), which have no sound: leave "
            "out --sound"
        )
    trainer = open_training(
        settings,
        args.data,
        exp=args.exp,
        banks=args.banks,
        labels=args.labels,
        clusters=args.clusters,
    )
    step = replay(trainer, args.epoch, args.step)
    source, batch = trainer.source, step.plan.utterances.shape[-1]
    items = min(args.items, batch)
    rooms = room_names(args.banks, settings.data.domain) if source.rooms else []
    rows = describe_plan(step.plan, source.index, source.noises, rooms, items)
    args.out.mkdir(parents=True, exist_ok=True)
    save(views_figure(_panels(_spectra(step.inputs, source.index), rows)), args.out / "views.png")
    with atomic_write(args.out / "draws.txt", "w") as handle:
        handle.writelines(f"{line}\n" for line in lines(rows))
    if args.sound == "true":
        _write_sounds(trainer, step.batch, items, args.out)
    print(f"epoch {args.epoch}, step {args.step}: the first {items} of {batch} items")
    for line in lines(rows):
        print(line)
    print(f"pictures: {args.out / 'views.png'}; table: {args.out / 'draws.txt'}")


def _spectra(inputs, index):
    """Return the inputs; if they are waveforms, their filterbanks (count, batch, frames, mel)."""
    from sv.features import fbank

    return {
        name: views
        if views.dim() == 4
        else fbank(views.flatten(0, 1), index.sample_rate).unflatten(0, views.shape[:2])
        for name, views in inputs.items()
    }


def _panels(inputs, rows):
    """Return the views of each item as (title, (frames, mel)); each row of the table is a view."""
    views = [view for group in inputs.values() for view in group]
    titles = [f"{row['item']} {row['view']}: {row['utterance']}" for row in rows]
    count = len(views)
    return [
        [
            (title, view[item].numpy())
            for title, view in zip(titles[item * count : (item + 1) * count], views, strict=True)
        ]
        for item in range(len(rows) // count)
    ]


def _write_sounds(trainer, batch, items: int, out: Path) -> None:
    """Write a WAV file for each view; a view that is too loud for the format is scaled down."""
    from sv.audio.files import write_audio
    from sv.crops.shown import view_name

    for name, crops in batch.crops.items():
        for view, waves in enumerate(trainer.front_end.sounds(crops)):
            for item in range(items):
                wave = waves[item].numpy()
                path = out / f"{item + 1}.{view_name(name, view)}.wav"
                loud = max(1.0, abs(wave).max())
                write_audio(path, wave / loud, trainer.source.index.sample_rate)


def _parse(argv: list[str] | None):
    p = parser(__doc__)
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--exp", type=Path, help="experiment folder, with config.yaml")
    source.add_argument("--config", type=Path, help="YAML settings of a training")
    p.add_argument("--data", type=Path, default=Path("data/train"), help="the training set")
    p.add_argument(
        "--banks",
        type=Path,
        help="folder made by stage 2 (default: ./banks); not read if augmentation is off",
    )
    p.add_argument(
        "--labels", type=Path, metavar="FILE", help="utt2spk, if the method needs true speakers"
    )
    p.add_argument(
        "--clusters",
        type=Path,
        metavar="DIR",
        help="clusters of the speakers, if batches.hard_ratio is above 0",
    )
    p.add_argument("--epoch", type=COUNT, required=True, help="epoch, from 1, as in the log")
    p.add_argument(
        "--step",
        type=COUNT,
        required=True,
        help="step of the epoch, from 1, as in the message of a loss that is not finite",
    )
    p.add_argument("--items", type=whole(1, MOST_ITEMS), default=4, help="number of items to show")
    p.add_argument(
        "--sound",
        choices=["true", "false"],
        default="false",
        help="true: also write each view as a WAV file; needs data.domain wave",
    )
    p.add_argument(
        "--out", type=Path, required=True, help="output folder, made if it does not exist"
    )
    add_settings(p)
    return p.parse_args(argv)


if __name__ == "__main__":
    run(main)

"""Stage 6: write one embedding for each utterance of a data directory, or for each audio file.

Whole utterances are embedded, in batches of similar length; the batch has no effect on the result.
The program reads the features of a data directory (feats.scp, utt2num_frames) or audio files, and a
model written by stage 3, sv.bin.average or sv.bin.package. It writes a Kaldi ark of vectors and its
scp. The id of an audio file is its path as given, with "_" for blanks. If some files cannot be
embedded, the program names them, writes the others and ends with status 2.

A recording may have any length. One of more than two minutes is embedded in blocks of 10 s,
which takes less memory, and gives the embedding of the whole (docs/use_a_model.md has figures).

Several processes (started by torchrun, or by utils/processes as in local/embed.sh --ngpu) each
embed their share of --data. The first process writes, and the numbers are exactly those of one
process. --job and --num-jobs also divide the work, for jobs that do not communicate.

With --crops 10 each utterance is embedded as the papers evaluate: in 10 evenly spaced crops of
3.5 s (--crop-seconds). An utterance that is shorter than a crop is repeated. An entry is then a
matrix with one embedding for each crop, and sv.bin.score takes the mean of the 10 x 10 cosines as
the score of a trial.

Examples:
  python -m sv.bin.embed --model exp/simclr/final.pt --data data/test \\
      --out exp/simclr/embeddings/test
  python -m sv.bin.embed alice.wav bob.flac --model exp/simclr/model --out people.scp
"""

import argparse
import contextlib
from pathlib import Path

import numpy as np

from sv.audio.channel_choice import add_channel
from sv.cli import add_process_timeout, parser, run
from sv.errors import InputError
from sv.numbers import COUNT, NATURAL, Number


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and embed."""
    args = arguments(argv)
    out = args.out.removesuffix(".scp")

    from sv import distributed
    from sv.inference.speaker_model import SpeakerModel
    from sv.machine.memory import told_with

    device = distributed.start(args.device, args.process_timeout)
    if args.files and distributed.world_size() > 1:
        raise InputError("audio files are embedded by one process: give --data DIR for several")
    model = SpeakerModel.load(args.model)
    crops = _crops(args, model)
    bad: list[str] = []
    with told_with(
        f"lower --frames-per-batch ({args.frames_per_batch}), or embed long recordings in parts"
    ):
        model.embedder.to(device)
        if args.files:
            count = _embed_files(model, args.files, out, args.channel, bad, crops)
        else:
            count = distributed.with_plain_errors(
                lambda: _embed_data(model, args, out, device, crops)
            )
    if distributed.is_first():
        print(f"{count:,} embeddings in {out}.ark")
    distributed.stop()
    if bad:
        raise InputError(
            f"{len(bad):,} of {len(args.files):,} files are not among them: {'; '.join(bad)}"
        )


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the options; raise ``InputError`` if they do not go together."""
    p = parser(__doc__)
    p.add_argument("files", nargs="*", type=Path, help="audio files, instead of --data")
    p.add_argument(
        "--model",
        type=Path,
        required=True,
        help="a model directory, a final.pt, or a checkpoints/epoch_NNNN.pt",
    )
    p.add_argument("--data", type=Path, help="data directory with feats.scp")
    p.add_argument(
        "--out", required=True, help="OUT.scp, or a path without ending: writes OUT.ark and OUT.scp"
    )
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    p.add_argument(
        "--frames-per-batch",
        type=COUNT,
        default=8000,
        help="frames (10 ms) in a batch of --data. A larger batch is faster on a GPU "
        "until its memory runs out; the result does not change",
    )
    p.add_argument(
        "--precision",
        choices=["float32", "bfloat16", "auto"],
        default="float32",
        help="arithmetic for --data. bfloat16: faster where the hardware computes in it; used "
        "if the embeddings of a sample agree with float32 (1 - cosine at most 0.001). auto: "
        "bfloat16 on such hardware only",
    )
    add_channel(p)
    add_process_timeout(p)
    p.add_argument(
        "--sample",
        type=NATURAL,
        default=0,
        metavar="N",
        help="embed only N utterances of --data, spread over the list; 0 for all. A few thousand "
        "of a large training set are enough to centre, to whiten and to normalise scores",
    )
    _add_jobs(p)
    _add_crops(p)
    args = p.parse_args(argv)
    if args.crop_seconds is not None and args.crops is None:
        raise InputError(f"--crop-seconds {args.crop_seconds:g} is of crops: give --crops N too")
    if not 1 <= args.job <= args.num_jobs:
        raise InputError(f"--job {args.job} is not one of the --num-jobs {args.num_jobs}")
    if bool(args.files) == (args.data is not None):
        raise InputError("give either audio files or --data DIR, one of the two")
    return args


def _add_jobs(p: argparse.ArgumentParser) -> None:
    """Add the options that divide the work among jobs."""
    p.add_argument(
        "--job", type=COUNT, default=1, help="number of the piece of --data to embed, from 1"
    )
    p.add_argument(
        "--num-jobs",
        type=COUNT,
        default=1,
        help="number of pieces of --data that are embedded separately; "
        "sv.bin.merge_embeddings joins them. More pieces than processors or GPUs "
        "are no faster",
    )


def _add_crops(p: argparse.ArgumentParser) -> None:
    """Add the options of evaluation by crops."""
    p.add_argument(
        "--crops",
        type=COUNT,
        metavar="N",
        help="embed N evenly spaced crops of each utterance instead of the whole, 10 as in papers, "
        "to compare a figure with a printed one; the whole utterance says more, and costs less",
    )
    p.add_argument(
        "--crop-seconds",
        type=Number(0.1, 600),
        help="length of a crop (default: 3.5); needs --crops",
    )


def _crops(args: argparse.Namespace, model):
    """Return the crops that are asked for, or None; raise if they are too short for the model."""
    from sv.inference.crops import SECONDS, EvenCrops

    if args.crops is None:
        return None
    crops = EvenCrops(args.crops, args.crop_seconds or SECONDS)
    crops.require(1 if model.embedder.hears_waveforms else model.embedder.encoder.min_frames)
    return crops


def _embed_data(model, args, out: str, device, crops) -> int:
    from sv.crops.wave_index import load_index
    from sv.inference.embed import embed
    from sv.kaldi.arks import rows_of_share
    from sv.scoring.system import evenly_spaced

    index = load_index(args.data, "wave" if model.embedder.hears_waveforms else "fbank")
    if args.sample:
        index = index.select(np.array(evenly_spaced(list(range(len(index))), args.sample)))
    if args.num_jobs > 1:
        index = index.select(rows_of_share((args.job - 1, args.num_jobs), len(index)))
    return embed(
        model.embedder,
        index,
        f"{out}.ark",
        f"{out}.scp",
        device=device,
        frames_per_batch=args.frames_per_batch,
        crops=crops,
        precision=args.precision,
    )


def _embed_files(
    model, files: list[Path], out: str, channel: int | None, bad: list[str], crops
) -> int:
    """Write the embeddings; append to ``bad`` a message for each file that cannot be embedded.

    Raises:
        InputError: no file can be embedded, or one is given twice.
    """
    from sv.files import shown
    from sv.kaldi.arks import ArkWriter
    from sv.machine.memory import ran_out

    names = ["_".join(shown(path).split()) for path in files]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InputError(f"{name} is given twice: each id has one embedding; give it once")
    vectors = []
    with _seconds_of(files) as advance:
        for name, path in zip(names, files, strict=True):
            try:
                vectors.append((name, model.embed_file(path, channel, crops, advance(path))))
            except InputError as error:
                bad.append(str(error))
            except (OSError, MemoryError, RuntimeError) as error:  # the others are still embedded
                if isinstance(error, RuntimeError) and not ran_out(error):
                    raise
                bad.append(f"{shown(path)}: {ran_out(error) or error}")
    if not vectors:
        raise InputError("; ".join(bad))
    with ArkWriter(f"{out}.ark", f"{out}.scp") as writer:
        for name, vector in vectors:
            writer.write(name, vector)
    return len(vectors)


@contextlib.contextmanager
def _seconds_of(files: list[Path]):
    """Show the seconds of speech that are done; yield a function of a path that gives its ``tick``.

    ``tick`` takes the share of the file that is done. A file that cannot be opened counts nothing.
    """
    from sv.audio.files import audio_info
    from sv.progress import progress

    seconds = {}
    for path in files:
        with contextlib.suppress(InputError):
            rate, _, samples = audio_info(path)
            seconds[path] = samples / rate
    bar = progress(total=round(sum(seconds.values())), desc="embeddings", unit="s of speech")
    begun = 0.0

    def advance(path: Path):
        nonlocal begun
        before = begun
        begun += seconds.get(path, 0.0)
        return lambda share: bar.update(round(before + share * seconds.get(path, 0.0)) - bar.n)

    yield advance
    bar.close()


if __name__ == "__main__":
    run(main)

"""Give every utterance of a folder of audio a recording condition of its own (before stage 0).

The program writes FLAC files in the same layout, conditions.JOB.tsv, and the trials with the new
endings. The path of an utterance and the seed determine its condition: a room response, band limits
(one in four is a telephone line with 8-bit coding) and a noise at 10 to 25 dB. If the program is
started again, it makes only the missing files. Use it to study positives from other recordings if a
corpus has only one session for each speaker. State with every result that the conditions are
simulated.

With --channels hard, utterances also differ in what augmentation does not draw: distance,
equaliser, compression, distortion, clipping, sampling rate, codec and lost packets. Such channels
show whether a system has learned voices: the easy ones are of the kinds that augmentation draws.

Example:
  python -m sv.bin.simulate_channels --corpus real --out simulated --noise noises --rir responses
"""

from argparse import ArgumentParser
from pathlib import Path

from sv.audio.channel_choice import add_channel
from sv.cli import parser, run
from sv.errors import InputError
from sv.files import shown
from sv.numbers import COUNT, SEED, SHARE


def options() -> ArgumentParser:
    """Return the options of the program."""
    p = parser(__doc__)
    p.add_argument("--corpus", type=Path, required=True, help="folder of audio")
    p.add_argument("--out", type=Path, required=True, help="output folder for the simulated corpus")
    p.add_argument(
        "--trials", type=Path, help="trial list of paths; the endings of the paths become .flac"
    )
    p.add_argument("--noise", default="generated", help="folder of noises, or 'generated'")
    p.add_argument("--rir", default="generated", help="folder of room responses, or 'generated'")
    p.add_argument(
        "--channels",
        choices=["easy", "hard"],
        default="easy",
        help="easy: room, band and noise; hard: also device, line and codec",
    )
    p.add_argument(
        "--session-size",
        type=COUNT,
        default=1,
        help="with hard channels: number of utterances of a folder that share a device and a line, "
        "a pseudo-session; 1: each utterance has its own",
    )
    p.add_argument(
        "--max-bad", type=SHARE, default=0.01, help="tolerated share of files in other formats"
    )
    add_channel(p)
    p.add_argument("--seed", type=SEED, default=0, help="another seed draws other conditions")
    p.add_argument("--job", type=COUNT, default=1, help="number of this job, from 1")
    p.add_argument("--num-jobs", type=COUNT, default=1, help="number of jobs that share the work")
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and make this job's files."""
    args = options().parse_args(argv)
    if not 1 <= args.job <= args.num_jobs:
        raise InputError(f"--job {args.job}: give a number from 1 to --num-jobs {args.num_jobs}")

    from sv.corpora import simulated_channels as channels
    from sv.corpora.folder_layout import find_files, foreign_sentence
    from sv.data.utterance import name_problem
    from sv.progress import progress

    if args.out.resolve() == args.corpus.resolve():
        raise InputError(f"{args.out} is the corpus itself; choose another --out")
    recorded = channels.Recorded.load(args.noise, args.rir)
    found, foreign = find_files(args.corpus)
    named = [name for name in found if name_problem(name) is None]
    if len(named) + args.max_bad * (len(found) + len(foreign)) < len(found) + len(foreign):
        why = [foreign_sentence(foreign)] if foreign else []
        why += [f"{shown(n)} {name_problem(n)}" for n in found if n not in set(named)][:1]
        raise InputError(f"{args.corpus}: {'; '.join(why)}; or raise --max-bad")
    found = named
    stems = {str(Path(name).with_suffix("")) for name in found}
    if len(stems) < len(found):
        raise InputError(f"{args.corpus}: some files differ only in their ending; rename them")
    sessions = channels.session_names(found, args.session_size) if args.channels == "hard" else {}
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / f"conditions.{args.job}.tsv").open("a", encoding="utf-8") as table:
        for name in progress(found[args.job - 1 :: args.num_jobs], desc="channels", unit="file"):
            line = channels.simulate_file(
                args.corpus,
                name,
                args.out,
                recorded,
                args.seed,
                args.channel,
                sessions.get(name),
            )
            table.write(line or "")
    if args.trials is not None and args.job == 1:
        channels.rename_trials(args.trials, args.out / "trials")


if __name__ == "__main__":
    run(main)

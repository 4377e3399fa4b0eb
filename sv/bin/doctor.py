"""Check every audio file of a corpus before long work starts, and list the files to leave out.

DIR is a data directory (with wav.scp) or any folder of audio. The program first estimates its time,
then decodes every file once, in parallel jobs. It finds

- files that are missing, unreadable, truncated, silent, clipped, too short or too long, at another
  rate, or in formats that cannot be read (m4a, sph, wma ...),
- duplicates of another file (the same samples, in any file format),
- files whose header, name or utt2dur is wrong, and files whose channels cancel each other or
  differ.

It prints a table and writes a JSON report and a list of files to leave out, which stage 1 reads:

Example:
  sv doctor data/train --json doctor.json --exclude exclude.tsv
  local/extract_features.sh --exclude exclude.tsv data/train fbank/train
"""

import json
import os
from pathlib import Path

from sv.audio.channel_choice import add_channel
from sv.cli import parser, run
from sv.numbers import JOBS, NOT_NEGATIVE, SAMPLE_RATE, SECONDS


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, examine, report."""
    from sv.corpora import checkup

    p = parser(__doc__)
    p.add_argument("dir", type=Path, metavar="DIR", help="data directory or folder of audio")
    p.add_argument("--json", type=Path, help="write every finding to this file")
    p.add_argument("--exclude", type=Path, help="write the list of files to leave out to this file")
    p.add_argument(
        "--kinds",
        nargs="+",
        choices=list(checkup.KINDS),
        default=[kind for kind in checkup.KINDS if kind not in checkup.HARMLESS],
        metavar="KIND",
        help="the findings that put a file on the list: "
        + "; ".join(f"{kind} ({text})" for kind, text in checkup.KINDS.items()).replace("%", "%%"),
    )
    p.add_argument(
        "--sample-rate", type=SAMPLE_RATE, default=16000, help="expected rate in Hz, as in stage 1"
    )
    p.add_argument(
        "--min-seconds",
        type=NOT_NEGATIVE,
        default=0.5,
        help="shorter files count as too short. Training repeats an utterance that is "
        "shorter than a crop; half a second or less contains little of a voice",
    )
    p.add_argument(
        "--max-seconds",
        type=SECONDS,
        default=3600.0,
        help="files that are longer by their header count as too long. They are not "
        "decoded, so this option also limits the memory: 4 bytes per sample for each "
        "job, 230 MB for an hour",
    )
    add_channel(p)
    p.add_argument("--jobs", type=JOBS, default=os.cpu_count() or 1, help="number of processes")
    p.add_argument(
        "--estimate-only", action="store_true", help="print the estimated time, then end"
    )
    args = p.parse_args(argv)

    limits = checkup.Limits(args.sample_rate, args.min_seconds, args.max_seconds, args.channel)
    cases = _cases(args.dir)
    print(checkup.estimate(cases, limits, args.jobs), flush=True)
    if args.estimate_only:
        return
    results = checkup.examine_all(cases, limits, args.jobs)
    print(checkup.table(results))
    _write(args, results, limits)


def _write(args, results, limits) -> None:
    from sv.audio.problems import write_bad
    from sv.corpora import checkup
    from sv.files import atomic_write

    if args.json is not None:
        with atomic_write(args.json) as handle:
            json.dump(checkup.to_json(results, limits), handle, indent=1, ensure_ascii=False)
    bad = checkup.excluded(results, args.kinds)
    if args.exclude is not None:
        write_bad(args.exclude, bad)
    where = f", see {args.exclude}" if args.exclude is not None else " (--exclude lists them)"
    print(f"{len(bad):,} to leave out{where if bad else ''}")


def _cases(folder: Path):
    """Return the files of a data directory, or of a folder of audio."""
    from sv.corpora.checkup import Case
    from sv.corpora.folder_layout import find_files, safe
    from sv.data.durations import read_seconds
    from sv.data.spans import read_dir_spans

    if not (folder / "wav.scp").exists():
        root, found = folder.absolute(), find_files(folder)
        foreign = set(found.foreign)
        names = sorted([*found.audio, *found.foreign])
        return [Case(safe(name), str(root / name), foreign=name in foreign) for name in names]
    seconds: dict[str, float] = {}
    if (folder / "utt2dur").exists():
        seconds = read_seconds(folder / "utt2dur")
    return [
        Case(key, span.path, seconds.get(key, 0.0), span=span.seconds, channel=span.channel)
        for key, span in read_dir_spans(folder).items()
    ]


if __name__ == "__main__":
    run(main)

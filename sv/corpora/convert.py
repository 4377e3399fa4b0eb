"""Converts audio that libsndfile cannot read (m4a, aac, mp4, ...) to FLAC or WAV, with ffmpeg.

A file gets its name only when ffmpeg has finished it. So an existing file is complete, and is not
converted again.
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sv.errors import InputError

FORMATS = ("flac", "wav")
SAMPLE_RATE = 16000
BATCH = 32
"""Files for each call of ffmpeg, because starting it costs more than the work. For 8 s of speech, a
call for each file took 90 ms of processor time; calls of 32 took 18 to 27 ms (FLAC) or 10 (WAV)."""
SHOWN = 300
"""Characters of ffmpeg's message that are kept."""

REMEDY = (
    "install it (apt-get install ffmpeg, or conda install -c conda-forge ffmpeg), or give a folder "
    "of wav or flac files"
)


def require_ffmpeg(count: int, example: str | Path) -> str:
    """Return the path of ffmpeg.

    Raises:
        InputError: ffmpeg is not installed; the message gives the count of files and an example.
    """
    found = shutil.which("ffmpeg")
    if found is None:
        raise InputError(
            f"{count:,} files such as {example} can only be read by ffmpeg, which is not "
            f"installed: {REMEDY}"
        )
    return found


def convert(files: Mapping[Path, Path], ffmpeg: str = "ffmpeg") -> Iterator[tuple[Path, str]]:
    """Convert {source: target}; yield (source, reason) for each; the reason is "" on success.

    Targets have 16 kHz, one channel, 16 bit, and the format of their suffix. An existing target
    counts as done; remove it to convert it again.

    Raises:
        OSError: the disk is full.
    """
    waiting = []
    for source, target in files.items():
        if target.is_file() and target.stat().st_size > 0:
            yield source, ""
            continue
        waiting.append((source, target))
        if len(waiting) == BATCH:
            yield from _convert_batch(waiting, ffmpeg)
            waiting = []
    yield from _convert_batch(waiting, ffmpeg)


def _convert_batch(pairs: Sequence[tuple[Path, Path]], ffmpeg: str) -> Iterator[tuple[Path, str]]:
    if not pairs:
        return
    complaint = _call(pairs, ffmpeg)
    if complaint and len(pairs) > 1:  # one bad file fails the call: find it
        for pair in pairs:
            yield from _convert_batch([pair], ffmpeg)
    else:
        yield from ((source, complaint) for source, _ in pairs)


def _call(pairs: Sequence[tuple[Path, Path]], ffmpeg: str) -> str:
    """Convert in one call; return ffmpeg's message, or "" on success.

    Any message counts as a failure. For a file that was cut off, ffmpeg prints one, keeps what it
    could read, and exits with status 0.
    """
    # One thread for each file: a call has dozens of files, and a job should use one core.
    command = [ffmpeg, "-nostdin", "-v", "error", "-y"]
    temporary = []
    for source, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.append(target.with_name(f".{target.name}.tmp"))
        # "file:" keeps ffmpeg from taking a colon in a name for a protocol.
        command += ["-threads", "1", "-i", f"file:{source}"]
    for number, ((_, target), scratch) in enumerate(zip(pairs, temporary, strict=True)):
        command += ["-map", f"{number}:a:0", "-ac", "1", "-ar", str(SAMPLE_RATE)]
        command += ["-sample_fmt", "s16", "-map_metadata", "-1", "-bitexact", "-threads", "1"]
        command += ["-f", target.suffix.removeprefix("."), f"file:{scratch}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        complaint = " ".join(done.stderr.split())[:SHOWN]
        for number in (errno.ENOSPC, errno.EDQUOT):  # the disk is at fault, not the file
            if os.strerror(number) in done.stderr:
                raise OSError(number, os.strerror(number), str(pairs[0][1].parent))
        if done.returncode != 0 or complaint:
            return f"ffmpeg cannot read it: {complaint or f'exit status {done.returncode}'}"
        for (_, target), scratch in zip(pairs, temporary, strict=True):
            scratch.replace(target)
        return ""
    finally:
        for scratch in temporary:
            scratch.unlink(missing_ok=True)

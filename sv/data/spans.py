"""Where the audio of each utterance is: a file, or a span of one channel of it."""

import math
import os
from pathlib import Path
from typing import NamedTuple

from sv.data.segments import read_channels, read_segments
from sv.errors import InputError
from sv.kaldi.arks import read_paths


class Span(NamedTuple):
    """The audio of an utterance: ``start`` and ``end`` in seconds, ``channel`` from 0.

    The defaults mean the whole file, and the channel that the program's own option chooses.
    """

    path: str
    start: float = 0.0
    end: float = math.inf
    channel: int | None = None

    @property
    def seconds(self) -> tuple[float, float] | None:
        """Start and end for ``read_audio``; None for a whole file."""
        whole = self.start == 0 and math.isinf(self.end)
        return None if whole else (self.start, self.end)

    def __str__(self) -> str:
        """Return the path alone for a whole file. The stamps of stage 1 depend on this text."""
        text = self.path
        if self.seconds:
            text += f" {self.start:.7f}-{self.end:.7f}"
        return text if self.channel is None else f"{text} channel {self.channel}"


def read_spans(
    wav_scp: str | os.PathLike, segments: str | os.PathLike | None = None
) -> dict[str, Span]:
    """Return {utterance: span} of a data directory's ``wav.scp``.

    segments: a file of lines ``<utterance> <recording> <start> <end>``, whose recordings are those
    of ``wav.scp``. Without it, each line of ``wav.scp`` is an utterance. The channels are in
    ``reco2file_and_channel`` beside ``wav.scp``.

    Raises:
        InputError: a file cannot be read, or a segment is of a recording that is not there.
    """
    paths = read_paths(wav_scp)
    channels = read_channels(Path(wav_scp).with_name("reco2file_and_channel"))
    if segments is None:
        return {key: Span(path, channel=channels.get(key)) for key, path in paths.items()}
    found, strangers = {}, []
    for key, (recording, start, end) in read_segments(segments).items():
        if recording not in paths:
            strangers.append(key)
            continue
        found[key] = Span(paths[recording], start, end, channels.get(recording))
    if strangers:
        raise InputError(
            f"{segments}: {len(strangers):,} segments are of recordings that {wav_scp} lacks, the "
            f"first: {', '.join(strangers[:10])}; run utils/fix_data_dir {Path(wav_scp).parent}"
        )
    return found


def read_dir_spans(data_dir: str | os.PathLike) -> dict[str, Span]:
    """Return {utterance: span} of a data directory, with or without ``segments``."""
    folder = Path(data_dir)
    segments = folder / "segments"
    return read_spans(folder / "wav.scp", segments if segments.exists() else None)

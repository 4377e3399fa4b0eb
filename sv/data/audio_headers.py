"""Lengths and rates of many audio files, read from their headers in parallel threads."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sv.audio.channel_choice import check_channel
from sv.audio.source import measure
from sv.data.utterance import AudioFile, Utterance, name_problem
from sv.errors import AudioError
from sv.progress import progress

THREADS = 8
FRAME_SECONDS = 0.025  # of a feature frame: shorter audio gives none


def read_header(path: Path, channel: int | None = None) -> tuple[int, int, int]:
    """Return (sample rate, channels, samples per channel).

    The samples are those that decoding gives (``sv.audio.source``). ``channel``: the one that
    will be taken, see ``sv.audio.channel_choice``.

    Raises:
        ValueError: with the reason in words, if the file cannot be used.
    """
    try:
        info = measure(path)
        check_channel(info.channels, channel)
    except AudioError as error:
        raise ValueError(error.reason) from error
    if info.samples < int(FRAME_SECONDS * info.rate):
        raise ValueError(f"holds {info.samples} samples, less than one frame of 25 ms")
    return info.rate, info.channels, info.samples


def read_headers(
    corpus: Path, files: Iterable[AudioFile], channel: int | None = None
) -> tuple[list[Utterance], list[tuple[AudioFile, str]]]:
    """Return the utterances that can be used, and the bad files with the reason of each.

    Threads are enough: libsndfile works outside Python's lock, and on a network disk the time goes
    into waiting. A file whose name does not fit into a list is bad, too.
    """
    corpus = corpus.absolute()

    def read(file: AudioFile) -> tuple[AudioFile, Utterance | str]:
        path = corpus / file.relative
        problem = name_problem(file.relative)
        if problem:
            return file, problem
        try:
            rate, channels, samples = read_header(path, channel)
        except ValueError as error:
            return file, str(error)
        return file, Utterance(
            id=file.id,
            path=str(path),
            duration=samples / rate,
            sample_rate=rate,
            num_samples=samples,
            speaker=file.speaker,
            session=file.session,
            group=file.group,
            channels=channels,
        )

    files = list(files)
    good, bad = [], []
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(read, files)
        for file, result in progress(results, total=len(files), desc="audio headers", unit="file"):
            if isinstance(result, str):
                bad.append((file, result))
            else:
                good.append(result)
    return good, bad

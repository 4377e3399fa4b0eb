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
FRAME_SECONDS = 0.025  # length of a feature frame; shorter audio has no frame


def read_header(path: Path, channel: int | None = None) -> tuple[int, int, int]:
    """Return (sample rate in Hz, channels, samples per channel).

    The number of samples is that of decoding (``sv.audio.source``). ``channel``: the channel that
    later stages take, see ``sv.audio.channel_choice``.

    Raises:
        ValueError: the file cannot be used; the message is the reason.
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
    """Return the utterances that can be used, and (file, reason) for each bad file.

    Threads are enough: libsndfile works outside Python's lock, and on a network disk most of the
    time is waiting. A file whose name cannot stand in a list is bad, too.
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

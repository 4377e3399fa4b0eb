"""Lengths and rates of many audio files, read from their headers in parallel threads."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile

from sv.data.audio import MAX_SAMPLES, NO_LENGTH
from sv.data.folder_layout import AudioFile
from sv.data.manifests import Utterance
from sv.progress import progress

THREADS = 8
MP3_SLACK = 4 * 1152
FRAME_SECONDS = 0.025  # of a feature frame: shorter audio gives none


def read_header(path: Path) -> tuple[int, int, int]:
    """Return (sample rate, channels, samples per channel).

    The last frame is decoded too: it costs a thirteenth of decoding the whole file and finds the
    FLAC and MP3 files that a broken copy has cut off, whose headers still promise the full length.

    Raises:
        ValueError: with the reason in words, if the file cannot be used.
    """
    try:
        if path.stat().st_size == 0:
            raise ValueError("is empty (0 bytes)")
        with soundfile.SoundFile(path) as audio:
            rate, channels, samples = audio.samplerate, audio.channels, audio.frames
            frame = int(FRAME_SECONDS * rate)
            if samples > MAX_SAMPLES:
                raise ValueError(NO_LENGTH)
            if samples < frame:
                raise ValueError(f"holds {samples} samples, less than one frame of 25 ms")
            whole = _reads_to_the_end(audio, samples, frame)
    except (OSError, soundfile.LibsndfileError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "error_string", str(error))
        raise ValueError(f"cannot be read ({reason.strip().rstrip('.')})") from error
    if not whole or _wav_is_cut(path):
        raise ValueError("is cut off before its end (an incomplete copy?)")
    return rate, channels, samples


def _reads_to_the_end(audio: soundfile.SoundFile, samples: int, frame: int) -> bool:
    try:
        # An MP3 header may count the coder's run-in and run-out, which are no samples.
        slack = MP3_SLACK if audio.format == "MP3" else 0
        audio.seek(max(0, samples - frame - slack))
        return len(audio.read(frame + slack, dtype="int16")) >= min(frame, samples - slack)
    except soundfile.LibsndfileError:
        return False


def _wav_is_cut(path: Path) -> bool:
    """Tell whether a WAV file is shorter than it says; libsndfile would read what there is."""
    if path.suffix.lower() != ".wav":
        return False
    with path.open("rb") as handle:
        head = handle.read(8)
    said = int.from_bytes(head[4:8], "little") + 8
    # Programs that write to a pipe cannot know the size and leave 0 or a huge number there.
    known = head[:4] == b"RIFF" and 8 < said < 0x7FFF0000
    return known and said > path.stat().st_size + 1


def read_headers(
    corpus: Path, files: Iterable[AudioFile]
) -> tuple[list[Utterance], list[tuple[AudioFile, str]]]:
    """Return the utterances that can be used, and the bad files with the reason of each.

    Threads are enough: libsndfile works outside Python's lock, and on a network disk the time goes
    into waiting.
    """
    corpus = corpus.absolute()

    def read(file: AudioFile) -> tuple[AudioFile, Utterance | str]:
        path = corpus / file.relative
        try:
            rate, channels, samples = read_header(path)
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

"""The one place that opens audio files and knows how long they are.

A length is the number of samples that decoding gives. libsndfile trusts headers, so each file is
checked first: plain samples by the sizes in their container, MP3 frame by frame, Ogg stream by
stream, and FLAC by what follows its end. If libsndfile would read a file wrongly, it gets the file
in a form that it reads correctly: without a header, with a corrected header, or part by part.
"""

import contextlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from sv.audio.endings import conversion, is_foreign
from sv.audio.flac_frames import refuse_more
from sv.audio.parts import AGAIN, Part, flac_parts, plan
from sv.errors import AudioError, Missing, Truncated
from sv.files import shown, utf8
from sv.numbers import samples_of

# A FLAC file that was written to a pipe does not state its length. libsndfile then reports a huge
# one, and soundfile, which seeks after each block, cannot read such a file at all.
MAX_SAMPLES = 1 << 62
BLOCK = 1 << 23
"""Samples read at a time, all channels together: nine minutes at 16 kHz."""
MIN_RATE, MAX_RATE = 1_000, 1_000_000
"""Hz. A rate outside is damage; resampling from it could take any amount of memory."""
LAST_SECONDS = 0.025
"""Length of the end of a file that is decoded to see whether the end is there."""
MEMORY_SHARE = 0.5
NO_LENGTH = (
    "does not say how long it is (it was written to a pipe): write it again, for instance with "
    "'flac in.flac -o out.flac'"
)
LAYER_2 = (
    "is MPEG audio of layer I or II, not MP3, of a length that cannot be told before decoding: "
    "convert it with 'ffmpeg -i in -ar 16000 -ac 1 out.flac'"
)
EXACT = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "AU", "CAF")
"""Formats in which libsndfile finds the sample of a number, so that a span can be read alone."""
_COPIED = 1 << 24
_BROKEN_PAGE = "Junk after the last page"


class Info(NamedTuple):
    """Rate in Hz, channels, samples of each channel, and libsndfile's name of the format.

    ``parts``: how many files were joined into this one.
    """

    rate: int
    channels: int
    samples: int
    format: str
    parts: int = 1


class _Window(io.RawIOBase):
    """A span of bytes of a file, read as if it were a file."""

    def __init__(self, descriptor: int, span: tuple[int, int]):
        super().__init__()
        self.descriptor, self.start, self.stop = descriptor, *span
        self.place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.stop - self.start}
        self.place = max(0, base[whence] + offset)
        return self.place

    def readinto(self, buffer) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view):
            count = min(len(view) - done, self.stop - self.start - self.place)
            piece = os.pread(self.descriptor, max(0, count), self.start + self.place)
            if not piece:
                break
            view[done : done + len(piece)] = piece
            done += len(piece)
            self.place += len(piece)
        return done


@contextlib.contextmanager
def _copy(descriptor: int, part: Part) -> Iterator[int]:
    """Copy a part to a file in memory: libsndfile reads a Python object six times as slowly."""
    copy = os.memfd_create("audio")
    try:
        os.write(copy, part.head)
        for start, stop in part.spans:
            for place in range(start, stop, _COPIED):
                piece = os.pread(descriptor, min(_COPIED, stop - place), place)
                while piece:
                    piece = piece[os.write(copy, piece) :]
        yield copy
    finally:
        os.close(copy)


class Audio:
    """An open audio file; made by ``open_audio``."""

    def __init__(self, path: str | os.PathLike, descriptor: int):
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise AudioError("is a folder, not an audio file: correct the path")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"is no regular file (a pipe or a device?): {AGAIN}")
        self.descriptor, self.size = descriptor, status.st_size
        self.planned = plan(Path(path), descriptor, self.size)

    def measure(self) -> Info:
        """Return what the file holds; the last 25 ms of each part are decoded as a check.

        The check costs a thirteenth of decoding everything, and finds FLAC files that were cut off.
        """
        found: list[Info] = []
        for audio in self._parts():
            last = max(1, int(LAST_SECONDS * audio.samplerate))
            there = audio.frames
            with _decoding():
                if not audio.seekable():
                    there = sum(len(block) for block in _blocks(audio, "int16"))
                elif audio.format != "MP3":  # every frame of an MP3 has been visited already
                    audio.seek(max(0, audio.frames - last))
                    there -= min(last, audio.frames) - len(audio.read(last, dtype="int16"))
            _refuse_cut_off(audio, there)
            found.append(_info(audio))
        return _joined(found)

    def decode(self) -> tuple[np.ndarray, Info]:
        """Return (samples,) or (samples, channels), int16 if the file has 16 bits, else float32.

        Raises:
            AudioError: the file is damaged, cut off, too long for the memory, or does not state
                its length.
        """
        found: list[Info] = []
        blocks = list(self.blocks(found, check=_refuse_too_long))
        info = _joined(found)
        return (blocks[0] if len(blocks) == 1 else np.concatenate(blocks)), info

    def blocks(
        self,
        found: list[Info],
        check: Callable[[soundfile.SoundFile], None] = lambda audio: None,
        block: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield the samples block by block, each as ``decode`` returns them.

        found: gets what each part of the file holds, after the blocks of the part.
        check: is called with each part before it is read.
        block: samples read at a time, all channels together; by default ``BLOCK``.

        Raises:
            AudioError: as ``decode``, after the blocks that could be read.
        """
        for audio in self._parts():
            # The caller converts 16-bit samples to float; libsndfile's own conversion is slower.
            dtype = "int16" if audio.subtype == "PCM_16" else "float32"
            check(audio)
            done = 0
            with _decoding():
                for piece in _blocks(audio, dtype, block):
                    done += len(piece)
                    yield piece
            _refuse_cut_off(audio, done)
            found.append(_info(audio))
            _joined(found)

    def stream(self, seconds: float) -> Iterator[tuple[np.ndarray, Info]]:
        """Yield (samples, channels) float32 in [-1, 1], ``seconds`` at a time, and what they are.

        Memory does not grow with the length of the file. The last block is shorter.

        Raises:
            AudioError: as ``decode``, when the damaged place is reached.
        """
        for audio in self._parts():
            there = 0
            size = max(1, round(seconds * audio.samplerate)) * audio.channels
            with _decoding():
                for block in _blocks(audio, "float32", size):
                    there += len(block)
                    if len(block):
                        yield block.reshape(len(block), -1), _info(audio)
            _refuse_cut_off(audio, there)

    def decode_span(self, seconds: tuple[float, float]) -> tuple[np.ndarray, Info] | None:
        """Return the samples from one time to another, as ``decode`` does, and reads no others.

        The result is None if the file must be decoded as a whole: its format has no exact places,
        it is joined of several files, or it ends before the span.
        """
        if len(self.planned) != 1:
            return None
        with self._opened(self.planned[0]) as (audio, _), _decoding():
            first, last = samples_of(seconds, audio.samplerate, audio.frames)
            exact = audio.format in EXACT and audio.seekable() and audio.frames <= MAX_SAMPLES
            if not exact or not 0 <= first < last <= audio.frames:
                return None
            audio.seek(first)
            dtype = "int16" if audio.subtype == "PCM_16" else "float32"
            samples = audio.read(last - first, dtype=dtype)
            if len(samples) < last - first:
                raise Truncated(f"is cut off: {first + len(samples)} samples can be read: {AGAIN}")
            return samples, _info(audio)._replace(samples=len(samples))

    def _parts(self) -> Iterator[soundfile.SoundFile]:
        """Yield the parts one after the other; the next FLAC file is found at the end of one."""
        waiting = list(self.planned)
        while waiting:
            part = waiting.pop(0)
            with self._opened(part) as (audio, position):
                if audio.frames > MAX_SAMPLES:
                    raise AudioError(NO_LENGTH)
                if not MIN_RATE <= audio.samplerate <= MAX_RATE:
                    raise AudioError(
                        f"is damaged: its header says {audio.samplerate} samples a second: {AGAIN}"
                    )
                if part.samples not in (None, audio.frames):
                    raise AudioError(LAYER_2)
                yield audio
                start, stop = part.spans[0]
                if audio.format != "FLAC":
                    continue
                found = [part]
                if start + position() < stop:
                    found = flac_parts(self.descriptor, start, stop, look=True)
                    waiting = found[1:] + waiting
                refuse_more(self.descriptor, found[0].spans[0], audio.frames, audio.samplerate)

    @contextlib.contextmanager
    def _opened(self, part: Part) -> Iterator[tuple[soundfile.SoundFile, Callable[[], int]]]:
        """Open a part; yield it and a function that returns how far libsndfile has read."""
        with contextlib.ExitStack() as stack:
            descriptor, audio = self.descriptor, None
            if part.head or part.spans != [(0, self.size)]:
                descriptor = stack.enter_context(_copy(self.descriptor, part))
            os.lseek(descriptor, 0, os.SEEK_SET)
            with contextlib.suppress(*((soundfile.LibsndfileError,) if part.plain else ())):
                audio = stack.enter_context(soundfile.SoundFile(descriptor, closefd=False))
            if part.plain is not None and (audio is None or audio.frames != part.plain.frames):
                window = _Window(self.descriptor, part.plain.span)
                audio = stack.enter_context(soundfile.SoundFile(window, **part.plain.options))
            yield audio, partial(os.lseek, descriptor, 0, os.SEEK_CUR)


@contextlib.contextmanager
def open_audio(path: str | os.PathLike) -> Iterator[Audio]:
    """Open an audio file, whatever its name is.

    Raises:
        AudioError: the file cannot be opened or read, here or in the ``with`` block; the message
            names the file.
    """
    name = shown(path)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        # soundfile gets a descriptor: it refuses names that are not UTF-8, and its own errors say
        # less.
        try:
            descriptor = os.open(path, flags)
        except UnicodeEncodeError:  # Python's file names are ASCII (PYTHONUTF8=0, LC_ALL=C)
            descriptor = os.open(utf8(path), flags)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _why_not(error).of(name) from None
    try:
        yield Audio(path, descriptor)
    except AudioError as error:
        raise error.of(name) from None
    except soundfile.LibsndfileError as error:
        remedy = f"convert it by '{conversion(path)}'" if is_foreign(path) else AGAIN
        raise AudioError(f"cannot be read as audio ({_reason(error)}): {remedy}", name) from None
    except OSError as error:
        raise _why_not(error).of(name) from None
    finally:
        os.close(descriptor)


def measure(path: str | os.PathLike) -> Info:
    """Return what an audio file holds; see ``Audio.measure``."""
    with open_audio(path) as audio:
        return audio.measure()


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except soundfile.LibsndfileError as error:
        raise Truncated(f"is damaged or cut off ({_reason(error)}): {AGAIN}") from None


def _blocks(
    audio: soundfile.SoundFile, dtype: str, block: int | None = None
) -> Iterator[np.ndarray]:
    """Yield blocks up to the end of the file; a damaged header may state any length."""
    size = max(1, (block or BLOCK) // audio.channels)
    while True:
        piece = audio.read(size, dtype=dtype)
        yield piece
        if len(piece) < size:
            return


def _info(audio: soundfile.SoundFile) -> Info:
    return Info(audio.samplerate, audio.channels, audio.frames, audio.format)


def _joined(found: list[Info]) -> Info:
    """Return the sum of the parts.

    Raises:
        AudioError: the parts differ in rate or channels.
    """
    first = found[0]
    for other in found[1:]:
        if (other.rate, other.channels) != (first.rate, first.channels):
            raise AudioError(
                f"is joined from files of {first.rate} Hz, {first.channels} channels and "
                f"{other.rate} Hz, {other.channels} channels: take them apart, or convert it with "
                "'ffmpeg -i in -ar 16000 -ac 1 out.flac'"
            )
    return first._replace(samples=sum(one.samples for one in found), parts=len(found))


def _refuse_cut_off(audio: soundfile.SoundFile, decoded: int) -> None:
    if decoded < audio.frames:
        raise Truncated(
            f"is cut off: {decoded} samples instead of the {audio.frames} in its header: {AGAIN}"
        )
    if audio.format == "OGG" and _BROKEN_PAGE in audio.extra_info:
        raise Truncated(f"is cut off: only {decoded} samples of it are there: {AGAIN}")


def _refuse_too_long(audio: soundfile.SoundFile) -> None:
    """Raise if decoding needs more memory than is free; else the system would kill the process."""
    wanted = 4 * audio.frames * (audio.channels + 1)
    free = _free_memory()
    if wanted > MEMORY_SHARE * free and not audio.format == "FLAC":
        raise AudioError(
            f"is {audio.frames / audio.samplerate / 3600:,.1f} h long: decoding takes "
            f"{wanted / 1e9:,.1f} GB of memory and {free / 1e9:,.1f} GB are free: cut it into "
            "pieces, such as 'sox in.wav out.wav trim 0 3600 : newfile : restart'"
        )


def _free_memory() -> float:
    """Return the bytes of memory that are free for programs; infinite if that is unknown."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as lines:
            return next(1024.0 * int(line.split()[1]) for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration, ValueError):
        return float("inf")


def _why_not(error: Exception) -> AudioError:
    """Return the error that says why a file cannot be opened."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Missing("does not exist: correct the path (in wav.scp), or copy the audio there")
    if isinstance(error, PermissionError):
        return AudioError("cannot be read: permission denied; change its mode or owner")
    return AudioError(f"cannot be read ({getattr(error, 'strerror', None) or error}): {AGAIN}")


def _reason(error: Exception) -> str:
    reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
    return reason or "damaged, or without samples"

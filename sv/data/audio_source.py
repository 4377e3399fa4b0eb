"""The one place that opens audio files and knows how long they are.

A length is what decoding gives. libsndfile believes headers, so a file is looked at first: plain
samples by the sizes of their container, MP3 frame by frame, Ogg by its streams; a FLAC file is
looked at behind its end. What libsndfile would read wrongly is handed to it in a form that it reads
right: without a header, with a better one, or one joined part after the other.
"""

import contextlib
import io
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from sv.data import mpeg_frames
from sv.data.containers import Samples, find_samples
from sv.data.ogg_pages import find_streams
from sv.errors import AudioError, Missing, Truncated
from sv.files import shown, utf8

# A FLAC file written to a pipe leaves its length open. libsndfile then says a huge one, and
# soundfile, which seeks after each block, cannot read such a file at all.
MAX_SAMPLES = 1 << 62
BLOCK = 1 << 23
"""Samples read at a time, all channels together: nine minutes at 16 kHz."""
MIN_RATE, MAX_RATE = 1_000, 1_000_000
"""Hz. Resampling from a rate that is no rate of sound takes any amount of memory."""
LAST_SECONDS = 0.025
"""Decoded at the end of a file to see whether it is there."""
MEMORY_SHARE = 0.5
AGAIN = "copy or convert it again, or remove it from the list (wav.scp)"
NO_LENGTH = (
    "does not say how long it is (it was written to a pipe): write it again, for instance with "
    "'flac in.flac -o out.flac'"
)
_MP3_ENDINGS = (".mp3", ".mp2", ".mpga")
_SEARCHED = 1 << 20
"""Bytes of a FLAC file that are read to see whether another one was joined to it."""
_STREAMINFO = 42
_BROKEN_PAGE = "Junk after the last page"


class Info(NamedTuple):
    """Of an audio file: rate in Hz, channels, samples a channel, libsndfile's name of its format.

    ``parts``: how many files were joined to it.
    """

    rate: int
    channels: int
    samples: int
    format: str
    parts: int = 1


class _Plain(NamedTuple):
    """Samples that can be read without a header: how many a channel, where, and soundfile's way."""

    frames: int
    span: tuple[int, int]
    options: dict


class _Part(NamedTuple):
    """What libsndfile is given at a time: spans of bytes of the file, behind ``head``.

    ``plain``: used instead if libsndfile finds another number of samples there.
    """

    spans: list[tuple[int, int]]
    head: bytes = b""
    plain: _Plain | None = None


class _Window(io.RawIOBase):
    """Some bytes of a file as if they were one."""

    def __init__(self, descriptor: int, spans: list[tuple[int, int]], head: bytes = b""):
        super().__init__()
        self.descriptor, self.head, self.spans = descriptor, head, spans
        self.starts = np.cumsum([len(head)] + [stop - start for start, stop in spans])
        self.place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: int(self.starts[-1])}
        self.place = max(0, base[whence] + offset)
        return self.place

    def readinto(self, buffer) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view):
            piece = self._piece(len(view) - done)
            if not piece:
                break
            view[done : done + len(piece)] = piece
            done += len(piece)
            self.place += len(piece)
        return done

    def _piece(self, count: int) -> bytes:
        if self.place < len(self.head):
            return self.head[self.place : self.place + count]
        index = int(np.searchsorted(self.starts, self.place, "right")) - 1
        if index >= len(self.spans):
            return b""
        start, stop = self.spans[index]
        start += self.place - int(self.starts[index])
        return os.pread(self.descriptor, min(count, stop - start), start)


class Audio:
    """An open audio file; made by ``open_audio``."""

    def __init__(self, path: str | os.PathLike, descriptor: int):
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise AudioError("is a folder, not an audio file: correct the path")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"is no regular file (a pipe or a device?): {AGAIN}")
        self.descriptor, self.size = descriptor, status.st_size
        self.planned = _plan(Path(path), descriptor, self.size)

    def measure(self) -> Info:
        """Return what the file holds, after decoding the last 25 ms of each part.

        That costs a thirteenth of decoding all of it, and finds FLAC files that were cut off.
        """
        found: list[Info] = []
        for audio in self._parts():
            last = max(1, int(LAST_SECONDS * audio.samplerate))
            there = audio.frames
            with _decoding():
                if not audio.seekable():
                    there = sum(len(block) for block in _blocks(audio, "int16"))
                elif audio.format != "MP3":  # of which every frame has been visited
                    audio.seek(max(0, audio.frames - last))
                    there -= min(last, audio.frames) - len(audio.read(last, dtype="int16"))
            _refuse_cut_off(audio, there)
            found.append(_info(audio))
        return _joined(found)

    def decode(self) -> tuple[np.ndarray, Info]:
        """Return the samples, int16 where the file has 16-bit samples, else float32."""
        blocks: list[np.ndarray] = []
        found: list[Info] = []
        for audio in self._parts():
            # 16-bit samples are converted by the caller: libsndfile's own way takes longer.
            dtype = "int16" if audio.subtype == "PCM_16" else "float32"
            _refuse_too_long(audio)
            with _decoding():
                read = list(_blocks(audio, dtype))
            _refuse_cut_off(audio, sum(map(len, read)))
            found.append(_info(audio))
            blocks += read
        info = _joined(found)
        return (blocks[0] if len(blocks) == 1 else np.concatenate(blocks)), info

    def _parts(self) -> Iterator[soundfile.SoundFile]:
        """Yield the parts one after the other; a FLAC file tells of the next at its end."""
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
                yield audio
                start, stop = part.spans[0]
                if audio.format == "FLAC" and start + position() < stop:
                    waiting = _flac(self.descriptor, start, stop, look=True)[1:] + waiting

    @contextlib.contextmanager
    def _opened(self, part: _Part) -> Iterator[tuple[soundfile.SoundFile, Callable[[], int]]]:
        """Open a part; yield it and a function that tells how far libsndfile has read."""
        with contextlib.ExitStack() as stack:
            audio = None
            if part.head or part.spans != [(0, self.size)]:
                window = _Window(self.descriptor, part.spans, part.head)
                audio, position = soundfile.SoundFile(window), window.tell
            else:
                os.lseek(self.descriptor, 0, os.SEEK_SET)
                with contextlib.suppress(*((soundfile.LibsndfileError,) if part.plain else ())):
                    audio = soundfile.SoundFile(self.descriptor, closefd=False)
                position = partial(os.lseek, self.descriptor, 0, os.SEEK_CUR)
            if audio is not None:
                stack.enter_context(audio)
            if part.plain is not None and (audio is None or audio.frames != part.plain.frames):
                window = _Window(self.descriptor, [part.plain.span])
                audio = stack.enter_context(soundfile.SoundFile(window, **part.plain.options))
            yield audio, position


@contextlib.contextmanager
def open_audio(path: str | os.PathLike) -> Iterator[Audio]:
    """Open an audio file whatever its name is.

    Raises:
        AudioError: with the file's name, also for what goes wrong in the ``with`` block.
    """
    name = shown(path)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        # By descriptor: soundfile takes no name that is not UTF-8, and its own open says less.
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
        raise AudioError(f"cannot be read as audio ({_reason(error)}): {AGAIN}", name) from None
    except OSError as error:
        raise _why_not(error).of(name) from None
    finally:
        os.close(descriptor)


def measure(path: str | os.PathLike) -> Info:
    """Return what an audio file holds; see ``Audio.measure``."""
    with open_audio(path) as audio:
        return audio.measure()


def _plan(path: Path, descriptor: int, size: int) -> list[_Part]:
    """Return the parts by which a file is read."""
    if size == 0:
        raise AudioError(f"is empty (0 bytes): {AGAIN}")
    head = os.pread(descriptor, 16, 0)
    base = 0
    while head.startswith(b"ID3") and len(head) >= 10 and base < size:
        base += mpeg_frames.id3_size(head)
        head = os.pread(descriptor, 16, base)
    whole = _Part([(base, size)])
    if head.startswith(b"OggS"):
        with _mapped(descriptor) as data:
            return [_Part(spans) for spans in find_streams(data, base, size)]
    if head.startswith(b"fLaC"):
        return _flac(descriptor, base, size)
    plain = find_samples(descriptor, base)
    if plain is not None and plain.mpeg:
        return _mpeg(descriptor, plain.start, plain.stop)
    if plain is not None:
        return [_plain(whole, plain)]
    if path.suffix.lower() in _MP3_ENDINGS or mpeg_frames.parse(head) or base:
        return _mpeg(descriptor, 0, size)
    return [whole]


def _flac(descriptor: int, start: int, stop: int, look: bool = False) -> list[_Part]:
    """Return the FLAC files that were joined to one.

    libFLAC reads the first, and may find its last sample in the second. All bytes are searched for
    another beginning if that is cheap, or if there are more of them than the samples would take.
    """
    head = os.pread(descriptor, _STREAMINFO, start)
    number = int.from_bytes(head[18:26], "big")  # 20 bits rate, 3 channels, 5 bits, 36 samples
    samples, channels, bits = (
        number & (1 << 36) - 1,
        (number >> 41 & 7) + 1,
        (number >> 36 & 31) + 1,
    )
    if not look and stop - start > max(_SEARCHED, samples * channels * bits // 8):
        look = True
    places = [start]
    if look or stop - start <= _SEARCHED:
        with _mapped(descriptor) as data:
            places += _flac_beginnings(data, start + 4, stop)
    return [_Part([span]) for span in zip(places, [*places[1:], stop], strict=True)]


def _flac_beginnings(data: mmap.mmap, place: int, stop: int) -> Iterator[int]:
    while (place := data.find(b"fLaC", place, stop)) >= 0:
        if data[place + 4 : place + 8] in (b"\0\0\0\x22", b"\x80\0\0\x22"):  # STREAMINFO
            yield place
        place += 4


def _mpeg(descriptor: int, start: int, stop: int) -> list[_Part]:
    with _mapped(descriptor) as data:
        parts = mpeg_frames.find_parts(data, start, stop)
    return [_Part(part.spans, part.head) for part in parts]


def _plain(whole: _Part, plain: Samples) -> _Part:
    """Return the part of plain samples; without ``raw`` libsndfile is believed."""
    if plain.raw is None:
        return whole
    frames = (plain.stop - plain.start) // plain.frame
    stop = plain.start + frames * plain.frame
    return whole._replace(plain=_Plain(frames, (plain.start, stop), plain.raw))


@contextlib.contextmanager
def _mapped(descriptor: int) -> Iterator[mmap.mmap]:
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        yield data


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except soundfile.LibsndfileError as error:
        raise Truncated(f"is damaged or cut off ({_reason(error)}): {AGAIN}") from None


def _blocks(audio: soundfile.SoundFile, dtype: str) -> Iterator[np.ndarray]:
    """Read to the end in blocks: a damaged header may say any length."""
    size = max(1, BLOCK // audio.channels)
    while True:
        block = audio.read(size, dtype=dtype)
        yield block
        if len(block) < size:
            return


def _info(audio: soundfile.SoundFile) -> Info:
    return Info(audio.samplerate, audio.channels, audio.frames, audio.format)


def _joined(found: list[Info]) -> Info:
    """Return the sum of the parts.

    Raises:
        AudioError: they differ in rate or channels.
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
    """Refuse what the machine has no memory for, before it is killed for it."""
    wanted = 4 * audio.frames * (audio.channels + 1)
    free = _free_memory()
    if wanted > MEMORY_SHARE * free and not audio.format == "FLAC":
        raise AudioError(
            f"is {audio.frames / audio.samplerate / 3600:,.1f} h long: decoding takes "
            f"{wanted / 1e9:,.1f} GB of memory and {free / 1e9:,.1f} GB are free: cut it into "
            "pieces, such as 'sox in.wav out.wav trim 0 3600 : newfile : restart'"
        )


def _free_memory() -> float:
    """Return the bytes of memory that programs can still have; infinite if nobody says."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as lines:
            return next(1024.0 * int(line.split()[1]) for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration, ValueError):
        return float("inf")


def _why_not(error: Exception) -> AudioError:
    """Say why a file cannot be opened."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Missing("does not exist: correct the path (in wav.scp), or copy the audio there")
    if isinstance(error, PermissionError):
        return AudioError("cannot be read: permission denied; change its mode or owner")
    return AudioError(f"cannot be read ({getattr(error, 'strerror', None) or error}): {AGAIN}")


def _reason(error: Exception) -> str:
    reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
    return reason or "damaged, or without samples"

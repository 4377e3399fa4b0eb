"""WAV and its relatives: the header's sizes against those of the file."""

import io
import struct

import numpy as np
import pytest
import soundfile

from sv.audio.files import decode, read_audio
from sv.audio.source import measure
from sv.data.audio_headers import read_header
from sv.errors import InputError, Truncated, WrongHeader

RATE, COUNT = 16000, 16000
WRAP = 1 << 32
SAMPLES = 0.3 * np.sin(np.arange(COUNT) * 0.05)
KINDS = ["PCM_16", "PCM_24", "PCM_U8", "FLOAT", "ULAW"]
OTHERS = {  # the name of the size's chunk or of the file, where the size is, its form, what it adds
    "RF64": (b"ds64", 16, "<Q", 0),
    "W64": (b"data", 16, "<Q", 24),
    "AIFF": (b"SSND", 4, ">I", 8),
    "AU": (b".snd", 8, ">I", 0),
    "CAF": (b"data", 4, ">q", 4),
}


def written(form="WAV", subtype="PCM_16", channels=1):
    content = io.BytesIO()
    samples = SAMPLES if channels == 1 else np.stack([SAMPLES] * channels, 1)
    soundfile.write(content, samples, RATE, format=form, subtype=subtype)
    return bytearray(content.getvalue())


def with_size(content, form, change):
    """Return the file with another size of its samples: ``change`` is a function of the true one.

    The size comes without what the format adds to it."""
    mark, place, code, extra = OTHERS.get(form, (b"data", 4, "<I", 0))
    content, place = bytearray(content), content.index(mark) + place
    width = struct.calcsize(code)
    (size,) = struct.unpack(code, content[place : place + width])
    content[place : place + width] = struct.pack(code, change(size - extra))
    return content


def check(tmp_path, content, samples=COUNT, name="a.wav", more=0):
    path = tmp_path / name
    path.write_bytes(content)
    if more:
        with path.open("r+b") as handle:
            handle.truncate(len(content) + more)  # sparse: takes no disk
    assert read_header(path)[2] == measure(path).samples == samples
    if not more:
        assert len(decode(path).samples) == samples
        np.testing.assert_allclose(read_audio(path), SAMPLES[:samples], atol=0.02)


def refuse(tmp_path, content, error, words, name="a.wav"):
    path = tmp_path / name
    path.write_bytes(content)
    for read in (measure, decode, read_audio):
        with pytest.raises(error, match=words) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wav_file_over_4_gib(tmp_path, kind):
    content = written(subtype=kind, channels=2)
    frame = 2 * {"PCM_16": 2, "PCM_24": 3, "PCM_U8": 1, "FLOAT": 4, "ULAW": 1}[kind]
    for wraps in (1, 2):
        data = COUNT * frame + wraps * WRAP
        check(tmp_path, content, data // frame, more=wraps * WRAP)


@pytest.mark.parametrize("form", ["RF64", "W64", "AIFF", "AU"])
def test_other_containers_over_4_gib(tmp_path, form):
    check(tmp_path, written(form), COUNT + WRAP // 2, more=WRAP, name="a.audio")


@pytest.mark.parametrize("form", ["WAV", *OTHERS])
def test_sizes_that_do_not_agree(tmp_path, form):
    content, name = written(form), "a.audio"
    for change in (lambda size: 0, lambda size: size // 4 * 2, lambda size: size - 8000):
        refuse(tmp_path, with_size(content, form, change), WrongHeader, "by its header", name)
    words = "sox --ignore-length" if form != "CAF" else "convert it again"
    refuse(tmp_path, with_size(content, form, lambda size: size // 2), WrongHeader, words, name)
    refuse(tmp_path, content[: len(content) * 2 // 3], Truncated, "cut off: 0.[67] s", name)


def test_nist(tmp_path):
    content = written("NIST")
    check(tmp_path, content, name="a.sph")
    for count in (b"8000 ", b"0    "):
        refuse(tmp_path, content.replace(b"16000\nend", count + b"\nend"), WrongHeader, "sox", "a")
    refuse(tmp_path, content[:20_000], Truncated, "cut off", "a.sph")


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB])
def test_sizes_of_a_pipe(tmp_path, size):
    check(tmp_path, with_size(written(), "WAV", lambda _: size))


def test_a_large_size_that_no_pipe_leaves(tmp_path):
    content = with_size(written(), "WAV", lambda _: 3_000_000_000)
    refuse(tmp_path, content, Truncated, "cut off")


@pytest.mark.parametrize("form", ["AU", "CAF"])
def test_sizes_that_are_left_open(tmp_path, form):
    content = written(form)
    mark, place, code, _ = OTHERS[form]
    place += content.index(mark)
    content[place : place + struct.calcsize(code)] = b"\xff" * struct.calcsize(code)
    check(tmp_path, content, name="a.audio")


def chunk(name, size, pad=True):
    return name + struct.pack("<I", size) + b"a" * size + b"\0" * (size % 2 and pad)


@pytest.mark.parametrize(
    "tail",
    [
        chunk(b"LIST", 40) + chunk(b"id3 ", 3),
        chunk(b"bext", 20_001) + chunk(b"junk", 2),
        chunk(b"bext", 20_001, pad=False) + chunk(b"junk", 2),
        b"TAG" + bytes(125),
        bytes(30_000),
        b"some text of a program",
    ],
)
def test_what_may_follow_the_samples(tmp_path, tail):
    check(tmp_path, written() + tail)


@pytest.mark.parametrize("pad", [True, False])
def test_odd_chunks_before_the_samples(tmp_path, pad):
    content = written()
    check(tmp_path, content[:12] + chunk(b"JUNK", 5, pad) + content[12:])


def test_joined_wav_files(tmp_path):
    refuse(tmp_path, written() + written(), WrongHeader, "files joined")


def test_no_samples(tmp_path):
    empty = with_size(written(), "WAV", lambda _: 0)
    empty = empty[: empty.index(b"data") + 8]
    for content in (empty, empty + chunk(b"LIST", 4)):
        path = tmp_path / "a.wav"
        path.write_bytes(content)
        with pytest.raises(InputError, match="holds no samples"):
            read_audio(path)
        with pytest.raises(ValueError, match="holds 0 samples"):
            read_header(path)


def test_coded_samples_over_4_gib_are_refused(tmp_path):
    content = written(subtype="IMA_ADPCM")
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with path.open("r+b") as handle:
        handle.truncate(len(content) + WRAP)
    with pytest.raises(WrongHeader):
        measure(path)


def test_gsm_cannot_be_sought_in(tmp_path):
    soundfile.write(tmp_path / "a.wav", SAMPLES, 8000, subtype="GSM610")
    assert measure(tmp_path / "a.wav").samples == len(decode(tmp_path / "a.wav").samples)


def test_more_than_memory_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("sv.audio.source._free_memory", lambda: 1e5)
    path = tmp_path / "a.wav"
    path.write_bytes(written())
    assert measure(path).samples == COUNT
    with pytest.raises(InputError, match=r"a\.wav is 0\.0 h long.*cut it into pieces"):
        decode(path)


def test_samples_that_take_more_bytes_than_their_bits(tmp_path):
    content = written(subtype="PCM_24")
    place = content.index(b"fmt ") + 8
    content[place + 12 : place + 14] = struct.pack("<H", 4)
    refuse(tmp_path, content, WrongHeader, "24 bits that take 4 bytes")
    content[place + 12 : place + 14] = struct.pack("<H", 0)  # not said: libsndfile is right
    check(tmp_path, content)
    content = written()
    content[place + 12 : place + 14] = struct.pack("<H", 4)  # a slip
    check(tmp_path, content)


def test_an_open_size_before_more_than_4_gib(tmp_path):
    content = with_size(written(), "WAV", lambda _: WRAP - 1)
    check(tmp_path, content, COUNT + WRAP // 2, more=WRAP)

"""MP3, Ogg and FLAC: a length is what decoding gives, whatever the header says."""

import io
import struct

import numpy as np
import pytest
import soundfile

from sv.audio import mpeg_frames
from sv.audio.files import decode, read_audio
from sv.audio.source import measure
from sv.data.audio_headers import read_header
from sv.errors import AudioError, InputError, Truncated, WrongHeader

RATE = 16000
ID3V1 = b"TAG" + b"x" * 125
FORMS = {
    "mp3": {"format": "MP3", "bitrate_mode": "VARIABLE"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "flac": {"format": "FLAC"},
}


def speech(seconds=3.0, seed=0, channels=1):
    """Loud noise, then a quiet tone: the first frames say nothing about the rest."""
    count = int(seconds * RATE)
    noise = np.random.default_rng(seed).standard_normal(count // 3) * 0.25
    tone = 0.01 * np.sin(np.arange(count - count // 3) * 0.2)
    samples = np.concatenate([noise, tone]).astype(np.float32)
    return samples if channels == 1 else np.stack([samples] * channels, 1)


def coded(ending, *args, rate=RATE, **kwargs):
    content = io.BytesIO()
    soundfile.write(content, speech(*args, **kwargs), rate, **FORMS[ending])
    return content.getvalue()


def id3(size):
    """A tag with a picture: bytes that look like the beginning of a frame are in it."""
    body = b"APIC" + struct.pack(">I", size) + b"\0\0" + b"\xff\xfb\x90\x64" * (size // 4)
    count = len(body)
    return b"ID3\3\0\0" + bytes(count >> shift & 127 for shift in (21, 14, 7, 0)) + body


def without_info(mp3):
    """Take the Xing frame away, as encoders that write to a pipe do."""
    return mp3[mpeg_frames.parse(mp3[:4]).length :]


def changed_info(mp3, factor):
    place = max(mp3.find(b"Xing"), mp3.find(b"Info")) + 8
    count = int(struct.unpack(">I", mp3[place : place + 4])[0] * factor)
    return mp3[:place] + struct.pack(">I", count) + mp3[place + 4 :]


def check(tmp_path, content, samples, slack=0, name="a.mp3"):
    """All readers agree with each other, and with what was written."""
    path = tmp_path / name
    path.write_bytes(content)
    decoded = decode(path)
    assert read_header(path)[2] == measure(path).samples == len(decoded.samples)
    assert abs(len(decoded.samples) - samples) <= slack
    return read_audio(path)


ONE, SLACK = 3 * RATE, 4 * 576
"""Without LAME's numbers the coder's run-in and run-out count: some frames of 576 samples."""


def test_mp3_lengths(tmp_path):
    mp3 = coded("mp3")
    bare = without_info(mp3)
    check(tmp_path, mp3, ONE)
    check(tmp_path, bare, ONE, SLACK)
    soundfile.write(tmp_path / "a.wav", check(tmp_path, bare, ONE, SLACK), RATE)
    for tagged in (id3(3000) + bare, id3(70_000) + mp3, mp3 + ID3V1, id3(60) + id3(90) + mp3):
        check(tmp_path, tagged, ONE, SLACK)
    ape = b"APETAGEX" + struct.pack("<4I", 2000, 96, 1, 0xA0000000) + bytes(104)
    check(tmp_path, mp3 + ape + ID3V1, ONE)
    check(tmp_path, mp3, ONE, name="no_ending")
    check(tmp_path, bare[700:], ONE, SLACK + 1152)  # begins within a frame


@pytest.mark.parametrize("factor", [3, 1 / 3, 0])
def test_an_mp3_header_that_lies(tmp_path, factor):
    check(tmp_path, changed_info(coded("mp3"), factor), ONE, SLACK)


def test_joined_mp3(tmp_path):
    first, second = coded("mp3"), coded("mp3", 2, 1)
    both = ONE + 2 * RATE
    samples = check(tmp_path, first + second, both)
    np.testing.assert_allclose(samples[ONE:], check(tmp_path, second, 2 * RATE), atol=1e-6)
    check(tmp_path, first + ID3V1 + id3(2000) + second + ID3V1, both)
    check(tmp_path, without_info(first) + without_info(second), both, 2 * SLACK)
    # A joiner may mend the first header and leave the second where it is.
    frames = sum(run[2] for run in frames_of(first + second))
    total = changed_info(first, (frames + 0.5) / sum(run[2] for run in frames_of(first)))
    check(tmp_path, total + second, both, 2 * SLACK)
    other = coded("mp3", rate=8000)
    with pytest.raises(InputError, match=r"a\.mp3 is joined from files of 16000 Hz.*8000 Hz"):
        check(tmp_path, first + other, both)


def frames_of(mp3):
    return list(mpeg_frames._runs(mp3, 0, len(mp3), []))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.98])
def test_an_mp3_that_is_cut_off(tmp_path, kept):
    mp3 = coded("mp3")
    with pytest.raises(Truncated, match=r"a\.mp3 is cut off: \d+ MP3 frames instead of"):
        check(tmp_path, mp3[: int(kept * len(mp3))], ONE)


def test_an_mp3_with_a_hole_and_one_that_is_none(tmp_path):
    mp3 = coded("mp3", 20)
    third = len(mp3) // 3
    with pytest.raises(AudioError, match="bytes are no MP3 frames"):
        check(tmp_path, mp3[:third] + bytes(third) + mp3[2 * third :], ONE)
    with pytest.raises(AudioError, match="holds no MP3 frames"):
        check(tmp_path, b"no audio at all" * 1000, ONE)


def test_mp3_in_a_wav_container(tmp_path):
    bare = without_info(coded("mp3"))
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 8000, 1, 0, 12, 1, 2, 288, 1, 1393)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(bare)) + bare
    riff = b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks
    check(tmp_path, riff, ONE, SLACK, name="a.wav")


@pytest.mark.parametrize("ending", ["ogg", "opus", "flac"])
def test_joined_files_and_tags(tmp_path, ending):
    first, second = coded(ending), coded(ending, 2, 1)
    name = f"a.{ending}"
    alone = check(tmp_path, second, 2 * RATE, name=name)
    samples = check(tmp_path, first + second, ONE + 2 * RATE, name=name)
    np.testing.assert_allclose(samples[ONE:], alone, atol=1e-6)
    check(tmp_path, first * 3, 3 * ONE, name=name)
    check(tmp_path, first + ID3V1, ONE, name=name)
    check(tmp_path, id3(20_000) + first, ONE, name=name)
    with pytest.raises(InputError, match="1 channels and 16000 Hz, 2 channels"):
        check(tmp_path, first + coded(ending, channels=2), ONE, name=name)
    with pytest.raises(Truncated):
        check(tmp_path, first[: len(first) // 2] + second, ONE, name=name)


@pytest.mark.parametrize("searched", [1 << 20, 0])
def test_joined_flac_that_is_too_long_to_be_searched(tmp_path, monkeypatch, searched):
    monkeypatch.setattr("sv.audio.parts._SEARCHED", searched)
    noise = io.BytesIO()
    samples = np.random.default_rng(0).standard_normal(4 * RATE) * 0.2
    soundfile.write(noise, samples, RATE, format="FLAC")
    check(tmp_path, noise.getvalue() + coded("flac"), 4 * RATE + ONE, name="a.flac")
    check(tmp_path, noise.getvalue() * 2, 8 * RATE, name="a.flac")
    check(tmp_path, noise.getvalue() + b"x" * 40_000, 4 * RATE, name="a.flac")


def with_count(flac, count):
    """Return a FLAC file whose header says ``count`` samples."""
    place = flac.index(b"fLaC") + 18
    number = int.from_bytes(flac[place : place + 8], "big") >> 36 << 36 | count
    return flac[:place] + number.to_bytes(8, "big") + flac[place + 8 :]


@pytest.mark.parametrize("count", [ONE // 2, ONE - 1, 1])
def test_a_flac_header_that_says_less(tmp_path, count):
    flac = coded("flac")
    for content in (flac, flac + ID3V1, id3(20_000) + flac, flac + flac):
        lying = with_count(content, count)
        path = tmp_path / "a.flac"
        path.write_bytes(lying)
        for read in (measure, decode):
            with pytest.raises(WrongHeader, match="3.0 s by its last frame"):
                read(path)


def test_flac_with_blocks_of_any_size(tmp_path):
    for seconds in (0.03, 0.5, 4, 40):
        check(tmp_path, coded("flac", seconds), int(seconds * RATE), name="a.flac")
    check(tmp_path, coded("flac", channels=2, rate=44100), ONE, name="a.flac")
    check(tmp_path, coded("flac", rate=12345), ONE, name="a.flac")


def layer_2(bitrate, count):
    """Silent frames of MPEG-1, layer II, at 48 kHz; ``bitrate``: its place in the table."""
    word = bytes([0xFF, 0xFD, bitrate << 4 | 4, 0xC0])
    return word.ljust(mpeg_frames.parse(word).length, b"\0") * count


def test_layer_2_is_read_if_its_length_is_known(tmp_path):
    check(tmp_path, layer_2(4, 50), 50 * 1152)
    for content in (layer_2(4, 50) + layer_2(10, 50), layer_2(10, 50) + layer_2(4, 50)):
        with pytest.raises(AudioError, match="layer I or II"):
            check(tmp_path, content, 100 * 1152)


def test_an_ogg_file_with_a_hole(tmp_path):
    ogg = coded("ogg", 20)
    places = [place for place in range(len(ogg)) if ogg[place : place + 5] == b"OggS\0"]
    begin, end = places[4], places[-2]
    with pytest.raises(AudioError):
        check(tmp_path, ogg[:begin] + bytes(end - begin) + ogg[end:], ONE, name="a.ogg")

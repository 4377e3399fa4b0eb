"""Waveform arks: windows equal slices, other programs read them, bad ones are named."""

import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv.audio.files import read_audio, write_audio
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter, parse_location, read_ark, read_scp
from sv.kaldi.waves import WaveReader, encode, parse

RATE = 16000


def read_waveform(path, offset):
    """Return the rate and all samples of a waveform of an ark."""
    whole = path.read_bytes()
    found = parse(whole, offset, str(path))
    return found.rate, np.frombuffer(whole, "<i2", found.samples, found.data)


def make(folder, lengths):
    rng = np.random.default_rng(0)
    with ArkWriter(folder / "w.ark", folder / "w.scp") as writer:
        for number, samples in enumerate(lengths):
            waveform = rng.integers(-32768, 32768, samples).astype(np.int16)
            writer.write_waveform("u" * (number + 1), waveform, RATE)
    return [parse_location(place).offset for place in read_scp(folder / "w.scp").values()]


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    length=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_windows_are_samples_wrapped_around(tmp_path_factory, lengths, length, seed):
    folder = tmp_path_factory.mktemp("waves")
    offsets = np.array(make(folder, lengths))
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(lengths), size=8)
    starts = [
        rng.integers(lengths[c] - length + 1 if lengths[c] >= length else lengths[c])
        for c in chosen
    ]
    reader = pickle.loads(pickle.dumps(WaveReader([folder / "w.ark"])))
    out = np.empty((8, length), np.int16)
    assert reader.read(np.zeros(8, int), offsets[chosen], starts, length, out) is out
    for window, start, c in zip(out, starts, chosen, strict=True):
        rate, whole = read_waveform(folder / "w.ark", offsets[c])
        assert rate == RATE and len(whole) == lengths[c]
        np.testing.assert_array_equal(window, whole[(start + np.arange(length)) % len(whole)])


def test_audio_comes_back_exactly_and_loud_floats_are_clipped(tmp_path):
    samples = np.random.default_rng(0).uniform(-1, 1, 500)
    write_audio(tmp_path / "a.wav", samples, RATE)
    audio = read_audio(tmp_path / "a.wav")
    with ArkWriter(tmp_path / "w.ark", None) as writer:
        writer.write_waveform("a", audio, RATE)
        writer.write_waveform("b", np.array([1.5, -1.5, 0.5]), RATE)
    np.testing.assert_array_equal(read_waveform(tmp_path / "w.ark", 2)[1] / 32768, audio)
    clipped = read_waveform(tmp_path / "w.ark", 2 + 44 + 1000 + 2)[1]
    np.testing.assert_array_equal(clipped, [32767, -32768, 16384])


def test_kaldiio_reads_ours_and_ours_reads_kaldiio(tmp_path):
    kaldiio = pytest.importorskip("kaldiio")
    (offset,) = make(tmp_path, [300])
    rate, samples = kaldiio.load_mat(f"{tmp_path}/w.ark:{offset}")
    assert rate == RATE
    np.testing.assert_array_equal(samples, read_waveform(tmp_path / "w.ark", offset)[1])
    kaldiio.save_ark(str(tmp_path / "k.ark"), {"a": (RATE, samples)}, scp=str(tmp_path / "k.scp"))
    place = parse_location(read_scp(tmp_path / "k.scp")["a"])
    out = WaveReader([place.path]).read([0], [place.offset], [7], 9, np.empty((1, 9), np.int16))
    np.testing.assert_array_equal(out[0], samples[7:16])


def test_a_header_with_more_chunks_is_read(tmp_path):
    """As ffmpeg writes it: a LIST chunk, of odd size here, between format and samples."""
    whole = encode(np.arange(20, dtype=np.int16), 8000)
    (tmp_path / "x").write_bytes(b"k " + whole[:36] + b"LIST\3\0\0\0abc\0" + whole[36:])
    rate, samples = read_waveform(tmp_path / "x", 2)
    assert rate == 8000 and samples.tolist() == list(range(20))
    out = WaveReader([tmp_path / "x"]).read([0], [2], [3], 4, np.empty((1, 4), np.int16))
    assert out.tolist() == [[3, 4, 5, 6]]


def test_windows_outside_are_refused(tmp_path):
    offsets = make(tmp_path, [10])
    reader = WaveReader([tmp_path / "w.ark"])
    for start, length in ((-1, 4), (7, 4), (10, 20)):
        with pytest.raises(IndexError, match="which has 10"):
            reader.read([0], offsets, [start], length, np.empty((1, length), np.int16))
    with pytest.raises(ValueError, match="int16"):
        reader.read([0], offsets, [0], 4, np.empty((1, 4), np.float32))


def test_damaged_and_foreign_entries_are_named(tmp_path):
    whole = encode(np.arange(20, dtype=np.int16), RATE)
    stereo = whole[:22] + struct.pack("<H", 2) + whole[24:]
    cases = {
        "truncated": whole[:-1],
        "truncated: an entry needs": whole[:30],
        "16-bit PCM with one channel": stereo,
        "no waveform": b"\0BFM " + bytes(60),
    }
    for message, content in cases.items():
        (tmp_path / "x").write_bytes(b"k " + content)
        reader = WaveReader([tmp_path / "x"])
        with pytest.raises(InputError, match=message):
            reader.read([0], [2], [2], 18, np.empty((1, 18), np.int16))
    make(tmp_path, [10])
    with pytest.raises(InputError, match="a WAV file, not a matrix"):
        list(read_ark(tmp_path / "w.ark"))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 3), np.int16), "shape"),
        (np.zeros(0, np.int16), "shape"),
        (np.zeros(3, np.int32), "int32"),
        (np.array([0.1, np.nan]), "NaN"),
    ],
)
def test_what_is_no_waveform_is_not_written(tmp_path, samples, message):
    with pytest.raises(InputError, match=message), ArkWriter(tmp_path / "w.ark", None) as writer:
        writer.write_waveform("a", samples, RATE)
    assert not (tmp_path / "w.ark").exists()

"""Row windows equal the rows of the whole matrix, and bad requests are named."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sv.kaldi.windows
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter, parse_location, read_matrix, read_scp
from sv.kaldi.windows import WindowReader

FORMS = ["FM", "CM", "CM2", "CM3"]


def make(folder, form, lengths, cols=5, name="x"):
    rng = np.random.default_rng(0)
    with ArkWriter(folder / f"{name}.ark", folder / f"{name}.scp", form) as writer:
        for number, rows in enumerate(lengths):
            # keys of every length: values then begin at odd addresses too
            writer.write("u" * (number + 1), rng.normal(-8, 4, (rows, cols)))
    places = list(read_scp(folder / f"{name}.scp").values())
    return places, [parse_location(place).offset for place in places]


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    length=st.integers(1, 30),
    seed=st.integers(0, 1000),
)
def test_windows_are_rows_wrapped_around(tmp_path_factory, form, lengths, length, seed):
    folder = tmp_path_factory.mktemp("windows")
    places, offsets = make(folder, form, lengths)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(lengths), size=8)
    # any first row of a short matrix; of a long one a window that fits
    starts = [
        rng.integers(lengths[c] - length + 1 if lengths[c] >= length else lengths[c])
        for c in chosen
    ]
    reader = WindowReader([folder / "x.ark"])
    out = np.full((8, length, 5), np.nan, np.float32)
    offsets = np.array(offsets)[chosen]
    assert reader.read(np.zeros(8, int), offsets, starts, length, out) is out
    for window, start, c in zip(out, starts, chosen, strict=True):
        whole = read_matrix(places[c])
        expected = whole[(start + np.arange(length)) % len(whole)]
        np.testing.assert_allclose(window, expected, rtol=0, atol=5e-6)


def test_double_matrices(tmp_path):
    kaldiio = pytest.importorskip("kaldiio")
    matrix = np.random.default_rng(0).normal(size=(20, 3))
    kaldiio.save_ark(str(tmp_path / "d.ark"), {"a": matrix})
    out = WindowReader([tmp_path / "d.ark"]).read([0], [2], [4], 10, np.empty((1, 10, 3), "f4"))
    np.testing.assert_array_equal(out[0], matrix[4:14].astype(np.float32))


def test_pickled_reader_leaves_its_maps_behind(tmp_path):
    _, offsets = make(tmp_path, "CM2", [20])
    reader = WindowReader([tmp_path / "x.ark"])
    first = reader.read([0], offsets, [3], 10, np.empty((1, 10, 5), np.float32)).copy()
    again = pickle.loads(pickle.dumps(reader))
    second = again.read([0], offsets, [3], 10, np.empty((1, 10, 5), np.float32))
    np.testing.assert_array_equal(first, second)


def test_more_arks_than_may_be_open(tmp_path, monkeypatch):
    monkeypatch.setattr(sv.kaldi.windows, "MOST_OPEN", 2)
    places = [make(tmp_path, "CM2", [20], name=f"a{number}")[0][0] for number in range(5)]
    reader = WindowReader([tmp_path / f"a{number}.ark" for number in range(5)])
    out = np.empty((10, 20, 5), np.float32)
    reader.read(list(range(5)) * 2, [2] * 10, [0] * 10, 20, out)
    assert len(reader._maps) <= 2
    for number in range(10):
        np.testing.assert_allclose(out[number], read_matrix(places[number % 5]), atol=5e-6)


@pytest.mark.parametrize("form", FORMS)
def test_bad_requests(tmp_path, form):
    _, offsets = make(tmp_path, form, [20, 4])
    reader = WindowReader([tmp_path / "x.ark"])

    def read(offset, start, length, cols=5):
        reader.read([0], [offset], [start], length, np.empty((1, length, cols), np.float32))

    for start in (-1, 11, 20):
        with pytest.raises(IndexError, match="has 20"):
            read(offsets[0], start, 10)
    for start in (-1, 4):
        with pytest.raises(IndexError, match="has 4"):
            read(offsets[1], start, 10)
    with pytest.raises(InputError, match="has 5 columns, not 6"):
        read(offsets[0], 0, 10, cols=6)
    with pytest.raises(InputError, match="no Kaldi object"):
        read(offsets[0] + 1, 0, 10)
    with pytest.raises(InputError, match="truncated"):
        read(10**9, 0, 10)


@pytest.mark.parametrize("form", FORMS)
def test_ark_cut_after_the_index_was_made(tmp_path, form):
    _, offsets = make(tmp_path, form, [20])
    ark = tmp_path / "x.ark"
    whole = ark.read_bytes()
    for length in (offsets[0] + 3, offsets[0] + 12, len(whole) - 1):
        ark.write_bytes(whole[:length])
        with pytest.raises(InputError, match="truncated"):
            WindowReader([ark]).read([0], offsets, [10], 10, np.empty((1, 10, 5), np.float32))


def test_vectors_and_missing_arks(tmp_path):
    with ArkWriter(tmp_path / "v.ark", None) as writer:
        writer.write("v", np.ones(5))
    out = np.empty((1, 1, 5), np.float32)
    with pytest.raises(InputError, match="vector"):
        WindowReader([tmp_path / "v.ark"]).read([0], [2], [0], 1, out)
    with pytest.raises(InputError, match="none.ark does not exist"):
        WindowReader([tmp_path / "none.ark"]).read([0], [2], [0], 1, out)


@pytest.mark.parametrize(
    "out",
    [np.empty((1, 4, 5)), np.empty((1, 5, 4), "f4"), np.empty((1, 5, 4), "f4").swapaxes(1, 2)],
)
def test_wrong_output_array(tmp_path, out):
    with pytest.raises(ValueError, match="out"):
        WindowReader([tmp_path / "x.ark"]).read([0], [2], [0], 4, out)

"""Ark and scp files: round trips, kaldiio both ways, refusals."""

import errno
import pickle
import subprocess
import sys

import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv.errors import InputError
from sv.kaldi.arks import (
    ArkWriter,
    Location,
    load_vectors,
    parse_location,
    read_ark,
    read_matrix,
    read_scp,
    read_vector,
)

FORMS = ["FM", "CM", "CM2", "CM3"]
KALDIIO_METHODS = {"CM": 2, "CM2": 3, "CM3": 5}


def write(folder, arrays, form="CM2"):
    with ArkWriter(folder / "x.ark", folder / "x.scp", form) as writer:
        for key, array in arrays.items():
            writer.write(key, array)
    return folder / "x.ark", folder / "x.scp"


def random_matrix(seed, rows, cols=7, scale=4.0, shift=-9.0):
    return np.random.default_rng(seed).normal(shift, scale, (rows, cols)).astype(np.float32)


# ---------------------------------------------------------------- round trips


def error_bound(form, matrix):
    """The largest error a correct coder may make on each column, (cols,)."""
    low, high = matrix.min(), matrix.max()
    span = float(high) - float(low) if high > low else 1.0 + abs(float(low))
    rounding = 4e-6 * (span + np.abs(matrix).max())
    if form == "FM":
        return np.zeros(matrix.shape[1])
    if form == "CM2":
        return np.full(matrix.shape[1], 0.502 * span / 65535 + rounding)
    if form == "CM3":
        return np.full(matrix.shape[1], 0.502 * span / 255 + rounding)
    # CM: half a step of the widest segment of the column, and the knots' own error
    ordered = np.sort(matrix, axis=0)
    rows = len(matrix)
    quarter = rows // 4
    places = [0, quarter, 3 * quarter, rows - 1] if rows >= 5 else range(rows)
    knots = ordered[list(places)].astype(np.float64)
    widest = np.diff(knots, axis=0).max(axis=0) if len(knots) > 1 else np.zeros(matrix.shape[1])
    return 0.5 * (widest + 6 * span / 65535) / 63 + 4 * span / 65535 + rounding


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    rows=st.integers(1, 40),
    cols=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e5]),
    shift=st.sampled_from([0.0, -9.0, 1e4]),
    key=st.text("abc-_.é/", min_size=1, max_size=12),
)
def test_round_trip_within_the_error_of_the_format(
    tmp_path_factory, form, rows, cols, seed, scale, shift, key
):
    matrix = random_matrix(seed, rows, cols, scale, shift)
    folder = tmp_path_factory.mktemp("ark")
    ark, scp = write(folder, {key: matrix, "vector": matrix[0]}, form)
    table = read_scp(scp)
    back = read_matrix(table[key])
    assert back.dtype == np.float32 and back.shape == matrix.shape
    assert np.all(np.abs(back - matrix).max(axis=0) <= error_bound(form, matrix))
    np.testing.assert_array_equal(read_vector(table["vector"]), matrix[0])
    first, last = sorted(np.random.default_rng(seed).integers(0, rows + 1, 2))
    np.testing.assert_array_equal(read_matrix(table[key], (first, last)), back[first:last])
    entries = dict(read_ark(ark))
    assert list(entries) == [key, "vector"]
    np.testing.assert_array_equal(entries[key], back)
    np.testing.assert_allclose(kaldiio.load_mat(table[key]), back, atol=2e-6 * np.abs(back).max())


def test_caller_keeps_its_array(tmp_path):
    for form in FORMS:
        matrix = random_matrix(0, 30)
        copy = matrix.copy()
        write(tmp_path, {"a": matrix, "b": matrix.T}, form)
        np.testing.assert_array_equal(matrix, copy)


def test_other_types_and_layouts_are_converted(tmp_path):
    matrix = np.arange(24, dtype=np.int16).reshape(6, 4)
    _, scp = write(tmp_path, {"a": matrix, "b": matrix[::2, ::2].astype(np.float64)}, None)
    table = read_scp(scp)
    np.testing.assert_array_equal(read_matrix(table["a"]), matrix)
    np.testing.assert_array_equal(read_matrix(table["b"]), matrix[::2, ::2])


# ---------------------------------------------------------------- kaldiio and Kaldi


@pytest.mark.parametrize("form", FORMS)
def test_kaldiio_reads_ours_by_scp_and_from_end_to_end(tmp_path, form):
    arrays = {"a": random_matrix(1, 12), "bé": random_matrix(2, 3), "v": random_matrix(3, 1)[0]}
    ark, scp = write(tmp_path, arrays, form)
    in_turn, by_key = dict(kaldiio.load_ark(str(ark))), kaldiio.load_scp(str(scp))
    assert list(in_turn) == list(by_key) == list(arrays)
    for key, array in read_ark(ark):
        np.testing.assert_allclose(in_turn[key], array, atol=1e-5)
        np.testing.assert_allclose(by_key[key], array, atol=1e-5)


@pytest.mark.parametrize("form", sorted(KALDIIO_METHODS))
@pytest.mark.parametrize("rows", [5, 40])
def test_reads_what_kaldiio_compresses(tmp_path, form, rows):
    matrices = {"a": random_matrix(1, rows), "bb": random_matrix(2, rows + 3)}
    ark, scp = str(tmp_path / "k.ark"), str(tmp_path / "k.scp")
    kaldiio.save_ark(ark, matrices, scp=scp, compression_method=KALDIIO_METHODS[form])
    theirs = kaldiio.load_scp(scp)
    for key, place in read_scp(scp).items():
        np.testing.assert_allclose(read_matrix(place), theirs[key], atol=1e-5)
    assert [key for key, _ in read_ark(ark)] == ["a", "bb"]


def test_reads_plain_and_double_of_kaldiio(tmp_path):
    arrays = {
        "fm": random_matrix(1, 9),
        "dm": random_matrix(2, 9).astype(np.float64),
        "fv": random_matrix(3, 9)[0],
        "dv": random_matrix(4, 9)[0].astype(np.float64),
    }
    kaldiio.save_ark(str(tmp_path / "k.ark"), arrays, scp=str(tmp_path / "k.scp"))
    for key, array in read_ark(tmp_path / "k.ark"):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, arrays[key].astype(np.float32))


TEXT = {
    "v": (" [ 1 2.5 -3 ]\n", [1, 2.5, -3]),
    "m": (" [\n  0 1e-05 \n  1 nan ]\n", [[0, 1e-5], [1, np.nan]]),
    "row": (" [\n  1 2 ]\n", [[1, 2]]),
    "inf": (" [ inf -inf 1e39 ]\n", [np.inf, -np.inf, np.inf]),
}


def test_text_as_kaldi_writes_it(tmp_path):
    ark, scp = tmp_path / "t.ark", tmp_path / "t.scp"
    text, lines = "", ""
    for key, (entry, _) in TEXT.items():
        lines += f"{key} {ark}:{len(text) + len(key) + 1}\n"
        text += f"{key} {entry}"
    ark.write_text(text)
    scp.write_text(lines)
    places, entries = read_scp(scp), dict(read_ark(ark))
    for key, (_, values) in TEXT.items():
        expected = np.array(values).astype(np.float32)
        read = read_matrix if expected.ndim == 2 else read_vector
        for array in (entries[key], read(places[key])):
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(read_matrix(places["m"], (1, 2)), entries["m"][1:])


def test_text_both_ways_with_kaldiio(tmp_path):
    arrays = {"m": random_matrix(0, 4), "v": random_matrix(1, 1)[0]}
    kaldiio.save_ark(str(tmp_path / "t.ark"), arrays, scp=str(tmp_path / "t.scp"), text=True)
    for key, array in read_ark(tmp_path / "t.ark"):
        np.testing.assert_allclose(array, arrays[key], rtol=1e-6)


def test_ids_of_others_may_be_long(tmp_path):
    arrays = {"k" * 5000: np.ones(3, np.float32), "b": np.ones(3, np.float32)}
    kaldiio.save_ark(str(tmp_path / "k.ark"), arrays)
    assert [key for key, _ in read_ark(tmp_path / "k.ark")] == list(arrays)
    (tmp_path / "x.ark").write_bytes(b"x" * 100_000)
    with pytest.raises(InputError, match="not an ark, or its ids are too long"):
        list(read_ark(tmp_path / "x.ark"))


# ---------------------------------------------------------------- vectors


@pytest.mark.parametrize("form", ["scp:", "ark:", ""])
def test_load_vectors(tmp_path, form):
    vectors = {f"id{number}": random_matrix(number, 1, 16)[0] for number in range(20)}
    ark, scp = write(tmp_path, vectors)
    path = ark if form == "ark:" else scp
    ids, loaded = load_vectors(f"{form}{path}")
    assert ids == list(vectors)
    np.testing.assert_array_equal(loaded, np.stack(list(vectors.values())))


def test_load_vectors_of_mixed_kinds(tmp_path):
    values = random_matrix(0, 4, 6)
    arrays = {"a": values[0], "b": values[1].astype(np.float64), "c": values[2:3], "d": values[3]}
    kaldiio.save_ark(str(tmp_path / "m.ark"), arrays, scp=str(tmp_path / "m.scp"))
    for form in ("scp", "ark"):
        ids, loaded = load_vectors(f"{form}:{tmp_path}/m.{form}")
        assert ids == list("abcd")
        np.testing.assert_array_equal(loaded, values)


@pytest.mark.parametrize("form", ["scp", "ark"])
def test_vectors_of_different_length_are_refused(tmp_path, form):
    write(tmp_path, {"a": np.ones(3), "b": np.ones(4)})
    with pytest.raises(InputError, match="'b' has 4 values, the first vector has 3"):
        load_vectors(f"{form}:{tmp_path}/x.{form}")


def test_load_vectors_names_unknown_forms(tmp_path):
    with pytest.raises(InputError, match="give scp:FILE or ark:FILE"):
        load_vectors(tmp_path / "x.npy")


def test_truncated_vector_in_scp_is_refused(tmp_path):
    ark, scp = write(tmp_path, {"a": np.ones(8), "b": np.ones(8)})
    ark.write_bytes(ark.read_bytes()[:-4])
    with pytest.raises(InputError, match="entry 'b'.*truncated"):
        load_vectors(f"scp:{scp}")


# ---------------------------------------------------------------- scp


def test_scp_keeps_order_and_blanks_in_paths(tmp_path):
    (tmp_path / "wav.scp").write_text("b /a path/with blanks.wav\na\t/x:y.wav \n")
    table = read_scp(tmp_path / "wav.scp")
    assert list(table.items()) == [("b", "/a path/with blanks.wav"), ("a", "/x:y.wav")]


def test_locations():
    assert parse_location("/a b:c/x.ark:17") == Location("/a b:c/x.ark", 17)
    assert parse_location("x.mat") == Location("x.mat", 0)
    with pytest.raises(InputError, match="row ranges"):
        parse_location("x.ark:17[0:3]")


@pytest.mark.parametrize("value", ["touch executed |", "| touch executed", "touch executed|"])
def test_pipes_are_refused_and_never_run(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.scp").write_text(f"a {value}\n")
    with pytest.raises(InputError, match="x.scp, line 1: the value is a command"):
        read_scp("x.scp")
    for read in (read_matrix, read_vector):
        with pytest.raises(InputError, match="never executed"):
            read(value)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a 1\na 2\n", ":2: 'a' is there twice"),
        ("a 1\nb\n", ":2: 'b' has no value"),
        ("a 1\n\nb 2\n", ":2: the line is empty"),
    ],
)
def test_bad_scp(tmp_path, text, words):
    (tmp_path / "x.scp").write_text(text)
    with pytest.raises(InputError, match=words):
        read_scp(tmp_path / "x.scp")


def test_missing_folder_and_binary_scp(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_scp(tmp_path / "none.scp")
    with pytest.raises(InputError, match="is a folder"):
        read_scp(tmp_path)
    (tmp_path / "x.scp").write_bytes(b"a \xff\xfe\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_scp(tmp_path / "x.scp")


# ---------------------------------------------------------------- damaged arks


@pytest.mark.parametrize("form", FORMS)
def test_every_truncation_is_noticed(tmp_path, form):
    ark, scp = write(tmp_path, {"a": random_matrix(0, 6, 3)}, form)
    whole = ark.read_bytes()
    place = read_scp(scp)["a"]
    for length in range(1, len(whole)):
        ark.write_bytes(whole[:length])
        with pytest.raises(InputError, match="truncated"):
            read_matrix(place)
        with pytest.raises(InputError, match="truncated"):
            list(read_ark(ark))
    ark.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        list(read_ark(ark))


class Bomb:
    def __reduce__(self):
        return (exec, ("raise RuntimeError('the pickle was run')",))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"PKL" + pickle.dumps(Bomb()), "pickle"),
        (b"NPY\1\5hello", "NumPy array"),
        (b"AUDIO\1\5hello", "audio"),
        (b"RIFFxxxxWAVE", "WAV"),
        (b" [\n  1 2\n 3 ]\n", "rows of different length"),
        (b" [ 1 x ]\n", "has 'x' for a number"),
        (b" [ 1_0.5 ]\n", "has '1_0.5' for a number"),
        (b" [ ]\n", "is empty"),
        (b" [\n 1 2\n", "no closing bracket"),
        (b"\0BXY 123456789012345678", "unknown object 'XY'"),
        (b"\0BFM \4\xff\xff\xff\xff\4\1\0\0\0", "damaged header"),
        (b"\0BFM \5\1\0\0\0\4\1\0\0\0", "damaged matrix header"),
        (b"something else", "no Kaldi object"),
    ],
)
def test_foreign_entries_are_refused(tmp_path, body, words):
    ark = tmp_path / "x.ark"
    ark.write_bytes(b"a " + body)
    with pytest.raises(InputError, match=words):
        list(read_ark(ark))
    with pytest.raises(InputError, match=words):
        read_matrix(Location(str(ark), 2))


def test_wrong_kind_and_rows(tmp_path):
    _, scp = write(tmp_path, {"m": np.ones((3, 2)), "v": np.ones(3)})
    table = read_scp(scp)
    with pytest.raises(InputError, match="is a vector, not a matrix"):
        read_matrix(table["v"])
    with pytest.raises(InputError, match="is a matrix, not a vector"):
        read_vector(table["m"])
    with pytest.raises(InputError, match="rows 2:4 asked.*has 3"):
        read_matrix(table["m"], (2, 4))


def test_key_twice_in_ark(tmp_path):
    ark, _ = write(tmp_path, {"a": np.ones(3)})
    ark.write_bytes(ark.read_bytes() * 2)
    with pytest.raises(InputError, match="'a' is there twice"):
        list(read_ark(ark))


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize(
    ("key", "array", "words"),
    [
        ("a b", np.ones(2), "'a b' cannot be an id: it has blanks"),
        ("a\n", np.ones(2), "has blanks"),
        ("a\u2028b", np.ones(2), "has blanks"),
        ("", np.ones(2), "cannot be an id: it is empty"),
        ("a\0", np.ones(2), "has a control character"),
        ("\x1b[31mred", np.ones(2), "has a control character"),
        ("\ufeffa", np.ones(2), "has a byte order mark"),
        ("a\udcff", np.ones(2), "has a byte that is not UTF-8"),
        ("é" * 257, np.ones(2), "has 514 bytes, more than 512"),
        ("u" * 5000, np.ones(2), "has 5,000 bytes, more than 512"),
        ("x", np.ones(2), "written twice"),
        ("y", np.ones((0, 3)), "not empty"),
        ("y", np.ones((2, 2, 2)), "not empty"),
        ("y", np.array([[1.0, np.nan]]), "NaN or infinity"),
        ("y", np.array([[1.0, np.inf]]), "NaN or infinity"),
        ("y", np.array([[-3e38, 3e38]]), "exceeds float32"),
    ],
)
def test_bad_entry_leaves_no_file(tmp_path, key, array, words):
    with (
        pytest.raises(InputError, match=words),
        ArkWriter(tmp_path / "o.ark", tmp_path / "o.scp") as w,
    ):
        w.write("x", np.ones((4, 3)))
        w.write(key, array)
    assert not list(tmp_path.iterdir())


def test_unknown_compression():
    with pytest.raises(InputError, match="unknown compression 'CM9'"):
        ArkWriter("a", "b", "CM9")


class FullDisk:
    """Stands for an open file on a disk that is full after ``room`` bytes."""

    def __init__(self, handle, room):
        self.handle, self.room = handle, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.handle.write(data)

    def flush(self):
        self.handle.flush()


@pytest.mark.parametrize("which", ["_ark", "_scp"])
def test_full_disk_keeps_the_old_files(tmp_path, which):
    ark, scp = write(tmp_path, {"old": np.ones((4, 3))})
    before = ark.read_bytes(), scp.read_bytes()
    with pytest.raises(OSError, match="No space"), ArkWriter(ark, scp) as writer:
        setattr(writer, which, FullDisk(getattr(writer, which), 100))
        for number in range(20):
            writer.write(f"new{number}", np.ones((4, 3)))
    assert (ark.read_bytes(), scp.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.ark", "x.scp"]


def test_full_disk_at_the_last_flush_renames_neither(tmp_path):
    ark, scp = write(tmp_path, {"old": np.ones((4, 3))})
    before = ark.read_bytes(), scp.read_bytes()
    writer = ArkWriter(ark, scp)

    def flush():
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"), writer:
        writer.write("new", np.ones((4, 3)))
        writer._scp = FullDisk(writer._scp, 10**9)
        writer._scp.flush = flush
    assert (ark.read_bytes(), scp.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.ark", "x.scp"]


def test_scp_names_the_final_ark_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ArkWriter("a b.ark", "x.scp") as writer:
        writer.write("u", np.ones((2, 2)))
    assert (tmp_path / "x.scp").read_text() == "u a b.ark:2\n"
    np.testing.assert_allclose(read_matrix(read_scp("x.scp")["u"]), 1.0)


def test_no_torch_is_imported():
    code = "import sys, sv.kaldi.arks, sv.crops.index; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

"""Compressed matrices: their bytes are Kaldi's, and they are decoded as Kaldi decodes them."""

import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv.kaldi.arks import ArkWriter, read_matrix, read_scp
from sv.kaldi.compression import encode

METHODS = ["CM", "CM2", "CM3"]


def write(folder, matrix):
    with ArkWriter(folder / "x.ark", folder / "x.scp", "CM") as writer:
        writer.write("a", matrix)
    return folder / "x.scp"


def random_matrix(seed, rows, cols, scale=4.0, shift=-9.0):
    return np.random.default_rng(seed).normal(shift, scale, (rows, cols)).astype(np.float32)


def to_int_of_c(value):
    """What x86-64 makes of a double: infinity, NaN and what is too large give the lowest int."""
    return int(value) if abs(value) < 2**31 else -(2**31)


def kaldi_encode(matrix, method):
    """Kaldi's compressed-matrix.cc value by value: float32, and double where C promotes."""
    with np.errstate(all="ignore"):
        return _kaldi_encode(matrix, method)


def _kaldi_encode(matrix, method):
    f = np.float32
    low, high = matrix.min(), matrix.max()
    if low == high:
        high = f(float(low) + (1.0 + abs(float(low))))
    span = f(high - low)
    rows, cols = matrix.shape

    def to_int(value, levels):
        share = min(max(f(f(value - low) / span), f(0)), f(1))
        return int(float(f(share * f(levels))) + 0.499)

    head = method.encode() + b" " + struct.pack("<ffii", low, span, rows, cols)
    if method != "CM":
        levels, letter = (65535, "H") if method == "CM2" else (255, "B")
        return head + b"".join(
            struct.pack("<" + letter, to_int(value, levels)) for value in matrix.reshape(-1)
        )
    headers, body = b"", b""
    for column in matrix.T:
        ordered, quarter = np.sort(column), rows // 4
        if rows >= 5:
            ordered = ordered[[0, quarter, 3 * quarter, rows - 1]]
        p = [0, 0, 0, 0]
        for k in range(4):
            lowest = p[k - 1] + 1 if k else 0
            p[k] = max(to_int(ordered[k], 65535), lowest) if k < len(ordered) else lowest
            p[k] = min(p[k], 65532 + k)
        headers += struct.pack("<4H", *p)
        p0, p25, p75, p100 = (f(low + f(f(span * f(1.52590218966964e-05)) * f(x))) for x in p)
        for value in column:
            if value < p25:
                share, base, steps = f(f(value - p0) / f(p25 - p0)), 0, 64
            elif value < p75:
                share, base, steps = f(f(value - p25) / f(p75 - p25)), 64, 128
            else:
                share, base, steps = f(f(value - p75) / f(p100 - p75)), 192, 63
            code = base + to_int_of_c(float(f(share * f(steps))) + 0.5)
            body += bytes([min(max(code, base), base + steps)])
    return head + headers + body


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    rows=st.integers(1, 30),
    cols=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    # the last four: a small range beside a large offset, and next to the smallest floats
    spread=st.sampled_from(
        [(0.0, -9.0), (0.3, -9.0), (50.0, -9.0), (1e37, 0.0)]
        + [(1e-2, 1e4), (1e-3, -1e4), (1e-38, 0.0), (1e-42, 0.0)]
    ),
    rounded=st.booleans(),
)
def test_bytes_equal_kaldis(method, rows, cols, seed, spread, rounded):
    matrix = random_matrix(seed, rows, cols, *spread)
    if rounded:  # many equal values, many ties
        matrix = np.round(matrix)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = encode(matrix, method)
    assert found == kaldi_encode(matrix, method)


@pytest.mark.parametrize(
    ("scale", "shift", "share"), [(1e-38, 0.0, 0.02), (1e-3, 1e4, 0.02), (1e-2, -1e5, 0.3)]
)
def test_values_of_a_small_range_come_back(tmp_path, scale, shift, share):
    """Within Kaldi's own error: what its knots of 16 bits and float32 leave of the range."""
    matrix = random_matrix(3, 40, 4, scale, shift)
    scp = write(tmp_path, matrix)
    back = read_matrix(read_scp(scp)["a"])
    span = float(matrix.max()) - float(matrix.min())
    assert np.abs(back.astype(np.float64) - matrix).max() <= share * span


def kaldi_decode_cm(body, rows, cols):
    """Kaldi's CharToFloat value by value, of what ``encode`` gives."""
    f, at = np.float32, 3 + 16
    low, span = struct.unpack_from("<ff", body, 3)
    heads = np.frombuffer(body, "<u2", 4 * cols, at).reshape(cols, 4)
    codes = np.frombuffer(body, np.uint8, rows * cols, at + 8 * cols).reshape(cols, rows)
    out = np.empty((rows, cols), np.float32)
    for column in range(cols):
        knots = [f(f(low) + f(f(f(span) * f(1.52590218966964e-05)) * f(x))) for x in heads[column]]
        for row, code in enumerate(map(int, codes[column])):
            place = 0 if code <= 64 else 1 if code <= 192 else 2
            first, steps = ((0, 64), (64, 128), (192, 63))[place]
            share = float(f(knots[place + 1] - knots[place]) * f(code - first)) * (1 / steps)
            out[row, column] = f(float(knots[place]) + share)
    return out


@pytest.mark.parametrize(
    ("scale", "shift"), [(1e-2, 1e4), (1e-3, -1e4), (3.0, 1e6), (4.0, -9.0), (1e-38, 0.0)]
)
def test_decoded_as_kaldi_does(tmp_path, scale, shift):
    """Beside a large offset to the bit: there one unit in the last place is much of the range."""
    matrix = random_matrix(4, 40, 6, scale, shift)
    scp = write(tmp_path, matrix)
    expected = kaldi_decode_cm(encode(matrix, "CM"), *matrix.shape)
    found = read_matrix(read_scp(scp)["a"])
    span = float(matrix.max()) - float(matrix.min())
    largest = 0.0 if abs(shift) > 100 * span else 1e-6 * span
    assert np.abs(found.astype(np.float64) - expected).max() <= largest


def test_large_matrix_is_coded_in_blocks_without_seams():
    matrix = random_matrix(5, 700, 40)
    for method in METHODS:
        assert encode(matrix, method) == kaldi_encode(matrix, method)

"""Kaldi's three compressed matrix formats, encoded exactly as Kaldi does.

The source is the format in Kaldi's ``matrix/compressed-matrix.{h,cc}``. All three begin with a
global header ``min_value, range (float32), rows, cols (int32)``; little-endian throughout.

========  ==========================  ===================================================
format    Kaldi's method              values
========  ==========================  ===================================================
``CM``    kSpeechFeature              1 byte, column-major; each column has four 16-bit
                                      percentiles (0, 25, 75, 100) that sit at the bytes
                                      0, 64, 192, 255 with straight lines between
``CM2``   kTwoByteAuto                2 bytes, row-major: min + range * value / 65535
``CM3``   kOneByteAuto                1 byte, row-major: min + range * value / 255
========  ==========================  ===================================================

On x86-64 the bytes equal Kaldi's, also near the smallest floats and beside a large offset. In
these two cases knots of ``CM`` coincide, and Kaldi converts infinity to an integer; C does not
define the result. So on other processors Kaldi's own bytes may differ.
"""

import struct

import numpy as np

GLOBAL_HEADER = struct.Struct("<ffii")
LEVELS = {"CM": 65535, "CM2": 65535, "CM3": 255}
VALUE_TYPES = {"CM": np.dtype("u1"), "CM2": np.dtype("<u2"), "CM3": np.dtype("u1")}
METHODS = tuple(LEVELS)
KNOTS = (0, 64, 192, 255)  # the bytes of ``CM`` that stand for the four percentiles
# A byte as a weighted mean of the four knots, and as the first knot plus parts of the differences.
_HATS = np.stack([np.interp(np.arange(256), KNOTS, unit) for unit in np.eye(4)]).astype(np.float32)
_SUMS = np.stack([_HATS[k:].sum(axis=0) for k in range(4)])
_LARGE_OFFSET = 100  # times the range: beyond it the rounding errors of means matter
_BLOCK = 8192  # values at a time: temporaries stay in cache and off the page-fault path
_INVERSE_65535 = np.float32(1.52590218966964e-05)  # the constant of Kaldi's Uint16ToFloat


def encode(matrix: np.ndarray, method: str) -> bytes:
    """Return ``CM2 ``, the headers and the values of a float32 (rows, cols) matrix.

    The bytes equal Kaldi's, because the float32 and float64 steps and their order are the same.

    Raises:
        ValueError: unknown method, not a matrix, no rows or columns, NaN or infinity.
    """
    if method not in LEVELS:
        raise ValueError(f"unknown compression {method!r}; there are {', '.join(METHODS)}")
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError(f"needs a matrix with rows and columns, not an array {matrix.shape}")
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    minimum, maximum = matrix.min(), matrix.max()
    if not (np.isfinite(minimum) and np.isfinite(maximum)):
        raise ValueError("the matrix holds NaN or infinity, which cannot be compressed")
    with np.errstate(over="ignore"):
        if minimum == maximum:  # Kaldi keeps the range positive in this way
            maximum = np.float32(float(minimum) + (1.0 + abs(float(minimum))))
        span = np.float32(maximum - minimum)
    if not np.isfinite(span):
        raise ValueError("the range of values exceeds float32, so it cannot be compressed")
    head = method.encode() + b" " + GLOBAL_HEADER.pack(minimum, span, *matrix.shape)
    if method == "CM":
        columns = np.ascontiguousarray(matrix.T)
        percentiles = column_percentiles(columns, minimum, span)
        values = _to_bytes(columns, dequantise_percentiles(percentiles, minimum, span))
        return head + percentiles.tobytes() + values.tobytes()
    return head + quantise(matrix, minimum, span, LEVELS[method], VALUE_TYPES[method]).tobytes()


def quantise(
    values: np.ndarray, minimum: np.float32, span: np.float32, levels: int, dtype: np.dtype
) -> np.ndarray:
    """Return ``values`` (float32) as the nearest of the integers 0..levels, in ``dtype``.

    Kaldi clips the share (value - minimum) / span to 0..1. Here no clipping is needed: the values
    lie between ``minimum`` and the maximum from which ``span`` was computed.
    """
    out = np.empty(values.shape, dtype)
    flat, flat_out = values.reshape(-1), out.reshape(-1)
    for first in range(0, flat.size, _BLOCK):
        share = flat[first : first + _BLOCK] - minimum
        share /= span
        share *= np.float32(levels)
        flat_out[first : first + _BLOCK] = share + np.float64(0.499)  # truncates, as Kaldi does
    return out


def column_percentiles(columns: np.ndarray, minimum: np.float32, span: np.float32) -> np.ndarray:
    """Return the (cols, 4) uint16 headers of (cols, rows): strictly increasing in each column."""
    cols, rows = columns.shape
    picked = np.sort(columns, axis=1)  # vectorised in NumPy, unlike its partition: 5 times faster
    if rows >= 5:  # with fewer, Kaldi takes all values; a further knot is the last plus 1
        quarter = rows // 4
        picked = picked[:, [0, quarter, 3 * quarter, rows - 1]]
    ranks = quantise(picked, minimum, span, 65535, np.int32)
    out = np.zeros((cols, 4), dtype=np.int32)
    for place in range(4):
        lowest = out[:, place - 1] + 1 if place else np.zeros(cols, np.int32)
        rank = ranks[:, place] if place < ranks.shape[1] else lowest
        out[:, place] = np.minimum(np.maximum(rank, lowest), 65532 + place)
    return out.astype("<u2")


def dequantise_percentiles(
    percentiles: np.ndarray, minimum: np.float32, span: np.float32
) -> np.ndarray:
    """Return the float32 values of (cols, 4) uint16 column headers."""
    scale = np.float32(span) * _INVERSE_65535
    return np.float32(minimum) + scale * percentiles.astype(np.float32)


def decode_columns(
    body: np.ndarray,
    minimum: float,
    span: float,
    rows: int,
    out: np.ndarray,
    start: int = 0,
    places: np.ndarray | None = None,
) -> None:
    """Decode rows ``start : start + len(out)`` of a ``CM`` matrix of ``rows`` rows.

    A column has only 256 different values. So one small product computes the tables of all
    columns, and one gather looks up all bytes. To compute the three line segments for each byte is
    slower: it needs masks or four passes.

    Args:
        body: uint8, what follows the global header: column headers, then the columns.
        out: float32 (length, cols), contiguous.
        places: intp scratch array of the same shape, which saves an allocation.
    """
    length, cols = out.shape
    knots = dequantise_percentiles(body[: 8 * cols].view("<u2").reshape(cols, 4), minimum, span)
    if abs(minimum) < _LARGE_OFFSET * span:
        tables = knots @ _HATS
    else:  # exact even with the largest offset, but windows take a tenth longer
        knots[:, 1:] -= knots[:, :-1]
        tables = knots @ _SUMS
    if places is None or places.shape != out.shape:
        places = np.empty(out.shape, np.intp)
    places[:] = body[8 * cols :].reshape(cols, rows)[:, start : start + length].T
    places += np.arange(0, 256 * cols, 256)
    tables.reshape(-1).take(places, out=out, mode="clip")  # the default mode would copy ``out``


def _to_bytes(columns: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return (cols, rows) uint8: each of ``columns`` coded between its four ``knots`` (cols, 4).

    Knots coincide near the smallest floats, and if the range is small beside the offset. Kaldi's
    FloatToChar then converts infinity or NaN to an integer. On x86-64 the result is the first byte
    of the segment. Here an infinite width of the last segment has the same effect.
    """
    out = np.empty(columns.shape, np.uint8)
    widths = np.diff(knots, axis=1)
    widths[widths[:, 2] == 0.0, 2] = np.inf
    step = max(1, _BLOCK // columns.shape[1])
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for first in range(0, len(columns), step):
            block = slice(first, first + step)
            low, width = knots[block].T[:, :, None], widths[block].T[:, :, None]
            code = _segment(columns[block], low[0], width[0], 64)
            code += _segment(columns[block], low[1], width[1], 128)
            code += _segment(columns[block], low[2], width[2], 63)
            out[block] = code
    return out


def _segment(columns: np.ndarray, low: np.ndarray, width: np.ndarray, steps: int) -> np.ndarray:
    """Return how many of the ``steps`` from ``low`` to ``low + width`` each value has passed.

    The number is 0 below the segment and ``steps`` above it, so the numbers of the three segments
    of Kaldi's FloatToChar add up. Kaldi scales in float32, adds 0.5 in float64, and truncates.
    """
    share = columns - low
    share /= width
    share *= np.float32(steps)
    np.fmin(share, steps, out=share)  # NaN (0 / 0, a segment of width 0) counts as above
    np.maximum(share, 0.0, out=share)
    return (share + np.float64(0.5)).astype(np.uint8)

"""Row windows of matrices in arks, as fast as memory allows.

Training reads a 2 s window of a random utterance. Other readers decode the whole matrix and keep a
quarter of it, which is slow. Here the ark is mapped into memory, and the header is unpacked in
place. Only the bytes of the window are decoded, directly into the caller's batch.
"""

import mmap
import os
import struct
from collections.abc import Sequence

import numpy as np

from sv.errors import InputError
from sv.kaldi.compression import decode_columns
from sv.kaldi.format import map_file, parse_header

_PLAIN = struct.Struct("<iBi")  # rows, the byte 4, cols
_COMPRESSED = struct.Struct("<ffii")  # minimum, range, rows, cols
_PLAIN_BODY, _CM_BODY, _CM23_BODY = 15, 21, 22  # from the binary mark to the values
MOST_OPEN = 256  # each map holds a file descriptor; a process has about 1,000
_TWO_BYTES, _FLOAT, _DOUBLE = np.dtype("<u2"), np.dtype("<f4"), np.dtype("<f8")


class WindowReader:
    """Read ``length`` rows from matrices in a few arks (FM, DM, CM, CM2, CM3).

    A file is mapped at its first use. Maps are not pickled, and a ``fork`` may inherit them, so a
    reader can be sent to worker processes. Two threads must not use one reader at once.

    Args:
        paths: the ark files; ``read`` takes their places in this list.
    """

    def __init__(self, paths: Sequence[str | os.PathLike]):
        self.paths = [str(path) for path in paths]
        self._maps: dict[int, mmap.mmap] = {}
        self._places = np.empty((0, 0), np.intp)

    def __getstate__(self) -> dict:
        return {"paths": self.paths}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["paths"])

    def read(
        self,
        arks: Sequence[int] | np.ndarray,
        offsets: Sequence[int] | np.ndarray,
        starts: Sequence[int] | np.ndarray,
        length: int,
        out: np.ndarray,
        places: np.ndarray | None = None,
    ) -> np.ndarray:
        """Fill ``out[i]`` with rows ``starts[i] : starts[i] + length`` of the i-th matrix.

        A matrix of fewer than ``length`` rows is repeated until the window is full.

        Args:
            arks, offsets: (n,) place of the file, and byte offset in it (as in an scp).
            starts: (n,) first row.
            out: float32 (n, length, cols), C-contiguous; also returned.
            places: (n,) the windows of ``out`` to fill, if it has more.

        Raises:
            InputError: an ark is damaged or truncated, or a matrix has not as many columns as
                ``out``.
            IndexError: a window lies outside its matrix.
        """
        self._check_out(out)
        count = len(out) if places is None else len(places)
        if (count, out.shape[1]) != (len(starts), length):
            raise ValueError(f"out is {out.shape}, the request {(len(starts), length)}")
        windows = out if places is None else (out[place] for place in places)
        where = zip(_ints(arks), _ints(offsets), _ints(starts), windows, strict=True)
        for ark, offset, start, window in where:
            self._read_one(ark, offset, start, window)
        return out

    def read_codes(
        self,
        arks: Sequence[int] | np.ndarray,
        offsets: Sequence[int] | np.ndarray,
        starts: Sequence[int] | np.ndarray,
        codes: np.ndarray,
        scales: np.ndarray,
        places: np.ndarray,
    ) -> list[int]:
        """Copy the 16-bit values of windows of CM2 matrices; return the requests without such.

        ``codes * scales[:, 0] + scales[:, 1]`` in float32 are the bits that ``read`` gives. A
        request in the returned list is of another format or faulty: ask ``read`` for it.

        Args:
            arks, offsets, starts: (n,) as for ``read``.
            codes: uint16 (windows, length, cols), C-contiguous, to fill.
            scales: float32 (windows, 2) to fill.
            places: (n,) the windows to fill.
        """
        others = []
        where = zip(_ints(arks), _ints(offsets), _ints(starts), _ints(places), strict=True)
        for request, (ark, offset, start, place) in enumerate(where):
            scale = self._copy_codes(ark, offset, start, codes[place])
            if scale is None:
                others.append(request)
            else:
                scales[place] = scale
        return others

    def _copy_codes(
        self, ark: int, offset: int, start: int, out: np.ndarray
    ) -> tuple[float, float] | None:
        buffer = self._map(ark)
        length, width = out.shape
        if buffer[offset : offset + 6] != b"\0BCM2 ":
            return None
        try:
            minimum, span, rows, cols = _COMPRESSED.unpack_from(buffer, offset + 6)
            first = offset + _CM23_BODY
            if cols == width and 0 <= start <= rows - length:
                first += start * cols * 2
                out.reshape(-1)[:] = np.frombuffer(buffer, _TWO_BYTES, length * cols, first)
            elif cols == width and 0 <= start < rows < length:  # repeat it
                whole = np.frombuffer(buffer, _TWO_BYTES, rows * cols, first).reshape(rows, cols)
                np.take(whole, np.arange(start, start + length) % rows, axis=0, out=out)
            else:
                return None
        except (ValueError, struct.error):  # beyond the end of the file: ``read`` explains
            return None
        return span / 65535, minimum

    def _check_out(self, out: np.ndarray) -> None:
        if out.dtype != np.float32 or out.ndim != 3 or not out.flags.c_contiguous:
            raise ValueError("out must be a C-contiguous float32 array (n, length, cols)")

    def _map(self, ark: int) -> mmap.mmap:
        buffer = self._maps.get(ark)
        if buffer is None:
            if len(self._maps) >= MOST_OPEN:
                self._maps.clear()
            buffer = self._maps[ark] = map_file(self.paths[ark])
        return buffer

    def _read_one(self, ark: int, offset: int, start: int, out: np.ndarray) -> None:
        buffer = self._map(ark)
        length, width = out.shape
        mark = buffer[offset : offset + 6]
        try:
            if mark == b"\0BCM2 " or mark == b"\0BCM3 ":
                minimum, span, rows, cols = _COMPRESSED.unpack_from(buffer, offset + 6)
                if cols == width and 0 <= start <= rows - length:
                    two = mark == b"\0BCM2 "
                    size, kind, levels = (2, _TWO_BYTES, 65535) if two else (1, np.uint8, 255)
                    first = offset + _CM23_BODY + start * cols * size
                    flat = out.reshape(-1)
                    flat[:] = np.frombuffer(buffer, kind, length * cols, first)
                    flat *= span / levels
                    flat += minimum
                    return
            elif mark == b"\0BFM \4" or mark == b"\0BDM \4":
                rows, _, cols = _PLAIN.unpack_from(buffer, offset + 6)
                if cols == width and 0 <= start <= rows - length:
                    size, kind = (4, _FLOAT) if mark == b"\0BFM \4" else (8, _DOUBLE)
                    first = offset + _PLAIN_BODY + start * cols * size
                    out.reshape(-1)[:] = np.frombuffer(buffer, kind, length * cols, first)
                    return
            elif mark[:5] == b"\0BCM ":
                minimum, span, rows, cols = _COMPRESSED.unpack_from(buffer, offset + 5)
                if cols == width and 0 <= start <= rows - length:
                    body = np.frombuffer(buffer, np.uint8, (8 + rows) * cols, offset + _CM_BODY)
                    if self._places.shape != out.shape:
                        self._places = np.empty(out.shape, np.intp)
                    decode_columns(body, minimum, span, rows, out, start, self._places)
                    return
        except (ValueError, struct.error):  # beyond the end of the file: the next line explains
            pass
        self._read_unusual(buffer, ark, offset, start, out)

    def _read_unusual(self, buffer, ark: int, offset: int, start: int, out: np.ndarray) -> None:
        """Repeat a short matrix, or raise for a damaged entry."""
        path = self.paths[ark]
        length, width = out.shape
        header = parse_header(buffer, offset, path)
        if header.kind[1] != "M" or header.cols != width:
            raise InputError(
                f"{path}: the entry at byte {offset} has {header.cols} columns, not {width}; "
                "all features of a set must be made with the same settings"
            )
        if not 0 < header.rows < length or not 0 <= start < header.rows:
            raise IndexError(
                f"{path}: rows {start}:{start + length} of the matrix at byte {offset}, "
                f"which has {header.rows}"
            )
        whole = np.empty((header.rows, width), np.float32)
        self._read_one(ark, offset, 0, whole)
        np.take(whole, np.arange(start, start + length) % header.rows, axis=0, out=out)


def _ints(values: Sequence[int] | np.ndarray) -> list[int]:
    return np.asarray(values, dtype=np.int64).tolist()

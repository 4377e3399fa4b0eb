"""Kaldi's ark and scp files: the only reader and writer of them in this toolkit.

An *ark* is a sequence of entries ``<key> <object>``. An *scp* names one entry on each line,
``<key> <path of the ark>:<byte offset>``. Objects are float and double vectors and matrices (``FV
DV FM DM``), binary or text, and Kaldi's compressed matrices (``CM CM2 CM3``, see ``compression``).
This module also writes arks of waveforms; see ``waves``.

Data files are never executed. kaldiio runs a value that ends in ``|`` as a command, and it
unpickles entries that begin with ``PKL``. So this module refuses both and reads without kaldiio.
kaldiio only writes the plain objects; `benchmarks/RESULTS.md` (`arks`) gives the reasons.
"""

import contextlib
import io
import mmap
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import kaldiio
import numpy as np

from sv.errors import InputError, stage_that_makes
from sv.files import atomic_write
from sv.kaldi import compression, waves
from sv.kaldi.format import decode_rows, map_file, parse_header, refuse_truncated
from sv.kaldi.ids import MAX_ID, id_problem
from sv.kaldi.paths import base_folder, from_base
from sv.kaldi.tables import read_dict
from sv.kaldi.text import is_text, read_text

_LONGEST_KEY = 1 << 16  # bytes, an end of the search for a blank; other writers have no limit
MAX_DIGITS = 18
"""Most digits of a byte offset; such a number fits into 64 bits."""


class Location(NamedTuple):
    """Where an entry of an ark begins (at its binary mark, after the key)."""

    path: str
    offset: int


# ---------------------------------------------------------------- scp


def read_scp(path: str | os.PathLike) -> dict[str, str]:
    """Read a file of ``key value`` lines; everything after the first blank is the value.

    The result keeps the order of the file. ``wav.scp``, ``utt2spk`` and ``utt2num_frames`` are
    such files, too.

    Raises:
        InputError: see ``sv.kaldi.tables.read_dict``; or a value is a command.
    """
    table = read_dict(
        path, f" does not exist; run the stage that writes it{stage_that_makes(path)}"
    )
    if any("|" in value for value in table.values()):
        for number, value in enumerate(table.values(), 1):
            refuse_pipe(value, f"{path}, line {number}")
    return table


def read_paths(scp: str | os.PathLike) -> dict[str, str]:
    """Read an scp as ``read_scp`` does, and complete relative paths (see ``sv.kaldi.paths``).

    The values are paths, with or without an offset, as in ``wav.scp`` and ``feats.scp``.

    Raises:
        InputError: see ``read_scp`` and ``sv.kaldi.paths.base_folder``.
    """
    table = read_scp(scp)
    base = base_folder(scp, list(table.values()))
    return {key: from_base(base, value) for key, value in table.items()} if base else table


def refuse_pipe(value: str, where: str) -> None:
    """Raise if ``value`` is a command of Kaldi's (``cmd |`` or ``| cmd``)."""
    if value.endswith("|") or value.startswith("|"):
        raise InputError(
            f"{where}: the value is a command ({value[:60]!r}); data files are never executed "
            "here: run the command once and name the file it writes"
        )


def parse_location(text: str | Location) -> Location:
    """Split ``path:offset``; a path alone means offset 0. The path may hold colons and spaces."""
    if isinstance(text, Location):
        return text
    path, _, offset = text.rpartition(":")
    if path and offset.isascii() and offset.isdigit() and len(offset) <= MAX_DIGITS:
        refuse_pipe(path, "scp")
        return Location(path, int(offset))
    refuse_pipe(text, "scp")
    if text.endswith("]"):
        raise InputError(
            f"{text!r}: row ranges in an scp are not supported; write the rows you want to an "
            "ark of their own (Kaldi: copy-feats)"
        )
    return Location(text, 0)


# ---------------------------------------------------------------- reading


def read_matrix(location: str | Location, rows: tuple[int, int] | None = None) -> np.ndarray:
    """Read a matrix, or its rows ``rows[0]:rows[1]`` alone, as float32 (rows, cols).

    Raises:
        InputError: missing, truncated or foreign file, a vector, rows out of range.
    """
    path, offset = parse_location(location)
    buffer = map_file(path)
    if is_text(buffer, offset):
        header, matrix = None, read_text(buffer, offset, path).array
        is_matrix, count = matrix.ndim == 2, len(matrix)
    else:
        header = parse_header(buffer, offset, path)
        is_matrix, count = header.kind[1] == "M", header.rows
    if not is_matrix:
        raise InputError(f"{path}: the entry at byte {offset} is a vector, not a matrix")
    start, stop = rows if rows is not None else (0, count)
    if not 0 <= start <= stop <= count:
        raise InputError(
            f"{path}: rows {start}:{stop} asked of the matrix at byte {offset}, which has {count}"
        )
    return matrix[start:stop] if header is None else decode_rows(buffer, header, start, stop)


def read_vector(location: str | Location) -> np.ndarray:
    """Read a vector as float32 (dim,).

    Raises:
        InputError: missing, truncated or foreign file, or a matrix.
    """
    path, offset = parse_location(location)
    array = read_entry(location)
    if array.ndim != 1:
        raise InputError(f"{path}: the entry at byte {offset} is a matrix, not a vector")
    return array


def read_entry(location: str | Location) -> np.ndarray:
    """Read the matrix (rows, cols) or vector (dim,) that is there, as float32.

    Raises:
        InputError: missing, truncated or foreign file.
    """
    path, offset = parse_location(location)
    return _read_entry(map_file(path), offset, path)[0]


def read_ark(path: str | os.PathLike) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (key, float32 matrix or vector) of each entry in turn.

    Raises:
        InputError: as ``read_matrix``; or a key occurs twice.
    """
    buffer, where = map_file(path), str(path)
    position, seen = 0, set()
    while position < len(buffer):
        key, start = _read_key(buffer, position, where)
        if key in seen:
            raise InputError(f"{where}: {key!r} is there twice; ids must be unique")
        seen.add(key)
        array, position = _read_entry(buffer, start, f"{where}, entry {key!r}")
        yield key, array


def _read_entry(buffer: mmap.mmap, offset: int, where: str) -> tuple[np.ndarray, int]:
    """Return the float32 matrix or vector at ``offset`` and the offset of what follows it."""
    if is_text(buffer, offset):
        return read_text(buffer, offset, where)
    header = parse_header(buffer, offset, where)
    array = decode_rows(buffer, header, 0, header.rows)
    return array if header.kind[1] == "M" else array[0], header.end


def _read_key(buffer: mmap.mmap, position: int, where: str) -> tuple[str, int]:
    """Return the key at ``position`` of an ark and the offset of its object."""
    size = len(buffer)
    blank = buffer.find(b" ", position, position + _LONGEST_KEY + 1)
    if blank <= position:
        if buffer[position : position + 2] == b"\0B":
            raise InputError(f"{where}: no key at byte {position}; this is a matrix, not an ark")
        if size - position > _LONGEST_KEY:
            raise InputError(
                f"{where}: no key of at most {_LONGEST_KEY:,} bytes at byte {position}; it is "
                "not an ark, or its ids are too long: write it again with shorter ones"
            )
        refuse_truncated(where, position + 1, size)
    try:
        return buffer[position:blank].decode(), blank + 1
    except UnicodeDecodeError:
        raise InputError(f"{where}: no key at byte {position}; it is not an ark") from None


def load_vectors(
    rspecifier: str | os.PathLike, share: tuple[int, int] = (0, 1)
) -> tuple[list[str], np.ndarray]:
    """Load the vectors of ``scp:E.scp``, ``ark:E.ark`` or a bare path that ends in either.

    share: (part, parts). (0, 4) loads the first of four parts of about equal size. If the file is
    an scp, the vectors of other parts are not read.

    Returns:
        All ids in the order of the file, and the vectors of the share, float32 (rows, dim).

    Raises:
        InputError: as ``read_vector``; or the vectors differ in length, or there are none.
    """
    form, path = parse_rspecifier(rspecifier)
    if form == "scp":
        return _load_scp_vectors(path, share)
    ids, vectors = [], []
    for key, array in read_ark(path):
        ids.append(key)
        vectors.append(_as_vector(array, key, path))
        if len(vectors[-1]) != len(vectors[0]):
            _refuse_length(path, key, len(vectors[-1]), len(vectors[0]))
    return ids, np.stack(vectors)[rows_of_share(share, len(ids))]


def load_embeddings(rspecifier: str | os.PathLike) -> tuple[list[str], np.ndarray]:
    """Load vectors as ``load_vectors`` does, or matrices of one shape: float32 (n, rows, dim).

    A row of a matrix is the embedding of a crop, as ``sv.bin.embed --crops`` writes it.

    Raises:
        InputError: as ``load_vectors``; or the matrices differ in shape.
    """
    form, path = parse_rspecifier(rspecifier)
    entries: Iterable[tuple[str, np.ndarray]]
    if form == "ark":
        entries = read_ark(path)
    else:
        entries = ((key, read_entry(where)) for key, where in read_paths(path).items())
    ids, matrices = [], []
    for key, array in entries:
        if not ids and (array.ndim == 1 or len(array) == 1):
            return load_vectors(rspecifier)
        ids.append(key)
        matrices.append(array)
        if array.shape != matrices[0].shape:
            raise InputError(
                f"{path}: {key!r} has the shape {array.shape}, the first entry {matrices[0].shape}"
                "; all must come from one model and have the same number of crops"
            )
    return (ids, np.stack(matrices)) if ids else load_vectors(rspecifier)


def parse_rspecifier(rspecifier: str | os.PathLike) -> tuple[str, str]:
    """Split ``scp:E.scp``, ``ark:E.ark`` or a bare path into ``scp`` or ``ark``, and the path.

    Raises:
        InputError: the text names neither form.
    """
    text = str(rspecifier)
    form, colon, path = text.partition(":")
    if not colon or form not in ("scp", "ark"):
        form, path = Path(text).suffix[1:], text
    if form not in ("scp", "ark"):
        raise InputError(f"{text!r}: give scp:FILE or ark:FILE (or a path that ends so)")
    return form, path


def rows_of_share(share: tuple[int, int], count: int) -> slice:
    """Return the rows of part ``share[0]`` (from 0) if ``count`` rows are cut into ``share[1]``."""
    part, parts = share
    return slice(part * count // parts, (part + 1) * count // parts)


def _load_scp_vectors(
    path: str | os.PathLike, share: tuple[int, int]
) -> tuple[list[str], np.ndarray]:
    """Copy the bytes of a vector if its header equals that of the first one; else parse it."""
    table = read_paths(path)
    ids = list(table)
    own = ids[rows_of_share(share, len(ids))]
    maps: dict[str, mmap.mmap] = {}
    out = head = raw = None
    size = 0
    for row, key in enumerate(own):
        ark, offset = parse_location(table[key])
        buffer = maps.get(ark)
        if buffer is None:
            buffer = maps[ark] = map_file(ark)
        if head is not None and buffer[offset : offset + len(head)] == head:
            piece = buffer[offset + len(head) : offset + len(head) + size]
            if len(piece) == size:
                raw[row * size : (row + 1) * size] = piece
                continue
        vector, end = _read_entry(buffer, offset, f"{ark}, entry {key!r}")
        vector = _as_vector(vector, key, ark)
        if out is None:
            out = np.empty((len(own), len(vector)), np.float32)
            raw, size = memoryview(out).cast("B"), out.shape[1] * out.itemsize
            if buffer[offset : offset + 5] == b"\0BFV " and sys.byteorder == "little":
                head = buffer[offset : end - size]
        if len(vector) != out.shape[1]:
            _refuse_length(path, key, len(vector), out.shape[1])
        out[row] = vector
    if out is None:  # more parts than vectors
        out = np.empty((0, len(read_vector(table[ids[0]]))), np.float32)
    return ids, out


def _refuse_length(path: str | os.PathLike, key: str, length: int, first: int) -> None:
    raise InputError(
        f"{path}: {key!r} has {length} values, the first vector has {first}; all must come from "
        "one model"
    )


def _as_vector(array: np.ndarray, key: str, where: str) -> np.ndarray:
    if array.ndim == 2 and len(array) != 1:
        raise InputError(
            f"{where}: {key!r} is a matrix of {len(array)} rows, not a vector: give "
            "embeddings of whole utterances, not of crops"
        )
    return array.reshape(-1)


# ---------------------------------------------------------------- writing


class ArkWriter:
    """Write an ark and its scp; both appear under their names only if no write failed.

    >>> with ArkWriter("feats.ark", "feats.scp") as writer:      # doctest: +SKIP
    ...     writer.write("utt-1", matrix)                        # (frames, mel)

    Args:
        ark_path: the scp names it exactly as given here; make it absolute if the scp is to be
            read from another current directory.
        scp_path: None writes no scp.
        compression: ``"CM2"`` (16 bits a value, half the size of floats, error range/131070),
            ``"CM"`` or ``"CM3"`` (8 bits), ``None`` or ``"FM"`` for plain float32. Vectors are
            always written as plain float32.
    """

    def __init__(
        self,
        ark_path: str | os.PathLike,
        scp_path: str | os.PathLike | None,
        compression: str | None = "CM2",
    ):
        self.ark_path, self.scp_path = str(ark_path), scp_path
        self.compression = compression or "FM"
        if self.compression not in ("FM", "CM", "CM2", "CM3"):
            raise InputError(f"unknown compression {compression!r}; there are FM, CM, CM2, CM3")
        self._keys: set[str] = set()
        self._position = 0

    def __enter__(self) -> "ArkWriter":
        with contextlib.ExitStack() as stack:
            # The stack renames the ark first, so an scp never points to an ark without a name.
            self._scp = self.scp_path and stack.enter_context(atomic_write(self.scp_path))
            self._ark = stack.enter_context(atomic_write(self.ark_path, "wb"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if error is None:
            try:  # a full disk must raise before the first rename, not between the two
                for handle in filter(None, (self._ark, self._scp)):
                    handle.flush()
            except OSError as failure:
                self._stack.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._stack.__exit__(kind, error, traceback)

    def write(self, key: str, array: np.ndarray) -> None:
        """Append a vector (dim,) or a matrix (rows, cols); ``array`` is not changed.

        Raises:
            InputError: the key cannot be an id (``id_problem``) or was used before; the array is
                empty, or it is to be compressed and has NaN or infinite values.
        """
        array = np.asarray(array)
        if array.ndim not in (1, 2) or not array.size:
            raise InputError(
                f"{self.ark_path}: {key!r} has the shape {array.shape}; it must be a vector or "
                "a matrix that is not empty"
            )
        if array.ndim == 2 and self.compression != "FM":
            try:
                body = b"\0B" + compression.encode(array, self.compression)
            except ValueError as error:
                raise InputError(f"{self.ark_path}: {key!r}: {error}") from None
        else:
            plain = io.BytesIO()
            kaldiio.save_mat(plain, array.astype(np.float32))
            body = plain.getvalue()
        self._append(key, body)

    def write_waveform(self, key: str, samples: np.ndarray, sample_rate: int) -> None:
        """Append a waveform (samples,), int16 or floats in [-1, 1], as 16-bit audio.

        Raises:
            InputError: as ``write``.
        """
        try:
            body = waves.encode(samples, sample_rate)
        except ValueError as error:
            raise InputError(f"{self.ark_path}: {key!r}: {error}") from None
        self._append(key, body)

    def _append(self, key: str, body: bytes) -> None:
        problem = id_problem(key)
        if problem is not None:
            raise InputError(
                f"{self.ark_path}: {key[:60]!r} cannot be an id: it {problem}; ids are words of "
                f"at most {MAX_ID} bytes: rename it"
            )
        if key in self._keys:
            raise InputError(f"{self.ark_path}: {key!r} is written twice; ids must be unique")
        name = key.encode() + b" "
        self._ark.write(name + body)
        self._keys.add(key)
        if self._scp:
            self._scp.write(f"{key} {self.ark_path}:{self._position + len(name)}\n")
        self._position += len(name) + len(body)

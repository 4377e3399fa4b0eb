"""A training set as arrays, not objects: a million utterances in seconds and little memory.

A Python object costs about 100 bytes for each string and reference, and every loader process
copies a list of a million of them page by page. Here an utterance is a row of four arrays. The
whole set takes a few tens of megabytes, which ``fork`` shares and ``spawn`` copies in
milliseconds.
"""

import copy
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sv.crops.ark_sample import sampled_entries
from sv.data.feature_preset import read_preset
from sv.errors import InputError, command_of
from sv.kaldi.arks import MAX_DIGITS, Location, parse_location
from sv.kaldi.columns import read_pairs
from sv.kaldi.format import parse_header
from sv.kaldi.paths import base_folder, from_base
from sv.kaldi.windows import WindowReader
from sv.numbers import to_int


class TrainingIndex:
    """Where each utterance's features are, and how many rows (frames) they have.

    Attributes:
        arks: paths of the ark files (few).
        ark_id: (N,) int32, place in ``arks``.
        offset: (N,) int64, byte offset of the matrix in its ark.
        lengths: (N,) int32, rows of each utterance: here frames.
        names: (N,) fixed-width bytes, the utterance ids as UTF-8; see ``ids``.
        mel_bins: columns of every matrix.
        row_seconds: time from one row to the next.
        row_shape, dtype: of a row as ``read_windows`` gives it.
        preset: the filterbank of the features.
        folder: the data directory, if the index was read from one.
        codes: whether all features are 16-bit values of the format CM2 (as far as was looked).
    """

    dtype: type = np.float32
    reader: type[WindowReader] = WindowReader
    row_seconds: float = 0.01
    codes: bool = False
    folder: str | os.PathLike | None = None

    def __init__(
        self,
        arks: list[str],
        ark_id: np.ndarray,
        offset: np.ndarray,
        lengths: np.ndarray,
        names: np.ndarray,
        mel_bins: int | None,
        preset: str = "kaldi",
    ):
        self.arks = list(arks)
        self.ark_id, self.offset, self.lengths = ark_id, offset, lengths
        self.names, self.mel_bins, self.preset = names, mel_bins, preset
        self.row_shape: tuple[int, ...] = () if mel_bins is None else (mel_bins,)
        self._reader = self.reader(self.arks)

    @classmethod
    def load(cls, data_dir: str | os.PathLike) -> "TrainingIndex":
        """Read ``feats.scp`` and ``utt2num_frames`` of a data directory and check them.

        Frame counts of utterances that have no features are ignored.

        Raises:
            InputError: a missing file; no utterances; an id twice; an utterance without a frame
                count; a pipe in ``feats.scp``; an ark that is missing, truncated, or (in the
                headers looked at) of another number of frames or columns than it should have.
        """
        scp, counts = Path(data_dir) / "feats.scp", Path(data_dir) / "utt2num_frames"
        names, arks, ark_id, offset = read_locations(scp)
        refuse_duplicates(names, scp)
        frames = read_lengths(counts, names, scp)
        mel_bins, kinds = _check_arks(scp, names, arks, ark_id, offset, frames)
        index = cls(arks, ark_id, offset, frames, names, mel_bins, read_preset(data_dir))
        index.codes, index.folder = kinds == {"CM2"}, data_dir
        return index

    def __len__(self) -> int:
        return len(self.offset)

    def __repr__(self) -> str:
        shape = f"{len(self)} utterances, {len(self.arks)} arks, {self.mel_bins} mel bands"
        return f"TrainingIndex({shape})"

    def ids(self, utterances: int | np.ndarray | slice) -> str | list[str]:
        """Return the id of one utterance, or a list of ids."""
        found = self.names[utterances]
        return found.decode() if isinstance(found, bytes) else [name.decode() for name in found]

    def select(self, mask: np.ndarray) -> "TrainingIndex":
        """Return the utterances that a boolean mask (N,) or an array of places picks."""
        chosen = copy.copy(self)
        for name in ("ark_id", "offset", "lengths", "names"):
            setattr(chosen, name, getattr(self, name)[mask])
        if not len(chosen):
            raise InputError("no utterance is left after the selection; relax what was asked")
        return chosen

    def rows(self, frames: int) -> int:
        """Return the rows that hold ``frames`` frames of 10 ms: as many."""
        return frames

    def to_power(self, windows: np.ndarray) -> np.ndarray:
        """Return windows as something that adds when sounds do: mel power, in the same memory."""
        form, power = self._form(), np.exp(windows, out=windows)
        if form.add:
            power -= np.float32(form.floor)
            np.maximum(power, 0, out=power)
        return power

    def from_power(self, power: np.ndarray) -> np.ndarray:
        """Undo ``to_power``, for windows of noise, in the same memory."""
        form = self._form()
        floor = np.float32(form.floor)
        if form.add:
            power += floor
        else:
            np.maximum(power, floor, out=power)
        return np.log(power, out=power)

    def _form(self):
        from sv.features.presets import definition  # loads torch, which an index is without

        return definition(self.preset)

    def read_windows(
        self,
        utterances: np.ndarray,
        starts: np.ndarray,
        length: int,
        out: np.ndarray | None = None,
        places: np.ndarray | None = None,
    ) -> np.ndarray:
        """Read ``length`` rows of each utterance from row ``starts``, decoded.

        An utterance shorter than ``length`` is repeated until the window is full.

        Args:
            utterances, starts: (n,) places in this index, and first rows.
            out: (n, length, *row_shape) of ``dtype`` to fill, else a new array.
            places: (n,) the windows of ``out`` to fill, if it has more than n.

        Raises:
            InputError: a damaged ark. IndexError: a window outside its utterance.
        """
        utterances = np.asarray(utterances)
        if out is None:
            out = np.empty((len(utterances), length, *self.row_shape), self.dtype)
        arks, offsets = self.ark_id[utterances], self.offset[utterances]
        return self._reader.read(arks, offsets, starts, length, out, places)

    def read_codes(
        self,
        utterances: np.ndarray,
        starts: np.ndarray,
        codes: np.ndarray,
        scales: np.ndarray,
        places: np.ndarray,
    ) -> list[int]:
        """Copy 16-bit values of windows; see ``sv.kaldi.windows.WindowReader.read_codes``."""
        arks, offsets = self.ark_id[utterances], self.offset[utterances]
        return self._reader.read_codes(arks, offsets, starts, codes, scales, places)


def read_locations(path: Path) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    """Read an scp: names (N,), paths of the arks, and for each entry ark and byte offset (N,)."""
    names, ark_ids, offsets, known = [], [], [], {}
    for number, pairs in _pairs(path):
        values = [pair[1].rstrip().rpartition(b":") for pair in pairs]
        places = np.empty(len(values), np.int32)
        numbers = np.empty(len(values), np.int64)
        for line, (ark, colon, offset) in enumerate(values):
            place = known.get(ark)
            # new or odd: look closely
            if place is None or not offset.isdigit() or len(offset) > MAX_DIGITS:
                where = _parse_value(ark + colon + offset, path, number + line)
                place = known.setdefault(where.path.encode(), len(known))
                offset = where.offset
            places[line], numbers[line] = place, int(offset)
        names.append(np.array([pair[0] for pair in pairs], dtype=bytes))
        ark_ids.append(places)
        offsets.append(numbers)
    arks = [ark.decode() for ark in known]
    base = base_folder(path, arks)
    arks = [from_base(base, ark) for ark in arks]
    return np.concatenate(names), arks, np.concatenate(ark_ids), np.concatenate(offsets)


def _pairs(path: Path) -> Iterator[tuple[int, list[list[bytes]]]]:
    """As ``read_pairs``; a file without a line is refused."""
    found = False
    for number, pairs in read_pairs(
        path, f" does not exist; run stage 1 (features) first: {command_of(1)}"
    ):
        found = True
        yield number, pairs
    if not found:
        raise InputError(f"{path} is empty: zero utterances; run stage 1 (features) again")


def _whole_numbers(path: Path, first: int, texts: list[bytes]) -> np.ndarray:
    """Return the numbers (n,) int64; ``first``: the line of the first one, for messages."""
    try:
        if b"_" not in b"".join(texts):  # Python reads 1_0 as 10
            return np.array([int(text) for text in texts], dtype=np.int64)
    except (ValueError, OverflowError):
        pass
    for number, text in enumerate(texts, first):
        try:
            to_int(text.decode())
        except ValueError as error:
            raise InputError(
                f"{path}, line {number}: a length is no whole number: {error}"
            ) from None
    raise InputError(f"{path}: a length is no whole number; run stage 1 (features) again")


def _parse_value(value: bytes, path: Path, line: int) -> Location:
    try:
        return parse_location(value.decode())
    except UnicodeDecodeError:
        raise InputError(f"{path}, line {line}: the path is not UTF-8 text") from None
    except InputError as error:
        raise InputError(f"{path}, line {line}: {error}") from None


def refuse_duplicates(names: np.ndarray, path: Path) -> None:
    """Raise if an id is there twice. Sorted files, the rule, need no sorting here."""
    if np.all(names[:-1] < names[1:]):
        return
    ordered = np.sort(names)
    twice = ordered[:-1][ordered[:-1] == ordered[1:]]
    if len(twice):
        raise InputError(
            f"{path}: {len(twice)} ids are there more than once, the first is "
            f"{twice[0].decode()!r}; run utils/fix_data_dir"
        )


def read_lengths(path: Path, names: np.ndarray, scp: Path) -> np.ndarray:
    """Return the (N,) int32 lengths of ``names``, in whatever order the file has them."""
    frames = np.zeros(len(names), np.int32)
    filled, order = 0, None
    for number, pairs in _pairs(path):
        keys = np.array([pair[0] for pair in pairs], dtype=bytes)
        counts = _whole_numbers(path, number, [pair[1] for pair in pairs])
        if counts.min() < 1 or counts.max() > np.iinfo(np.int32).max:
            bad = keys[(counts < 1) | (counts > np.iinfo(np.int32).max)][0].decode()
            raise InputError(f"{path}: {bad!r} has an impossible length; remove the line")
        stop = filled + len(keys)
        if order is None and np.array_equal(keys, names[filled:stop]):
            frames[filled:stop] = counts  # both files in the same order, as stage 1 writes them
            filled = stop
            continue
        if order is None:
            order = np.argsort(names, kind="stable")
            ordered = names[order]
        places = np.searchsorted(ordered, keys)
        places[places == len(names)] = 0
        known = ordered[places] == keys
        frames[order[places[known]]] = counts[known]
    missing = np.flatnonzero(frames == 0)
    if len(missing):
        raise InputError(
            f"{path}: no length for {len(missing)} of the {len(names)} utterances of {scp}, "
            f"the first is {names[missing[0]].decode()!r}; run stage 1 (features) again"
        )
    return frames


def _check_arks(
    scp: Path,
    names: np.ndarray,
    arks: list[str],
    ark_id: np.ndarray,
    offset: np.ndarray,
    frames: np.ndarray,
) -> tuple[int, set[str]]:
    """Check the end of every ark and a sample of headers; return the columns and the formats."""
    mel_bins, kinds = None, set()
    for entry in sampled_entries(names, arks, ark_id, offset):
        ark, name = entry.ark, entry.name
        header = parse_header(entry.buffer, entry.offset, entry.where)
        if header.kind[1] != "M":
            raise InputError(f"{ark}: {name!r} is a vector, not features")
        if header.rows != frames[entry.utterance]:
            raise InputError(
                f"{ark}: {name!r} has {header.rows} frames, utt2num_frames beside {scp} "
                f"says {frames[entry.utterance]}; run stage 1 (features) again"
            )
        if mel_bins not in (None, header.cols):
            raise InputError(
                f"{ark}: {name!r} has {header.cols} columns, others have {mel_bins}; all "
                "features of a set must be made with the same settings"
            )
        mel_bins = header.cols
        kinds.add(header.kind)
    return mel_bins, kinds

"""The last step of stage 1: the pieces of a corpus become the tables of its data directory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sv.audio.problems import MAX_BAD, Bad, read_bad, refuse_too_many, write_bad
from sv.data.feature_preset import write_preset
from sv.data.pieces import Piece, excluded
from sv.data.replaced import write_table
from sv.data.spans import read_dir_spans
from sv.data.trials import read_trials
from sv.errors import InputError
from sv.kaldi.arks import read_scp
from sv.numbers import to_int


@dataclass
class Tables:
    """What the pieces hold: tables by utterance as text, bad utterances, and the one preset.

    ``features`` and ``waves`` are places in arks, ``frames`` and ``samples`` whole numbers.
    """

    preset: str = "kaldi"
    features: dict[str, str] = field(default_factory=dict)
    frames: dict[str, str] = field(default_factory=dict)
    waves: dict[str, str] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)

    def add(self, piece: Piece, folder: Path, wave: bool) -> None:
        """Add one piece of ``folder``; ``wave``: its waveforms too.

        Raises:
            InputError: an utterance is in an earlier piece.
        """
        self.bad += read_bad(piece.bad)
        if piece.scp.stat().st_size == 0:
            return  # all of them bad
        entries = read_scp(piece.scp)
        twice = next((key for key in entries if key in self.features), None)
        if twice is not None:
            raise InputError(f"{twice} is in two pieces of {folder}: remove that folder, run again")
        self.features.update(entries)
        self.frames.update(read_scp(piece.num_frames))
        if wave:
            self.waves.update(read_scp(piece.wave_scp))
            self.samples.update(read_scp(piece.num_samples))


def merge_pieces(
    data: Path,
    folder: Path,
    pieces: int,
    max_bad: float = MAX_BAD,
    wave: bool = False,
    exclude: Mapping[str, str] | None = None,
) -> str:
    """Join pieces 1 to ``pieces`` into ``feats.scp`` and ``utt2num_frames`` of a data directory.

    With ``wave`` also into ``wav_ark.scp`` and ``utt2num_samples``; without it, those of an earlier
    run go. Also writes ``bad_utterances``. Each utterance of ``wav.scp`` must have features or be
    listed as bad; those of ``exclude`` (as given to the pieces) are listed, but do not count as
    bad. Other files of the data directory stay as they are. Returns a summary.

    Raises:
        InputError: an incomplete piece, pieces of different presets, an utterance unaccounted for
            or in two pieces, a larger share of bad utterances than ``max_bad``, or a bad one that
            ``trials`` names.
    """
    data = Path(data)
    listed = data / "segments" if (data / "segments").exists() else data / "wav.scp"
    utterances = {key: span.path for key, span in read_dir_spans(data).items()}
    tables = _read_pieces(folder, pieces, wave)
    accounted = tables.features.keys() | {row.id for row in tables.bad}
    _compare(utterances.keys() - accounted, f"of {listed} have no features")
    strangers = tables.features.keys() - utterances.keys()
    _compare(strangers, f"with features are not in {listed}")
    bad_file = data / "bad_utterances"
    write_bad(bad_file, tables.bad)
    chosen = {row.id for row in excluded(utterances, exclude or {})}
    unexpected = sorted(row for row in tables.bad if row.id not in chosen)
    refuse_too_many(unexpected, len(accounted), str(bad_file), max_bad)
    if not tables.features:
        raise InputError(f"all utterances of {data} are excluded: check --exclude")
    _refuse_bad_trials(data / "trials", tables.bad)
    _write(data, tables, wave)
    hours = sum(map(to_int, tables.frames.values())) / 360_000
    left_out = f"; {len(tables.bad)} bad ones left out, see {bad_file}" if tables.bad else ""
    return f"{data}: features of {len(tables.features)} utterances, {hours:.2f} h{left_out}"


def _read_pieces(folder: Path, pieces: int, wave: bool) -> Tables:
    """Return what pieces 1 to ``pieces`` hold; all must be complete and of one preset."""
    presets: dict[str, int] = {}
    tables = Tables()
    for number in range(1, pieces + 1):
        piece = Piece.of(folder, str(number))
        if piece.made_from() is None:
            raise InputError(
                f"piece {number} of {pieces} in {folder} is not complete: see its log, then run "
                "stage 1 again; complete pieces are not made twice"
            )
        presets.setdefault(piece.preset(), number)
        tables.add(piece, folder, wave)
    if len(presets) > 1:
        (one, first), (other, second) = list(presets.items())[:2]
        raise InputError(
            f"{folder}: piece {first} is of the preset {one} and piece {second} of {other}, and "
            "the features of a set must be of one: run stage 1 again with the --preset you want"
        )
    tables.preset = next(iter(presets), tables.preset)
    return tables


def _write(data: Path, tables: Tables, wave: bool) -> None:
    """Write the tables, ``feats.scp`` last; without ``wave`` remove waveforms of an earlier run."""
    if wave:
        write_table(data / "utt2num_samples", tables.samples.items())
        write_table(data / "wav_ark.scp", tables.waves.items())
    else:
        (data / "wav_ark.scp").unlink(missing_ok=True)
        (data / "utt2num_samples").unlink(missing_ok=True)
    write_preset(data, tables.preset)
    write_table(data / "utt2num_frames", tables.frames.items())
    write_table(data / "feats.scp", tables.features.items())


def _compare(strangers: set[str], what: str) -> None:
    if strangers:
        raise InputError(
            f"{len(strangers)} utterances {what}, such as {min(strangers)}: the pieces were made "
            "from another list; run stage 1 again"
        )


def _refuse_bad_trials(trials: Path, bad: list[Bad]) -> None:
    """Refuse here what would stop the scoring, hours of training later."""
    if not bad or not trials.exists():
        return
    named = set(read_trials(trials).names)
    for row in sorted(bad):
        if row.id in named:
            raise InputError(
                f"{trials}: names {row.id}, which is bad: {row.reason}; repair the file, or take "
                "its trials out (the error rate is then of another list)"
            )

"""Filterbanks of a corpus, piece by piece: the work of one job of stage 1, and joining the pieces.

On request the decoded waveforms are kept, too, as 16-bit arks (``sv.kaldi.waves``). A piece is part
of ``wav.scp``. Its files appear only when it is complete; the stamp appears last. If a run was
interrupted, the next run makes the pieces that have no stamp, or a stamp of other input.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sv.audio.problems import (
    CLIPPED,
    MAX_BAD,
    Bad,
    clipped_share,
    examine,
    load,
    read_bad,
    refuse_too_many,
    write_bad,
)
from sv.data.feature_preset import write_preset
from sv.data.replaced import write_table
from sv.data.trials import read_trials
from sv.errors import InputError
from sv.features.filterbank import fbank
from sv.files import atomic_write
from sv.kaldi.arks import ArkWriter, read_paths, read_scp
from sv.numbers import to_int
from sv.progress import progress

# Raise this number if fbank returns other values than before, or audio is decoded differently: all
# pieces are then made again.
VERSION = 2
# A job stops if most of so many first utterances are bad. So a wrong folder is noticed at once.
FIRST = 50


class Settings(NamedTuple):
    """The settings of the features. ``sample_rate`` in Hz; ``compression`` as in ``ArkWriter``.

    ``wave``: write the waveforms, too. ``channel``: see ``sv.audio.channel_choice``. ``preset``:
    see ``sv.features.presets``.
    """

    sample_rate: int = 16000
    mel_bins: int = 80
    compression: str = "CM2"
    wave: bool = False
    channel: int | None = None
    preset: str = "kaldi"

    def __str__(self) -> str:
        text = " ".join(map(str, self[:3])) + (" wave" if self.wave else "")
        text += "" if self.channel is None else f" channel {self.channel}"
        return text if self.preset == "kaldi" else f"{text} preset {self.preset}"


class Piece(NamedTuple):
    """The files of one piece; the three files of waveforms exist only if they were requested."""

    ark: Path
    scp: Path
    num_frames: Path
    bad: Path
    stamp: Path
    wave_ark: Path
    wave_scp: Path
    num_samples: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> "Piece":
        """Return the files of piece ``name`` in ``folder``."""
        folder = Path(folder).absolute()
        return cls(
            folder / f"raw_fbank.{name}.ark",
            folder / f"raw_fbank.{name}.scp",
            folder / f"utt2num_frames.{name}",
            folder / f"bad_utterances.{name}",
            folder / f".raw_fbank.{name}.done",
            folder / f"raw_wave.{name}.ark",
            folder / f"raw_wave.{name}.scp",
            folder / f"utt2num_samples.{name}",
        )

    def remove_leftovers(self) -> None:
        """Remove the temporary arks, of gigabytes perhaps, of a job that was killed."""
        for ark in (self.ark, self.wave_ark):
            for left in ark.parent.glob(f".{ark.name}.*.tmp"):
                left.unlink(missing_ok=True)

    def made_from(self) -> str | None:
        """Return the text that identifies the input of the piece; None if it is not complete."""
        return self._stamp().get("made_from")

    def preset(self) -> str:
        """Return the preset of the filterbank; "kaldi" if the piece is not complete."""
        return self._stamp().get("preset", "kaldi")

    def _stamp(self) -> dict:
        """Return the contents of the stamp; {} if the piece is not complete."""
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
            whole = self.ark.stat().st_size == stamp["ark_bytes"] and "made_from" in stamp
            rest = [self.scp, self.num_frames, self.bad]
            if "wave_bytes" in stamp:
                whole = whole and self.wave_ark.stat().st_size == stamp["wave_bytes"]
                rest += [self.wave_scp, self.num_samples]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}
        return stamp if whole and all(file.exists() for file in rest) else {}


def extract_piece(
    wav_scp: Path,
    folder: Path,
    name: str,
    settings: Settings,
    force: bool = False,
    exclude: Mapping[str, str] | None = None,
) -> str:
    """Write the features of the utterances in ``wav_scp`` as piece ``name``; return a summary.

    Each file is decoded once; bad utterances are listed with their reasons and left out, and so are
    those that ``exclude`` (id or path -> reason) names, unheard.

    Raises:
        InputError: more than half of the first 50 utterances are bad; a useless ``wav_scp``.
    """
    piece = Piece.of(folder, name)
    utterances = read_paths(wav_scp)
    left_out = _left_out(utterances, exclude or {})
    # Before anything is decoded, so that a file that changes meanwhile is not overlooked.
    wanted = f"{_fingerprint(utterances.items())} {settings} v{VERSION}"
    if left_out:
        wanted += f" without {_fingerprint((row.id, row.path) for row in left_out)}"
    if not force and piece.made_from() == wanted and not _mended(piece, settings, left_out):
        return f"piece {name} is complete for the same audio and settings, skipped"
    piece.stamp.unlink(missing_ok=True)
    piece.remove_leftovers()
    started, clipped = time.monotonic(), 0
    frames: dict[str, int] = {}
    samples: dict[str, int] = {}
    bad: list[Bad] = []
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(ArkWriter(piece.ark, piece.scp, settings.compression))
        if settings.wave:
            waves = stack.enter_context(ArkWriter(piece.wave_ark, piece.wave_scp))
        bar = progress(utterances.items(), total=len(utterances), desc="features", unit="utt")
        unheard = {row.id for row in left_out}
        for seen, (utterance, path) in enumerate(bar, 1):
            if utterance in unheard:
                continue
            waveform, problem = load(path, settings.sample_rate, settings.channel)
            if problem:
                bad.append(Bad(utterance, path, problem))
            if seen == FIRST:
                _give_up_early(bad, wav_scp)
            if problem:
                continue
            features = fbank(waveform, settings.sample_rate, settings.mel_bins, settings.preset)
            writer.write(utterance, features)
            if settings.wave:
                waves.write_waveform(utterance, waveform, settings.sample_rate)
            frames[utterance] = len(features)
            samples[utterance] = len(waveform)
            clipped += clipped_share(waveform) > CLIPPED
    write_table(piece.num_frames, frames.items())
    write_bad(piece.bad, bad + left_out)
    ark_bytes = piece.ark.stat().st_size
    stamp = {"made_from": wanted, "ark_bytes": ark_bytes, "preset": settings.preset}
    if settings.wave:
        write_table(piece.num_samples, samples.items())
        stamp["wave_bytes"] = piece.wave_ark.stat().st_size
    with atomic_write(piece.stamp) as handle:
        json.dump(stamp, handle)
    seconds = sum(samples.values()) / settings.sample_rate
    remark = f"; {clipped} are clipped, and kept" if clipped else ""
    remark += f"; {len(left_out)} are excluded" if left_out else ""
    return (
        f"piece {name}: {len(frames)} utterances, {seconds / 3600:.2f} h of audio at "
        f"{seconds / max(time.monotonic() - started, 1e-3):.0f} times real time, "
        f"{len(bad)} bad ones left out{remark}"
    )


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
    utterances = read_scp(data / "wav.scp")
    features: dict[str, str] = {}
    frames: dict[str, str] = {}
    waves: dict[str, str] = {}
    samples: dict[str, str] = {}
    bad: list[Bad] = []
    presets: dict[str, int] = {}
    for number in range(1, pieces + 1):
        piece = Piece.of(folder, str(number))
        if piece.made_from() is None:
            raise InputError(
                f"piece {number} of {pieces} in {folder} is not complete: see its log, then run "
                "stage 1 again; complete pieces are not made twice"
            )
        presets.setdefault(piece.preset(), number)
        bad += read_bad(piece.bad)
        if piece.scp.stat().st_size == 0:
            continue  # all of them bad
        entries = read_scp(piece.scp)
        twice = next((key for key in entries if key in features), None)
        if twice is not None:
            raise InputError(f"{twice} is in two pieces of {folder}: remove that folder, run again")
        features.update(entries)
        frames.update(read_scp(piece.num_frames))
        if wave:
            waves.update(read_scp(piece.wave_scp))
            samples.update(read_scp(piece.num_samples))
    if len(presets) > 1:
        (one, first), (other, second) = list(presets.items())[:2]
        raise InputError(
            f"{folder}: piece {first} is of the preset {one} and piece {second} of {other}, and "
            "the features of a set must be of one: run stage 1 again with the --preset you want"
        )
    accounted = features.keys() | {row.id for row in bad}
    _compare(utterances.keys() - accounted, f"of {data / 'wav.scp'} have no features")
    _compare(features.keys() - utterances.keys(), f"with features are not in {data / 'wav.scp'}")
    bad_file = data / "bad_utterances"
    write_bad(bad_file, bad)
    chosen = {row.id for row in _left_out(utterances, exclude or {})}
    unexpected = sorted(row for row in bad if row.id not in chosen)
    refuse_too_many(unexpected, len(accounted), str(bad_file), max_bad)
    if not features:
        raise InputError(f"all utterances of {data} are excluded: check --exclude")
    _refuse_bad_trials(data / "trials", bad)
    if wave:
        write_table(data / "utt2num_samples", samples.items())
        write_table(data / "wav_ark.scp", waves.items())
    else:
        (data / "wav_ark.scp").unlink(missing_ok=True)
        (data / "utt2num_samples").unlink(missing_ok=True)
    (preset,) = presets
    write_preset(data, preset)
    write_table(data / "utt2num_frames", frames.items())
    write_table(data / "feats.scp", features.items())
    hours = sum(map(to_int, frames.values())) / 360_000
    left_out = f"; {len(bad)} bad ones left out, see {bad_file}" if bad else ""
    return f"{data}: features of {len(features)} utterances, {hours:.2f} h{left_out}"


def _fingerprint(utterances: Iterable[tuple[str, str]]) -> str:
    """Return a text that changes if the list, or the size or time of any file in it, changes."""
    digest = hashlib.sha256()
    for utterance, path in utterances:
        try:
            stat = Path(path).stat()
            state = f"{stat.st_size} {stat.st_mtime_ns}"
        except OSError:
            state = "absent"
        digest.update(f"{utterance} {path}\n{state}\n".encode())
    return digest.hexdigest()[:12]


def _left_out(utterances: Mapping[str, str], exclude: Mapping[str, str]) -> list[Bad]:
    """Return the ``utterances`` (id -> path) that ``exclude`` names by their id or path."""
    return [
        Bad(utterance, path, exclude.get(utterance) or exclude[path])
        for utterance, path in utterances.items()
        if utterance in exclude or path in exclude
    ]


def _mended(piece: Piece, settings: Settings, left_out: list[Bad]) -> bool:
    """Tell whether an utterance that was bad is good now, because the user has repaired it."""
    chosen = {row.id for row in left_out}
    bad = (row for row in read_bad(piece.bad) if row.id not in chosen)
    return any(examine(row.path, settings.sample_rate, settings.channel) is None for row in bad)


def _give_up_early(bad: list[Bad], wav_scp: Path) -> None:
    if len(bad) > FIRST / 2:
        raise InputError(
            f"{len(bad)} of the first {FIRST} utterances of {wav_scp} are bad, the first: "
            f"{bad[0].reason}. Is the corpus where wav.scp says?"
        )


def _refuse_bad_trials(trials: Path, bad: list[Bad]) -> None:
    """Raise if a trial names a bad utterance; else scoring would fail, hours of training later."""
    if not bad or not trials.exists():
        return
    named = set(read_trials(trials).names)
    for row in sorted(bad):
        if row.id in named:
            raise InputError(
                f"{trials}: names {row.id}, which is bad: {row.reason}; repair the file, or take "
                "its trials out (the error rate then belongs to another list)"
            )


def _compare(strangers: set[str], what: str) -> None:
    if strangers:
        raise InputError(
            f"{len(strangers)} utterances {what}, such as {min(strangers)}: the pieces were made "
            "from another list; run stage 1 again"
        )

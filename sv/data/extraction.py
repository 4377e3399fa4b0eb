"""Filterbanks of a corpus, piece by piece: the work of one job of stage 1.

On request the decoded waveforms are kept, too, as 16-bit arks (``sv.kaldi.waves``). If a run was
interrupted, the next run makes the pieces that have no stamp, or a stamp of other input.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.audio.problems import (
    CLIPPED,
    Bad,
    clipped_share,
    examine,
    load,
    read_bad,
    write_bad,
)
from sv.data.pieces import Piece, excluded
from sv.data.replaced import write_table
from sv.data.spans import Span, read_spans
from sv.errors import InputError
from sv.features.filterbank import fbank
from sv.kaldi.arks import ArkWriter
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


@dataclass
class Heard:
    """What the utterances of a piece came to.

    ``frames`` and ``samples`` are those of the good ones, ``bad`` are the others. ``clipped``
    counts the good ones that are clipped.
    """

    frames: dict[str, int] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)
    clipped: int = 0

    def add(self, utterance: str, features: np.ndarray, waveform: np.ndarray) -> None:
        """Count a good utterance."""
        self.frames[utterance] = len(features)
        self.samples[utterance] = len(waveform)
        self.clipped += clipped_share(waveform) > CLIPPED

    def describe(self, name: str, sample_rate: int, seconds: float, left_out: int) -> str:
        """Return a summary of piece ``name``, which took ``seconds``."""
        audio = sum(self.samples.values()) / sample_rate
        remark = f"; {self.clipped} are clipped, and kept" if self.clipped else ""
        remark += f"; {left_out} are excluded" if left_out else ""
        return (
            f"piece {name}: {len(self.frames)} utterances, {audio / 3600:.2f} h of audio at "
            f"{audio / max(seconds, 1e-3):.0f} times real time, "
            f"{len(self.bad)} bad ones left out{remark}"
        )


def extract_piece(
    wav_scp: Path,
    folder: Path,
    name: str,
    settings: Settings,
    force: bool = False,
    exclude: Mapping[str, str] | None = None,
    segments: Path | None = None,
) -> str:
    """Write the features of the utterances in ``wav_scp`` as piece ``name``; return a summary.

    Each file is decoded once; bad utterances are listed with their reasons and left out, and so are
    those that ``exclude`` (id or path -> reason) names, unheard. If ``segments`` is given, its
    lines are the utterances, and only these spans are read (see ``sv.data.spans.read_spans``).

    Raises:
        InputError: more than half of the first 50 utterances are bad; a useless ``wav_scp``.
    """
    piece = Piece.of(folder, name)
    utterances = read_spans(wav_scp, segments)
    left_out = excluded({key: span.path for key, span in utterances.items()}, exclude or {})
    # Before anything is decoded, so that a file that changes meanwhile is not overlooked.
    wanted = _made_from(utterances, settings, left_out)
    complete = not force and piece.made_from() == wanted
    if complete and not _mended(piece, utterances, settings, left_out):
        return f"piece {name} is complete for the same audio and settings, skipped"
    piece.begin()
    started, heard = time.monotonic(), Heard()
    good = _listen(wav_scp, utterances, {row.id for row in left_out}, settings, heard.bad)
    _write_arks(piece, good, settings, heard)
    write_table(piece.num_frames, heard.frames.items())
    write_bad(piece.bad, heard.bad + left_out)
    if settings.wave:
        write_table(piece.num_samples, heard.samples.items())
    piece.complete(wanted, settings.preset, settings.wave)
    seconds = time.monotonic() - started
    return heard.describe(name, settings.sample_rate, seconds, len(left_out))


def _listen(
    wav_scp: Path,
    utterances: Mapping[str, Span],
    unheard: set[str],
    settings: Settings,
    bad: list[Bad],
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the good utterances and their waveforms; append the others to ``bad``.

    Utterances of ``unheard`` are neither.
    """
    bar = progress(utterances.items(), total=len(utterances), desc="features", unit="utt")
    for seen, (utterance, span) in enumerate(bar, 1):
        if utterance in unheard:
            continue
        waveform, problem = load(*_audio_of(span, settings))
        if problem:
            bad.append(Bad(utterance, span.path, problem))
        if seen == FIRST:
            _give_up_early(bad, wav_scp)
        if not problem:
            yield utterance, waveform


def _audio_of(span: Span, settings: Settings) -> tuple:
    """Return the arguments of ``load`` for a span."""
    channel = settings.channel if span.channel is None else span.channel
    return span.path, settings.sample_rate, channel, span.seconds


def _write_arks(
    piece: Piece, good: Iterable[tuple[str, np.ndarray]], settings: Settings, heard: Heard
) -> None:
    """Write the features of the ``good`` utterances, and their waveforms if they are wanted."""
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(ArkWriter(piece.ark, piece.scp, settings.compression))
        if settings.wave:
            waves = stack.enter_context(ArkWriter(piece.wave_ark, piece.wave_scp))
        for utterance, waveform in good:
            features = fbank(waveform, settings.sample_rate, settings.mel_bins, settings.preset)
            writer.write(utterance, features)
            if settings.wave:
                waves.write_waveform(utterance, waveform, settings.sample_rate)
            heard.add(utterance, features, waveform)


def _made_from(utterances: Mapping[str, Span], settings: Settings, left_out: list[Bad]) -> str:
    """Return what the stamp of a piece says of its audio, its settings and this code."""
    wanted = f"{_fingerprint(utterances.items())} {settings} v{VERSION}"
    if left_out:
        wanted += f" without {_fingerprint((row.id, Span(row.path)) for row in left_out)}"
    return wanted


def _fingerprint(utterances: Iterable[tuple[str, Span]]) -> str:
    """Return a text that changes if the list, or the size or time of any file in it, changes."""
    digest = hashlib.sha256()
    for utterance, span in utterances:
        try:
            stat = Path(span.path).stat()
            state = f"{stat.st_size} {stat.st_mtime_ns}"
        except OSError:
            state = "absent"
        digest.update(f"{utterance} {span}\n{state}\n".encode())
    return digest.hexdigest()[:12]


def _mended(
    piece: Piece, utterances: Mapping[str, Span], settings: Settings, left_out: list[Bad]
) -> bool:
    """Tell whether an utterance that was bad is good now, because the user has repaired it."""
    chosen = {row.id for row in left_out}
    bad = (row for row in read_bad(piece.bad) if row.id not in chosen)
    spans = (utterances[row.id] for row in bad if row.id in utterances)
    return any(examine(*_audio_of(span, settings)) is None for span in spans)


def _give_up_early(bad: list[Bad], wav_scp: Path) -> None:
    if len(bad) > FIRST / 2:
        raise InputError(
            f"{len(bad)} of the first {FIRST} utterances of {wav_scp} are bad, the first: "
            f"{bad[0].reason}. Is the corpus where wav.scp says?"
        )

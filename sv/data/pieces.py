"""The files of one piece of a corpus: part of ``wav.scp``, which one job of stage 1 extracts.

The files of a piece appear only when it is complete, the stamp last. The stamp says what the piece
was made from.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sv.audio.problems import Bad
from sv.files import atomic_write


class Piece(NamedTuple):
    """The files of one piece; the three of waveforms exist only where they were asked for."""

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

    def begin(self) -> None:
        """Make the piece incomplete, and remove what a job that was killed left half written."""
        self.stamp.unlink(missing_ok=True)
        for ark in (self.ark, self.wave_ark):
            for left in ark.parent.glob(f".{ark.name}.*.tmp"):  # gigabytes, perhaps
                left.unlink(missing_ok=True)

    def complete(self, made_from: str, preset: str, wave: bool) -> None:
        """Write the stamp, once all other files are there; ``wave``: those of waveforms too."""
        stamp = {"made_from": made_from, "ark_bytes": self.ark.stat().st_size, "preset": preset}
        if wave:
            stamp["wave_bytes"] = self.wave_ark.stat().st_size
        with atomic_write(self.stamp) as handle:
            json.dump(stamp, handle)

    def made_from(self) -> str | None:
        """Return what the complete piece was made from; None if it is not complete."""
        return self._stamp().get("made_from")

    def preset(self) -> str:
        """Return the filterbank of the complete piece."""
        return self._stamp().get("preset", "kaldi")

    def _stamp(self) -> dict:
        """Return what the stamp says; nothing if the piece is not complete."""
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


def excluded(utterances: Mapping[str, str], exclude: Mapping[str, str]) -> list[Bad]:
    """Return those of ``utterances`` (id -> path) that ``exclude`` names by their id or path."""
    return [
        Bad(utterance, path, exclude.get(utterance) or exclude[path])
        for utterance, path in utterances.items()
        if utterance in exclude or path in exclude
    ]

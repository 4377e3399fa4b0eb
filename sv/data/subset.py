"""A part of a data directory: the same files with the lines of some utterances."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from sv.data.replaced import replaced_directory
from sv.errors import InputError
from sv.text import read_lines

TABLES = ("wav.scp", "utt2spk", "utt2dur", "feats.scp", "utt2num_frames")
TABLES += ("wav_ark.scp", "utt2num_samples")
"""Tables that stages 3 to 8 read; the first column is the utterance."""
NOTES = ("feats_preset",)
"""Files that are valid for every part."""


def write_part(
    source: str | os.PathLike, ids: Iterable[str], out: str | os.PathLike, trials: str = ""
) -> None:
    """Write ``out`` with the lines of ``source`` whose first column is in ``ids``, atomically.

    ``trials``: text of its trial list, if it has one. lhotse manifests are not written.

    Raises ``InputError`` if ``source`` lacks one of the utterances.
    """
    source, wanted = Path(source), set(ids)
    with replaced_directory(out, "wav.scp") as new:
        for name in TABLES:
            if (source / name).exists():
                lines = _lines_of(source / name, wanted)
                (new / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        own = (line.split(maxsplit=1) for line in _lines_of(source / "utt2spk", wanted))
        groups: dict[str, list[str]] = {}
        for utterance, speaker in own:
            groups.setdefault(speaker, []).append(utterance)
        lines = (f"{name} {' '.join(names)}\n" for name, names in sorted(groups.items()))
        (new / "spk2utt").write_text("".join(lines), encoding="utf-8")
        for name in NOTES:
            if (source / name).exists():
                shutil.copy(source / name, new / name)
        if trials:
            (new / "trials").write_text(trials, encoding="utf-8")


def _lines_of(path: Path, wanted: set[str]) -> list[str]:
    """Return the lines of a table that are of the wanted utterances."""
    lines = [line for line in read_lines(path) if line.split(maxsplit=1)[0] in wanted]
    if len(lines) != len(wanted):
        raise InputError(
            f"{path} has {len(lines):,} of the {len(wanted):,} utterances that are wanted: run the "
            "stage that makes it again"
        )
    return lines

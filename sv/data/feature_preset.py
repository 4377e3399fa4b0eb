"""The filterbank of the features in a data directory: a word in its file ``feats_preset``.

A directory without that file is older than this choice, and has Kaldi's filterbanks.
"""

import argparse
import os
from pathlib import Path

from sv.errors import InputError
from sv.files import atomic_write
from sv.text import read_text

FILE = "feats_preset"
PRESETS = ("kaldi", "sslsv", "sslsv_hann")
"""The names in ``sv.features.presets``, repeated here because that module imports torch."""


def add_preset(p: argparse.ArgumentParser) -> None:
    """Add ``--preset``."""
    p.add_argument(
        "--preset",
        choices=PRESETS,
        default="kaldi",
        help="the filterbank. kaldi: of this toolkit; sslsv: of the authors of SimCLR-AM and SSPS, "
        "for a run as they published it; sslsv_hann: theirs of January 2024. Stages 1 and 2 need "
        "the same --preset, and the training the same data.preset",
    )


def read_preset(folder: str | os.PathLike) -> str:
    """Return the preset of the features in ``folder``.

    Raises:
        InputError: the file names an unknown preset.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return "kaldi"
    preset = read_text(path).strip()
    if preset not in PRESETS:
        raise InputError(
            f"{path} names the preset {preset[:40]!r}, which is none of {', '.join(PRESETS)}: run "
            "stage 1 again"
        )
    return preset


def write_preset(folder: str | os.PathLike, preset: str) -> None:
    """Write the preset of the features in ``folder`` into its file ``feats_preset``."""
    with atomic_write(Path(folder) / FILE) as handle:
        handle.write(f"{preset}\n")


def refuse_two_presets(one: str | os.PathLike, other: str | os.PathLike) -> None:
    """Raise ``InputError`` if the features of two directories have different presets."""
    presets = read_preset(one), read_preset(other)
    if presets[0] != presets[1]:
        raise InputError(
            f"the features of {one} are of the preset {presets[0]} and those of {other} of "
            f"{presets[1]}: run stage 1 again for one of them, with --preset"
        )

"""File name endings of audio that can be read, and of audio that must be converted first."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
_SOX = (".sph", ".nist", ".wv1", ".wv2", ".aif", ".aiff", ".aifc", ".au", ".snd", ".w64", ".voc")
_SOX += (".sd2", ".vox", ".gsm", ".8svx", ".sf", ".ircam", ".paf", ".pvf", ".ul", ".al")
_CODED = (".m4a", ".m4b", ".m4r", ".aac", ".wma", ".asf", ".amr", ".awb", ".3ga", ".ac3", ".eac3")
_CODED += (".dts", ".ra", ".ram", ".oga", ".spx", ".mp2", ".mpga", ".mka", ".weba", ".ape", ".wv")
_CODED += (".tta", ".mpc", ".dsf", ".dff", ".caf", ".shn", ".alac", ".g722", ".g729", ".silk")
_CODED += (".slk", ".qcp", ".dss", ".ds2", ".dvf", ".msv", ".pcm", ".raw", ".rf64", ".bwf")
_CODED += (".mp1", ".mpa", ".m2a", ".m4p", ".adts", ".loas", ".ulaw", ".alaw", ".oma", ".aax")
_FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".flv", ".3gp")
_FILMS += (".3g2", ".ogv", ".wmv", ".rm", ".mts", ".m2ts", ".vob")
FOREIGN_SUFFIXES = _SOX + _CODED + _FILMS
"""Endings of audio that must be converted. Files with other endings (txt, jpg) are not audio."""
SHOWN = 6


def ending(path: str | os.PathLike) -> str:
    """Return the ending of a file in lower case, without its dot."""
    return PurePath(path).suffix.lower().removeprefix(".")


def is_foreign(path: str | os.PathLike) -> bool:
    """Tell whether a file has to be converted before it can be read."""
    return os.fspath(path).lower().endswith(FOREIGN_SUFFIXES)


def conversion(path: str | os.PathLike) -> str:
    """Return the command that converts a file of this ending."""
    name = ending(path)
    if f".{name}" in _SOX:
        return f"sox in.{name} -r 16000 -c 1 out.flac"
    if name in ("pcm", "raw"):
        return f"sox -t raw -r 16000 -e signed -b 16 -c 1 in.{name} out.flac (if it is 16-bit)"
    return f"ffmpeg -i in.{name} -ar 16000 -ac 1 out.flac"


def by_ending(paths: Iterable[str]) -> str:
    """Return how many files have each ending, such as ``6 m4a, 1 sph``."""
    counts = Counter(map(ending, paths)).most_common()
    more = f", {len(counts) - SHOWN} other endings" if len(counts) > SHOWN else ""
    return ", ".join(f"{count:,} {name}" for name, count in counts[:SHOWN]) + more

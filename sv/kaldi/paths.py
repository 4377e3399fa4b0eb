"""The start of relative paths in an scp: the current folder, as in Kaldi, or a folder near the scp.

A recipe writes ``exp/simclr/embeddings/test.ark`` into an scp. A program that is called from
another folder finds no such file below the current folder. It then tries the folders above the
scp, from the nearest to the farthest; the recipe's own folder is among them.
"""

import os
import re
from collections.abc import Sequence

from sv.errors import InputError

_OFFSET = re.compile(r":[0-9]+$")
_TRIED = 8  # paths that are looked for, because a missing file must not hide where the others are


def base_folder(scp: str | os.PathLike, paths: Sequence[str]) -> str:
    """Return the folder at which the relative ones of ``paths`` start: "" is the current folder.

    Paths may have a byte offset (``feats.ark:17``). A path that exists nowhere is no error here;
    the program that opens it will report it. Two different files of one name are an error, because
    either choice could be wrong.

    Raises:
        InputError: a path names two different files: one near the scp, and one below the current
            folder, which does not hold the scp.
    """
    relative = [path for path in paths if path and not path.startswith("/")]
    here, above = os.getcwd(), _folders_above(scp)
    for path in relative[:: max(1, len(relative) // _TRIED)]:
        path = _OFFSET.sub("", path)
        near = next((folder for folder in above if _exists(folder, path)), None)
        if not os.path.exists(path):
            if near is not None:
                return near
        elif here in above or near is None or os.path.samefile(path, os.path.join(near, path)):
            return ""
        else:
            raise InputError(
                f"{scp}: the relative path {path!r} names one file from the current folder {here} "
                f"and another one from {near}; call the program from {near}, or write absolute "
                "paths into the scp"
            )
    return ""


def from_base(base: str, path: str) -> str:
    """Return ``path`` (with or without a byte offset), below ``base`` if it is relative."""
    return os.path.join(base, path)


def _folders_above(scp: str | os.PathLike) -> list[str]:
    folder, above = os.path.dirname(os.path.abspath(scp)), []
    while folder not in above:
        above.append(folder)
        folder = os.path.dirname(folder)
    return above


def _exists(folder: str, path: str) -> bool:
    return os.path.exists(os.path.join(folder, path))

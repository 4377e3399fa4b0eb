"""Rules for utterance ids in an ark, an scp and every other two-column table of Kaldi."""

import unicodedata
from collections.abc import Sequence

MAX_ID = 512
"""Bytes. An index stores all ids at the width of the longest, so one id of a megabyte would cost
terabytes in a set of a million. The longest id that stage 0 makes has some 200 bytes."""
_UNREADABLE = {"Cc": "a control character", "Cs": "a byte that is not UTF-8"}
_UNSEEN = ("Zs", "Zl", "Zp", "Cf", "Cc")
_BYTE_ORDER_MARK = "\ufeff"


def first_invisible(words: Sequence[str]) -> tuple[int, str] | None:
    """Return the place of the first word with an invisible character, and the character, or None.

    Such characters are no-break spaces, zero-width characters and control characters. Words that
    differ only in them look alike.
    """
    joined = "".join(words)
    if joined.isascii() and joined.isprintable():
        return None
    for place, word in enumerate(words):
        if word.isascii() and word.isprintable():
            continue
        odd = next((c for c in word if unicodedata.category(c) in _UNSEEN), None)
        if odd is not None:
            return place, odd
    return None


def id_problem(key: str) -> str | None:
    """Return what is wrong with an id, for a message after its name; None if the id is good."""
    if key.isascii() and key.isprintable() and " " not in key and 0 < len(key) <= MAX_ID:
        return None  # nearly all
    if not key:
        return "is empty"
    if len(key.split()) != 1 or key != key.strip():
        return "has blanks"
    for character in key:
        kind = unicodedata.category(character)
        if kind in _UNREADABLE:
            return f"has {_UNREADABLE[kind]}"
        if character == _BYTE_ORDER_MARK:
            return "has a byte order mark"
    size = len(key.encode())
    if size > MAX_ID:
        return f"has {size:,} bytes, more than {MAX_ID}"
    return None

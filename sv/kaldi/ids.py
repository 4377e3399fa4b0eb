"""Which ids of utterances are allowed in an ark, an scp and every other table of Kaldi's form."""

import unicodedata

MAX_ID = 512
"""Bytes: an index keeps ids at the width of the longest, so one of a megabyte would cost terabytes
in a set of a million. The longest id that stage 0 makes has some 200."""
_UNREADABLE = {"Cc": "a control character", "Cs": "a byte that is not UTF-8"}
_BYTE_ORDER_MARK = "\ufeff"


def id_problem(key: str) -> str | None:
    """Return what is wrong with an id, to stand after its name in a message; None if it is good."""
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

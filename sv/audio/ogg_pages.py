"""The streams of an Ogg file: ``cat`` joins files validly, but libsndfile reads only the first."""

from collections.abc import Iterator

from sv.errors import AudioError, Truncated

HEAD = 27
FIRST = 2
"""The flag of a stream's first page."""
JUNK, JUNK_BYTES = 0.01, 8192
"""Bytes that may be no pages, such as tags: a share of the file, or this many if that is more."""
_AGAIN = "copy or convert it again, or remove it from the list (wav.scp)"

Spans = list[tuple[int, int]]


def find_streams(data, start: int, stop: int) -> list[Spans]:
    """Return for each stream the spans of its pages in the file.

    ``data``: a map of the file, or bytes. Interleaved streams, as in a film, count as one.

    Raises:
        Truncated: a page is incomplete.
        AudioError: too many bytes are no pages.
    """
    streams: list[Spans] = []
    beginning, pages = False, 0
    for place, end, flags in _pages(data, start, stop):
        pages += end - place
        if not streams or (flags & FIRST and not beginning):
            streams.append([])
        beginning = bool(flags & FIRST)
        if streams[-1] and streams[-1][-1][1] == place:
            streams[-1][-1] = (streams[-1][-1][0], end)
        else:
            streams[-1].append((place, end))
    if stop - start - pages > max(JUNK * (stop - start), JUNK_BYTES):
        raise AudioError(
            f"is damaged: {stop - start - pages:,} of its bytes are no Ogg pages (a copy with "
            f"holes?): {_AGAIN}"
        )
    return streams


def _pages(data, place: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first byte, byte after the last, flags) of each page; skip bytes between pages."""
    while 0 <= place < stop:
        head = bytes(data[place : place + HEAD])
        if not head.startswith(b"OggS"):
            place = data.find(b"OggS", place + 1, stop)
            continue
        body = place + HEAD + head[-1]
        end = body + sum(bytes(data[place + HEAD : body]))
        # If another page begins inside this one, a file that was cut off was joined to another.
        lost = data[end : end + 4] != b"OggS" and data.find(b"OggS\0", place + 4, end) >= 0
        if len(head) < HEAD or end > stop or lost:
            raise Truncated(f"is cut off: one of its pages is not whole: {_AGAIN}")
        yield place, end, head[5]
        place = end

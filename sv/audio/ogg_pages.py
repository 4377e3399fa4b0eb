"""The streams of an Ogg file; files joined by ``cat`` are valid, but libsndfile reads one."""

from collections.abc import Iterator

from sv.errors import AudioError, Truncated

HEAD = 27
FIRST = 2
"""The flag of a stream's first page."""
JUNK, JUNK_BYTES = 0.01, 8192
"""Share of bytes that may be no pages (tags), and how many may be in a short file."""
_AGAIN = "copy or convert it again, or remove it from the list (wav.scp)"

Spans = list[tuple[int, int]]


def find_streams(data, start: int, stop: int) -> list[Spans]:
    """Return the bytes of the pages of each of the streams that follow each other.

    ``data``: a map of the file, or bytes. Streams side by side, as of a film, count as one.

    Raises:
        Truncated: a page is not whole.
        AudioError: much of the file is no pages.
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
    """Yield (first byte, byte behind it, flags) of each page; skip what is between them."""
    while 0 <= place < stop:
        head = bytes(data[place : place + HEAD])
        if not head.startswith(b"OggS"):
            place = data.find(b"OggS", place + 1, stop)
            continue
        body = place + HEAD + head[-1]
        end = body + sum(bytes(data[place + HEAD : body]))
        # Where another page begins inside of this one, files were joined of which one was cut off.
        lost = data[end : end + 4] != b"OggS" and data.find(b"OggS\0", place + 4, end) >= 0
        if len(head) < HEAD or end > stop or lost:
            raise Truncated(f"is cut off: one of its pages is not whole: {_AGAIN}")
        yield place, end, head[5]
        place = end

"""The report as one HTML page without scripts. It loads nothing: no file, no font, no address."""

import html
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from sv.report.style import STYLE
from sv.report.summary import Check

# With this policy, the browser refuses to load anything from elsewhere.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
FIGURE = re.compile(r"-?\d[\d.,]*(?: %| ± \d[\d.]*)?")
WITH_INTERVAL = re.compile(r"(-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]")


@dataclass
class Picture:
    """A picture: its ``svg`` element, its caption, and the files that also contain it."""

    heading: str
    svg: str
    caption: str
    files: Sequence[str] = ()


@dataclass
class Page:
    """The contents of the page, from top to bottom. Texts are plain, not HTML.

    ``tiles``: (name, figure, interval). ``tables``: (heading, rows with the header first); the
    first system is the one under test. ``bold``: heading -> (row, column) of the cells of its table
    that are bold, the best figures. ``card`` and ``evaluation``: rows of facts.
    ``configurations``: name -> text of the settings.
    """

    title: str
    over: str
    summary: Sequence[str]
    tiles: Sequence[tuple[str, str, str]] = ()
    checks: Sequence[Check] = ()
    tables: Sequence[tuple[str, Sequence[Sequence[str]]]] = ()
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    card: Sequence[Sequence[str]] = ()
    evaluation: Sequence[Sequence[str]] = ()
    configurations: Mapping[str, str] = field(default_factory=dict)
    bold: Mapping[str, set[tuple[int, int]]] = field(default_factory=dict)


def page(content: Page) -> str:
    """Return the page as HTML."""
    c = content
    parts = [f'<p class="over">{_(c.over)}</p><h1>{_(c.title)}</h1>', _summary(c.summary)]
    parts.append(_tiles(c.tiles))
    parts.append(_alarms(c.checks))
    for heading, rows in c.tables:
        parts.append(f"<h2>{_(heading)}</h2>{table(rows, 'wide', c.bold.get(heading, set()))}")
    parts += [f'<p class="note">{_(note)}</p>' for note in c.notes]
    parts += [_picture(picture) for picture in c.pictures]
    parts.append(_card(c))
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_(c.title)}</title><style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _(text: str) -> str:
    return html.escape(text)


def _summary(sentences: Sequence[str]) -> str:
    return "".join(
        f'<p class="lead">{_(text)}</p>' if number == 0 else f"<p>{_(text)}</p>"
        for number, text in enumerate(sentences)
    )


def _tiles(tiles: Sequence[tuple[str, str, str]]) -> str:
    cells = "".join(
        f'<div class="tile"><span>{_(what)}</span><b>{_(figure)}</b><span>{_(span)}</span></div>'
        for what, figure, span in tiles
    )
    return f'<div class="tiles">{cells}</div>' if cells else ""


def _alarms(checks: Sequence[Check]) -> str:
    texts = "".join(
        f"<p><strong>{_(check.what)}.</strong> {_(check.text)}</p>"
        for check in checks
        if check.state == "warning"
    )
    return f'<div class="alarm" role="note">{texts}</div>' if texts else ""


def _card(c: Page) -> str:
    parts = ["<h2>How it was made</h2>"]
    if c.card:
        parts.append(details("Training and scoring", table(c.card, "lines"), open_=True))
    if c.evaluation:
        parts.append(
            details("Evaluation", table([[], *c.evaluation], "lines"), open_=True)  # no header
        )
    if c.checks:
        items = "".join(
            f'<li class="{check.state}"><strong>{_(check.what)}.</strong> {_(check.text)}</li>'
            for check in c.checks
        )
        parts.append(details("What was checked", f'<ul class="checks">{items}</ul>', open_=True))
    for name, text in c.configurations.items():
        parts.append(details(f"All settings of {name}", f"<pre>{_(text.strip())}</pre>"))
    return "\n".join(parts) if len(parts) > 1 else ""


def details(heading: str, inside: str, open_: bool = False) -> str:
    """Return a section that a click opens and closes; ``inside`` is HTML, ``heading`` is text."""
    return f"<details{' open' if open_ else ''}><summary>{_(heading)}</summary>{inside}</details>"


def _picture(picture: Picture) -> str:
    files = f" Also as {', '.join(picture.files)}." if picture.files else ""
    return (
        f"<h2>{_(picture.heading)}</h2><figure>{picture.svg}"
        f"<figcaption>{_(picture.caption + files)}</figcaption></figure>"
    )


def table(
    rows: Sequence[Sequence[str]], style: str = "", bold: Set[tuple[int, int]] = frozenset()
) -> str:
    """Return a table as HTML; the first row is the header, and figures are aligned right.

    ``style``: "lines" is for texts. ``bold``: (row, column) of the cells that are bold.
    """
    body = rows[1:]
    width = max(map(len, rows))
    numeric = [
        column > 0 and style != "lines" and all(_is_figure(row[column]) for row in body)
        for column in range(width)
    ]
    head = "".join(f"<th{_kind(numeric[i])}>{_(cell)}</th>" for i, cell in enumerate(rows[0]))
    lines = []
    for number, row in enumerate(body, start=1):
        cells = "".join(
            f"<td{_kind(numeric[i], (number, i) in bold)}>{_cell(cell)}</td>"
            for i, cell in enumerate(row)
        )
        lines.append(f"<tr>{cells}</tr>")
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    return (
        f'<div class="scroll"><table class="{style}">{head}'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _kind(number: bool, best: bool = False) -> str:
    names = " ".join(["number"] * number + ["best"] * best)
    return f' class="{names}"' if names else ""


def _is_figure(text: str) -> bool:
    return text in ("-", "") or bool(FIGURE.fullmatch(text) or WITH_INTERVAL.fullmatch(text))


def _cell(text: str) -> str:
    """Return the HTML of a cell; an interval has a style of its own."""
    found = WITH_INTERVAL.fullmatch(text)
    if not found:
        return "–" if text == "-" else _(text).replace(" - ", " − ")
    figure, low, high = (part.replace("-", "−") for part in found.groups())
    return f'{figure}<span class="span">{low} to {high}</span>'

"""The report as one HTML page without scripts. It loads nothing: no file, no font, no address."""

import html
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from sv.data.glossary import GLOSSARY, term_of
from sv.report.style import STYLE
from sv.report.summary import Check

# With this policy, the browser refuses to load anything from elsewhere.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
FIGURE = re.compile(r"-?\d[\d.,]*(?: %| ± \d[\d.]*)?")
WITH_INTERVAL = re.compile(r"(-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]")


@dataclass
class Picture:
    """A picture: its ``svg`` element or elements, its caption, and the files that also contain it.

    Several elements stand side by side if there is room, and below each other on a telephone.
    """

    heading: str
    svg: str | Sequence[str]
    caption: str
    files: Sequence[str] = ()


@dataclass
class Page:
    """The contents of the page, from top to bottom. Texts are plain, not HTML.

    ``tiles``: (name, figure, interval). ``tables``: (heading, rows with the header first); the
    first system is the one under test. ``bold``: heading -> (row, column) of the cells of its table
    that are bold, the best figures. ``terms``: names of `sv.data.glossary` that the page explains;
    those of columns are added. ``card`` and ``evaluation``: rows of facts.
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
    terms: Sequence[str] = ()


def page(content: Page) -> str:
    """Return the page as HTML."""
    c = content
    parts = [f'<p class="over">{_(c.over)}</p><h1>{_(c.title)}</h1>', _summary(c.summary)]
    parts.append(_tiles(c.tiles))
    parts.append(_alarms(c.checks))
    for heading, rows in c.tables:
        bold = c.bold.get(heading, set())
        parts.append(f"<h2>{_(heading)}</h2>{table(rows, 'wide', bold, linked=True)}")
    parts += [f'<p class="note">{_(note)}</p>' for note in c.notes]
    parts += [_picture(picture) for picture in c.pictures]
    parts += [_glossary(c), _card(c)]
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
    drawn = picture.svg
    if not isinstance(drawn, str):
        drawn = f'<div class="panels">{"".join(f"<div>{svg}</div>" for svg in drawn)}</div>'
    return (
        f"<h2>{_(picture.heading)}</h2><figure>{drawn}"
        f"<figcaption>{_(picture.caption + files)}</figcaption></figure>"
    )


def table(
    rows: Sequence[Sequence[str]],
    style: str = "",
    bold: Set[tuple[int, int]] = frozenset(),
    linked: bool = False,
) -> str:
    """Return a table as HTML; the first row is the header, and figures are aligned right.

    ``style``: "lines" is for texts. ``bold``: (row, column) of the cells that are bold. ``linked``:
    headings that the glossary explains are links to it, so the page must have it.
    """
    body = rows[1:]
    width = max(map(len, rows))
    numeric = [
        column > 0 and style != "lines" and all(_is_figure(row[column]) for row in body)
        for column in range(width)
    ]
    name = _linked if linked else _
    head = "".join(f"<th{_kind(numeric[i])}>{name(cell)}</th>" for i, cell in enumerate(rows[0]))
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


def _linked(heading: str) -> str:
    """Return a heading as HTML, a link to its term if the glossary has one."""
    term = term_of(heading)
    return _(heading) if term is None else f'<a href="#{_anchor(term)}">{_(heading)}</a>'


def _anchor(term: str) -> str:
    return "term-" + re.sub(r"\W+", "-", term).strip("-")


def _glossary(c: Page) -> str:
    """Return the terms of the page, each with its sentence; "" if there are none."""
    headings = [cell for _name, rows in c.tables for cell in rows[0]]
    terms = [term for cell in headings if (term := term_of(cell)) is not None]
    terms += [term for term in c.terms if term in GLOSSARY]
    items = "".join(
        f'<dt id="{_anchor(term)}">{_(term)}</dt><dd>{_(GLOSSARY[term])}</dd>'
        for term in dict.fromkeys(terms)
    )
    return "" if not items else details("What the figures mean", f"<dl>{items}</dl>", open_=True)


def _is_figure(text: str) -> bool:
    return text in ("-", "") or bool(FIGURE.fullmatch(text) or WITH_INTERVAL.fullmatch(text))


def _cell(text: str) -> str:
    """Return the HTML of a cell; an interval has a style of its own."""
    found = WITH_INTERVAL.fullmatch(text)
    if not found:
        return "–" if text == "-" else _(text).replace(" - ", " − ")
    figure, low, high = (part.replace("-", "−") for part in found.groups())
    return f'{figure}<span class="span">{low} to {high}</span>'

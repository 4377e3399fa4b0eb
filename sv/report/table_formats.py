"""A table with bold cells as text, Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Callable, Sequence

from sv.report.results_table import markdown_line
from sv.report.tables import text_table

Cells = Sequence[Sequence[str]]
Bold = set[tuple[int, int]]


def as_text(cells: Cells, bold: Bold) -> str:
    """Return aligned columns; a star marks the bold cells."""
    return text_table(_marked(cells, bold, lambda text: f"{text} *")) + "\n"


def as_markdown(cells: Cells, bold: Bold) -> str:
    """Return a table of Markdown."""
    header, *rows = _marked(cells, bold, lambda text: f"**{text}**")
    lines = [markdown_line(header), "|" + "---|" * len(header), *map(markdown_line, rows)]
    return "\n".join(lines) + "\n"


SPECIAL = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}"}
SPECIAL |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
SPECIAL |= {"±": r"$\pm$", "–": "--"}


def as_latex(cells: Cells, bold: Bold) -> str:
    """Return a ``tabular`` of LaTeX, for the package booktabs."""
    escaped = [["".join(SPECIAL.get(c, c) for c in cell) for cell in row] for row in cells]
    header, *rows = _marked(escaped, bold, lambda text: rf"\textbf{{{text}}}")
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\toprule"]
    lines += [" & ".join(header) + r" \\", r"\midrule"]
    lines += [" & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def as_csv(cells: Cells, bold: Bold) -> str:
    """Return comma-separated values; bold is lost."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(cells)
    return out.getvalue()


FORMATS: dict[str, Callable[[Cells, Bold], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
}
ENDINGS = {".txt": "text", ".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html"}
"""Ending of a file → the format that it gets."""


def _marked(cells: Cells, bold: Bold, mark: Callable[[str], str]) -> list[list[str]]:
    return [
        [mark(cell) if (line, column) in bold else cell for column, cell in enumerate(row)]
        for line, row in enumerate(cells)
    ]

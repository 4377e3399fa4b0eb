"""A figure as SVG inside a page: text that can be selected, colours that follow the page."""

import io
import re

import matplotlib
from matplotlib.figure import Figure

from sv.plots import PALETTE


def inline_svg(figure: Figure, name: str) -> str:
    """Return the ``<svg>`` element of ``figure``, described as ``name`` (already escaped).

    Colours of ``plots.PALETTE`` become CSS variables (``var(--ink)``), so one picture serves a
    light and a dark page. Text stays text. Nothing refers to anything outside: the XML namespaces
    that an HTML page does not need are taken out.
    """
    buffer = io.StringIO()
    # Ids of markers and clips come from a hash; the salt keeps those of two pictures apart.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # the same in every picture, and unused
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # Inline fonts would win over those of the page; sizes and anchors stay.
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    for variable, colour in PALETTE.items():
        text = text.replace(colour, f"var(--{variable})")
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text).group(1))
    head = f'<svg role="img" aria-label="{name}" style="max-width: {1.4 * width:.0f}px"'
    return text.replace("<svg", head, 1).strip()

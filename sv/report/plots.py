"""Pictures of scores and of training: DET curves, histograms, curves. They need no display.

All colours come from ``PALETTE``. A page replaces them by its own colours (``inline_svg``).
"""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.special import ndtri  # the quantiles of scipy.stats.norm, which takes a second to import

from sv.files import atomic_write
from sv.report.tables import in_digits
from sv.scoring.metrics import (
    Classes,
    DetCurve,
    OperatingPoint,
    det_points,
    eer_point,
    min_dcf_point,
)

TICKS = np.array([0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90, 98]) / 100
INK, MUTED, GRID, PAPER = "#26323d", "#6b7782", "#e3e7ea", "#fefefe"
COLOURS = ("#1f77a4", "#d1495b", "#4f9d69", "#8d6a9f", "#d98e04", "#5c6b73")
PALETTE = {"ink": INK, "muted": MUTED, "grid": GRID, "paper": PAPER} | {
    f"series{number}": colour for number, colour in enumerate(COLOURS)
}
"""Name on a page -> colour in a picture file."""
STYLES = ("-", "--", ":")
MARKS = ("s", "^", "D", "v")
POINTS = 2000
DPI = 120

RC = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "legend.frameon": False,
    "axes.axisbelow": True,
}


def styled(function):
    """Decorate a function that draws a figure: it uses the settings in ``RC``."""
    return matplotlib.rc_context(RC)(function)


def save(figure: Figure, path: str | Path) -> None:
    """Write ``figure`` atomically, as PDF if ``path`` ends in ``.pdf``, otherwise as PNG."""
    form = "pdf" if str(path).endswith(".pdf") else "png"
    # Without versions and dates, equal runs write equal files.
    nothing = {"Creator": None, "Producer": None, "CreationDate": None}
    with atomic_write(path, "wb") as handle:
        figure.savefig(
            handle, format=form, dpi=DPI, metadata=nothing if form == "pdf" else {"Software": None}
        )


def series(number: int) -> dict[str, str]:
    """Return colour and line style of system ``number``, from 0; 18 systems all differ."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "ls": STYLES[number // len(COLOURS) % len(STYLES)],
    }


def thin(curve: DetCurve, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Return (P_fa, P_miss) of about ``points`` points, evenly spread along the drawn curve.

    A million trials would give a million points, most of them on top of each other. At the ends
    of the curve, where errors are rare, all points are kept.
    """
    if len(curve.thresholds) <= points:
        return curve.p_fa, curve.p_miss
    x, y = (ndtri(np.clip(rate, 1e-7, 1 - 1e-7)) for rate in (curve.p_fa, curve.p_miss))
    way = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    keep = np.unique(np.searchsorted(way, np.linspace(0.0, way[-1], points)))
    return curve.p_fa[keep], curve.p_miss[keep]


def _limits(points: list[OperatingPoint]) -> tuple[float, float]:
    """Return the smallest and largest rate on both axes: room for all marks and a margin."""
    rates = [rate for point in points for rate in (point.p_miss, point.p_fa) if 0.0 < rate < 1.0]
    return max(1e-6, min([1e-3, *(r / 2 for r in rates)])), min(0.98, 1.2 * max([0.4, *rates]))


@styled
def det_figure(systems: Mapping[str, Classes], p_targets: Sequence[float] = (0.01, 0.05)) -> Figure:
    """Draw a DET curve per system (name -> sorted classes) on normal-deviate axes.

    A circle marks the EER; for each prior, another mark shows the operating point of minDCF. Marks
    outside the axes, such as a rate of 0, are drawn at the edge.
    """
    marks = ("o", *MARKS[: len(p_targets)])
    points = {
        name: [eer_point(classes), *(min_dcf_point(classes, p) for p in p_targets)]
        for name, classes in systems.items()
    }
    low, high = _limits([point for each in points.values() for point in each])

    def warp(rates: np.ndarray | list[float]) -> np.ndarray:
        return ndtri(np.clip(rates, low, high))

    figure = Figure(figsize=(4.8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    limits = ndtri([low, high])
    axes.plot(limits, limits, color=MUTED, lw=0.8, ls=":", zorder=1)
    for number, (name, classes) in enumerate(systems.items()):
        look = series(number)
        p_fa, p_miss = thin(det_points(classes))
        label = f"{name}: EER {100 * points[name][0].value:.2f} %"
        # Rates beyond the axes are kept, so that a curve leaves the picture at its edge.
        x, y = (ndtri(np.clip(rate, low / 10, 1 - 1e-9)) for rate in (p_fa, p_miss))
        axes.plot(x, y, lw=2, label=label, zorder=3, **look)
        style = {"ms": 7, "mfc": PAPER, "mec": look["color"], "mew": 1.6, "zorder": 4}
        for point, mark in zip(points[name], marks, strict=False):
            axes.plot(warp([point.p_fa]), warp([point.p_miss]), mark, clip_on=False, **style)
    kinds = ["equal error rate", *(f"minDCF, p = {p:g}" for p in p_targets)]
    for kind, mark in zip(kinds, marks, strict=False):
        axes.plot([], [], mark, ms=7, mfc=PAPER, mec=MUTED, mew=1.6, label=kind)
    ticks = TICKS[(low <= TICKS) & (high >= TICKS)]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(ticks), [f"{100 * tick:g}" for tick in ticks])
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel("false alarms (% of non-target trials)")
    axes.set_ylabel("misses (% of target trials)")
    axes.grid()
    axes.legend(
        loc="upper right", frameon=True, facecolor=PAPER, edgecolor=GRID, framealpha=1, fontsize=9
    )
    return figure


@styled
def histogram_figure(systems: Mapping[str, Classes], bins: int = 80) -> Figure:
    """Draw the densities of target and non-target scores with the threshold of the EER.

    There is one panel per system (name -> sorted classes), each with its own scale of scores.
    """
    figure = Figure(figsize=(4.8, 2.9 * len(systems)), layout="constrained")
    for place, (name, classes) in enumerate(systems.items(), start=1):
        axes = figure.add_subplot(len(systems), 1, place)
        _histogram(axes, classes, bins)
        axes.set(xlabel=f"score of {name}", ylabel="density")
    return figure


def _histogram(axes: Axes, classes: Classes, bins: int) -> None:
    finite = np.concatenate([side[np.isfinite(side)] for side in classes])
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    edges = np.linspace(low, max(high, low + 1e-6), bins + 1)
    sides = (("non-target", classes.nontarget, COLOURS[1]), ("target", classes.target, COLOURS[0]))
    for label, side, colour in sides:
        counts, _ = np.histogram(side, edges)
        density = counts / len(side) / np.diff(edges)
        shown = side[np.isfinite(side)]
        mean = f"mean {shown.mean():.3f}" if len(shown) else "no finite score"
        label = f"{label}: {len(side):,} trials, {mean}"
        axes.stairs(density, edges, fill=True, color=colour, alpha=0.3)
        axes.stairs(density, edges, color=colour, lw=1.5, label=label)
    point = eer_point(classes)
    label = f"EER {100 * point.value:.2f} % at {in_digits(point.threshold)}"
    axes.axvline(point.threshold, color=INK, lw=1.2, ls="--", label=label)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    axes.legend(**above, ncols=1, fontsize=8, handlelength=1.5)


@styled
def curves_figure(logs: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw each figure of the training logs over the epochs, one line per training.

    ``logs``: name -> rows, one mapping per epoch, with "epoch"; not empty.
    """
    names = logged(logs)
    columns = min(3, len(names))
    lines = -(-len(names) // max(1, columns))
    figure = Figure(figsize=(3.0 * columns, 1.9 * lines), layout="constrained")
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(lines, columns, place)
        _curve(axes, logs, name)
        if place > len(names) - columns:
            axes.set_xlabel("epoch", fontsize=9)
    if len(logs) > 1:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=min(4, len(logs)))
    return figure


@styled
def conditions_figure(conditions: Sequence[str], systems: Mapping[str, Sequence[float]]) -> Figure:
    """Draw a line per system (name -> EER in % under each of the ``conditions``)."""
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, rates) in enumerate(systems.items()):
        axes.plot(range(len(rates)), rates, marker="o", ms=4, label=name, **series(number))
    axes.set_xticks(range(len(conditions)), conditions)
    axes.set(ylabel="EER %", xlabel="condition of the test")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8)
    return figure


@styled
def seeds_figure(settings: Mapping[str, Sequence[float]], label: str = "EER %") -> Figure:
    """Draw a figure of each run as a dot, one line per setting, and the mean as a bar.

    ``settings``: name -> value of each run; the first setting is at the top.
    """
    figure = Figure(figsize=(5.2, 0.9 + 0.42 * len(settings)), layout="constrained")
    axes = figure.add_subplot()
    for place, values in enumerate(settings.values()):
        colour = COLOURS[0]
        axes.plot(values, [place] * len(values), "o", ms=6, color=colour, alpha=0.55, mew=0)
        mean = float(np.mean(values))
        axes.plot([mean, mean], [place - 0.3, place + 0.3], color=colour, lw=2.4)
    axes.set_yticks(range(len(settings)), list(settings))
    axes.set_ylim(len(settings) - 0.4, -0.6)
    axes.set_xlabel(f"{label} (dots: seeds; bar: mean)")
    axes.grid(axis="x")
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def logged(logs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    """Return the names of the figures in the last epoch of the logs, without "epoch"."""
    names: dict[str, None] = {}
    for rows in logs.values():
        numbers = (key for key, value in rows[-1].items() if isinstance(value, (int, float)))
        names |= dict.fromkeys(key for key in numbers if key != "epoch")
    return list(names)


def _curve(axes: Axes, logs: Mapping[str, Sequence[Mapping[str, float]]], name: str) -> None:
    """Draw one figure of the logs over the epochs."""
    for number, (training, rows) in enumerate(logs.items()):
        epochs = [row["epoch"] for row in rows]
        values = [row.get(name, np.nan) for row in rows]
        mark = "." if len(rows) < 30 else None
        axes.plot(epochs, values, lw=1.6, marker=mark, label=training, **series(number))
    axes.set_title(name.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.grid(axis="y")
    axes.tick_params(labelsize=8, length=2)
    axes.spines[["top", "right"]].set_visible(False)


@styled
def curve_figures(logs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Figure]:
    """Return the panels of `curves_figure` as figures of their own, for a page of any width."""
    figures = []
    for place, name in enumerate(logged(logs)):
        figure = Figure(figsize=(3.6, 2.2), layout="constrained")
        axes = figure.add_subplot()
        _curve(axes, logs, name)
        axes.set_xlabel("epoch", fontsize=9)
        if len(logs) > 1 and place == 0:
            axes.legend(fontsize=8)
        figures.append(figure)
    return figures


def sizes_figure(sizes: np.ndarray, bins: int = 40) -> Figure:
    """Draw a histogram of cluster sizes; ``sizes``: (clusters,), not all zero."""
    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    top = int(sizes.max())
    edges = np.unique(np.round(np.geomspace(1, top + 1, bins + 1))) - 0.5
    counts, _ = np.histogram(sizes, edges)
    axes.stairs(counts, edges, fill=True, color=COLOURS[0], alpha=0.35)
    axes.stairs(counts, edges, color=COLOURS[0], lw=1.4)
    filled = sizes[sizes > 0]
    middle = float(np.median(filled))
    axes.axvline(middle, color="0.25", lw=1.2, ls="--", label=f"median {middle:g}")
    empty = len(sizes) - len(filled)
    title = f"{len(filled):,} clusters" + (f" and {empty:,} empty ones" if empty else "")
    axes.set(xlabel="members", ylabel="clusters", title=title, xscale="log")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(framealpha=0.95)
    return figure


@styled
def losses_figure(log_losses: np.ndarray, gate: float, bins: int = 60) -> Figure:
    """Draw a histogram of log losses (N,), not empty, and the gate, a logarithm; inf: no gate."""
    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    edges = np.linspace(log_losses.min(), max(log_losses.max(), log_losses.min() + 1e-6), bins + 1)
    keep = log_losses <= gate
    for what, side, colour in (("kept", keep, COLOURS[0]), ("above the gate", ~keep, COLOURS[1])):
        counts, _ = np.histogram(log_losses[side], edges)
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.3)
        axes.stairs(counts, edges, color=colour, lw=1.4, label=f"{what}: {side.sum():,}")
    if np.isfinite(gate):
        label = f"gate {in_digits(float(np.exp(gate)))}"
        axes.axvline(gate, color=INK, lw=1.2, ls="--", label=label)
    axes.set(xlabel="logarithm of the loss in the last epoch", ylabel="utterances")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend()
    return figure


# ---------------------------------------------------------------- inside a page


def inline_svg(figure: Figure, name: str) -> str:
    """Return the ``<svg>`` element of ``figure``, described as ``name`` (already escaped).

    Colours of ``PALETTE`` become CSS variables (``var(--ink)``), so the same picture fits a light
    and a dark page. Text stays text. XML namespaces are removed, because an HTML page does not need
    them and should contain no address.
    """
    buffer = io.StringIO()
    # Ids of markers and clips come from a hash; the salt makes them differ between pictures.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # unused, and equal in all pictures
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # Inline fonts would override the page's fonts; sizes and anchors stay.
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    for variable, colour in PALETTE.items():
        text = text.replace(colour, f"var(--{variable})")
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text).group(1))
    head = f'<svg role="img" aria-label="{name}" style="max-width: {1.4 * width:.0f}px"'
    return text.replace("<svg", head, 1).strip()

"""A map of embeddings in two dimensions. It shows which are close, and is coloured by labels."""

import colorsys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from sv.report.plots import COLOURS, GRID, MUTED, styled
from sv.scoring.system import evenly_spaced

TSNE_LIMIT = 2000
"""With more vectors, t-SNE takes minutes, so the first two principal components are drawn."""
SHOWN = 3000
SPEAKERS_IN_COLOUR = 24


class EmbeddingMap(NamedTuple):
    """``ids`` and their ``places`` (n, 2) on the map; ``method`` made it."""

    ids: list[str]
    places: np.ndarray
    method: str


def embedding_map(ids: Sequence[str], vectors: np.ndarray, seed: int = 0) -> EmbeddingMap | None:
    """Place embeddings (n, dim) on a plane; return None for fewer than 4.

    Only their directions count, as in a cosine. Up to ``TSNE_LIMIT`` vectors, the method is t-SNE
    (van der Maaten and Hinton, 2008). It keeps neighbours together, but distances between groups
    mean nothing.
    """
    rows = evenly_spaced(list(range(len(ids))), SHOWN)
    vectors = np.asarray(vectors[rows], dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, 1.0)
    if len(rows) < 4:
        return None
    if len(ids) <= TSNE_LIMIT and units.std(axis=0).max() > 1e-9:
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(rows) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed)
        places, method = tsne.fit_transform(units), "t-SNE"
    else:
        centred = units - units.mean(axis=0)
        _, axes = np.linalg.eigh(centred.T @ centred)
        places, method = centred @ axes[:, :-3:-1], "first two principal components"
    return EmbeddingMap([ids[row] for row in rows], places, method)


def map_figure(
    found: EmbeddingMap,
    utt2spk: Mapping[str, str] | None = None,
    utt2session: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the map coloured by speaker and by session, if these are known; otherwise plain."""
    return maps_figure({"": found}, utt2spk, utt2session)


@styled
def maps_figure(
    maps: Mapping[str, EmbeddingMap],
    utt2spk: Mapping[str, str] | None = None,
    utt2session: Mapping[str, str] | None = None,
) -> Figure:
    """Draw several named maps, such as before and after, one ``map_figure`` per row."""
    rows = [(name, found, _panels(found.ids, utt2spk, utt2session)) for name, found in maps.items()]
    columns = len(rows[0][2])
    figure = Figure(figsize=(4.5 * columns, 4.8 * len(rows)), layout="constrained")
    for number, (name, found, panels) in enumerate(rows):
        for place, panel in enumerate(panels, start=1):
            axes = figure.add_subplot(len(rows), columns, number * columns + place)
            _draw(axes, found, name, panel)
    return figure


@styled
def map_panels(
    found: EmbeddingMap,
    utt2spk: Mapping[str, str] | None = None,
    utt2session: Mapping[str, str] | None = None,
) -> list[Figure]:
    """Return the panels of `map_figure` as figures of their own, for a page of any width."""
    figures = []
    for panel in _panels(found.ids, utt2spk, utt2session):
        figure = Figure(figsize=(4.0, 4.3), layout="constrained")
        _draw(figure.add_subplot(), found, "", panel)
        figures.append(figure)
    return figures


class _Panel(NamedTuple):
    """The colours of a panel. Lines join each of the ``groups`` of rows to its middle.

    ``legend``: colour -> its meaning.
    """

    title: str
    colours: list
    note: str
    groups: list[list[int]] | None
    legend: Mapping[str, str] = MappingProxyType({})


def _panels(
    ids: Sequence[str], utt2spk: Mapping[str, str] | None, utt2session: Mapping[str, str] | None
) -> list[_Panel]:
    panels = []
    if utt2spk:
        panels.append(_Panel("by speaker", *_speaker_colours(ids, utt2spk), None))
    if utt2session:
        panels.append(_Panel("by session", *_session_colours(ids, utt2spk or {}, utt2session)))
    return panels or [_Panel("", [COLOURS[0]] * len(ids), f"{len(ids):,} utterances", None)]


def _draw(axes: Axes, found: EmbeddingMap, name: str, panel: _Panel) -> None:
    for rows in panel.groups or []:
        centre = found.places[rows].mean(axis=0)
        spokes = [(centre, found.places[row]) for row in rows]
        lines = LineCollection(spokes, colors=panel.colours[rows[0]], lw=0.8, alpha=0.6, zorder=1)
        axes.add_collection(lines)
    size = float(np.clip(7000 / len(found.ids), 5, 22))
    axes.scatter(*found.places.T, c=panel.colours, s=size, alpha=0.85, linewidths=0, zorder=2)
    axes.set_title(", ".join(filter(None, (name, panel.title))), loc="left")
    axes.set_xlabel(panel.note, fontsize=9, color=MUTED)
    for colour, meaning in panel.legend.items():
        axes.plot([], [], "o", ms=5, color=colour, label=meaning)
    if panel.legend:
        # Six short words in two lines fit below a map of any width.
        axes.legend(
            fontsize=8,
            loc="upper left",
            bbox_to_anchor=(0, -0.07),
            ncols=3,
            title_fontsize=8,
            title="each speaker's",
            alignment="left",
            columnspacing=1.0,
            handletextpad=0.1,
        )
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_adjustable("datalim")
    for spine in axes.spines.values():
        spine.set_color(GRID)


def _speaker_colours(ids: Sequence[str], utt2spk: Mapping[str, str]) -> tuple[list, str]:
    """Return a colour per utterance, and a note; only the largest speakers have colours."""
    speakers, of_id, counts = np.unique(
        [utt2spk.get(name, "") for name in ids], return_inverse=True, return_counts=True
    )
    chosen = [n for n in np.argsort(-counts, kind="stable") if speakers[n]][:SPEAKERS_IN_COLOUR]
    wheel = {int(n): _hue(k / max(1, len(chosen)), k) for k, n in enumerate(sorted(chosen))}
    note = f"{len(speakers) - ('' in speakers):,} speakers, {len(ids):,} utterances"
    if len(speakers) > len(chosen):
        note += f"; the {len(chosen)} largest in colour"
    return [wheel.get(int(n), MUTED) for n in of_id], note


def _hue(share: float, number: int) -> str:
    """Return a colour of the wheel as #rrggbb; neighbours differ also in lightness."""
    light, strong = ((0.42, 0.55), (0.62, 0.55), (0.52, 0.42))[number % 3]
    return "#" + "".join(f"{round(255 * c):02x}" for c in colorsys.hls_to_rgb(share, light, strong))


def _session_colours(
    ids: Sequence[str], utt2spk: Mapping[str, str], utt2session: Mapping[str, str]
) -> tuple[list, str, list[list[int]], dict[str, str]]:
    """Return a colour per utterance, a note, the rows of each session, and a legend.

    The sessions of one speaker have different colours. All speakers share the same few colours.
    """
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        rows_of.setdefault(utt2session.get(name, ""), []).append(row)
    unknown = rows_of.pop("", [])
    seen: dict[str, int] = {}
    colours: list = [MUTED] * len(ids)
    for session in sorted(rows_of):
        speaker = utt2spk.get(ids[rows_of[session][0]], "")
        number = seen.setdefault(speaker, 0)
        seen[speaker] += 1
        for row in rows_of[session]:
            colours[row] = COLOURS[number % len(COLOURS)]
    note = f"{len(rows_of):,} sessions; lines lead to the middle of each"
    if unknown:
        note += f"; {len(unknown)} utterances without a session in grey"
    return colours, note, list(rows_of.values()), _session_legend(max(seen.values(), default=0))


def _session_legend(most: int) -> dict[str, str]:
    """Return colour -> the sessions that have it, if a speaker has up to ``most`` sessions."""
    count = len(COLOURS)
    return {
        COLOURS[place]: f"session {place + 1}" + (f", {place + 1 + count}, ..." * (most > count))
        for place in range(min(most, count))
    }

"""Pictures of log-mel spectra."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from sv.inference.separation import Voices
from sv.report.plots import styled


@styled
def sources_figure(voices: Voices) -> Figure:
    """Return the log-mel spectra of the mixture and of each source, on one scale."""
    count, frames, bands = voices.log_mel.shape
    figure = Figure(figsize=(8, 2 * count), layout="constrained")
    top = float(voices.log_mel[0].max())
    titles = ["mixture"] + [
        f"source {number}: {share:.0%} of the energy"
        for number, share in enumerate(voices.shares, 1)
    ]
    for number, (spectrum, title) in enumerate(zip(voices.log_mel, titles, strict=True), 1):
        axes = figure.add_subplot(count, 1, number)
        image = axes.imshow(
            spectrum.T,
            origin="lower",
            aspect="auto",
            vmin=top - 12,
            vmax=top,
            extent=(0, frames / 100, 0, bands),
            cmap="magma",
        )
        axes.set_title(title)
        axes.set_ylabel("mel band")
    axes.set_xlabel("seconds")
    figure.colorbar(image, ax=figure.axes, label="log power")
    return figure


@styled
def views_figure(items: Sequence[Sequence[tuple[str, np.ndarray]]]) -> Figure:
    """Return a row of spectra for each item of a batch, all on one scale.

    items: the views of each item, as (title, (frames, mel) log-mel).
    """
    values = np.concatenate([view.ravel() for views in items for _, view in views])
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [1, 99.5]) if len(finite) else (0.0, 1.0)
    columns = max(map(len, items))
    figure = Figure(figsize=(2.6 * columns + 0.8, 1.8 * len(items) + 0.4), layout="constrained")
    axes = figure.subplots(len(items), columns, squeeze=False)
    for row, views in zip(axes, items, strict=True):
        for place, (title, view) in zip(row, views, strict=True):
            frames, bands = view.shape
            image = place.imshow(
                view.T,
                origin="lower",
                aspect="auto",
                vmin=low,
                vmax=high,
                extent=(0, frames / 100, 0, bands),
                cmap="magma",
            )
            place.set_title(title, fontsize=7)
            place.tick_params(labelsize=6)
        row[0].set_ylabel("mel band", fontsize=7)
    for place in axes[-1]:
        place.set_xlabel("seconds", fontsize=7)
    figure.colorbar(image, ax=axes, label="log power, normalised")
    return figure

"""Pictures of log-mel spectra."""

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

"""Sheets of small images."""

import numpy as np
from matplotlib.figure import Figure

from jaxnets.record import Pictures
from jaxnets.report.figures import plt


def sheet(found: Pictures) -> Figure:
    """A grid of small images; signed ones from orange over white (0) to purple."""
    rows, columns, *shape = found.images.shape
    gap = np.pad(found.images, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=0.0 if found.signed else 1.0)
    tiled = gap.transpose(0, 2, 1, 3, 4).reshape(rows * (shape[0] + 2), columns * (shape[1] + 2), shape[2])
    width = min(7.2, 0.72 * columns)
    figure, axes = plt.subplots(figsize=(width, width * tiled.shape[0] / tiled.shape[1] + 0.5), layout="constrained")
    if found.signed:
        tiled = tiled.mean(-1)
        reach = np.quantile(np.abs(tiled), 0.995)
        drawn = axes.imshow(tiled, cmap="PuOr", vmin=-reach, vmax=reach)
        figure.colorbar(drawn, ax=axes, shrink=0.6)
    else:
        axes.imshow(tiled if shape[2] == 3 else tiled[..., 0], cmap="gray", vmin=0, vmax=1)
    axes.set_yticks([])
    places = (np.arange(len(found.titles)) + 0.5) * (shape[1] + 2)
    axes.set_xticks(places, list(found.titles), fontsize=7)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure

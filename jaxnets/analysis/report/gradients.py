"""How gradients shrink on their way to the first layer."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from jaxnets.analysis.report.plots import PALETTE, new_axes


def by_layer(norms: Mapping[str, np.ndarray]) -> Figure:
    """Norm of the gradient of each layer's weights, first layer first, a line for each activation."""
    figure, axes = new_axes(xlabel="layer", ylabel="norm of the weights' gradient")
    for color, (name, found) in zip(PALETTE, norms.items(), strict=False):
        axes.plot(range(1, len(found) + 1), found, "o-", color=color, markersize=4, label=name)
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=8)
    return figure

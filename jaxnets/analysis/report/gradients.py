"""A plot of gradient norms by layer."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from jaxnets.analysis.report.plots import PALETTE, new_axes


def by_layer(norms: Mapping[str, np.ndarray]) -> Figure:
    """Norm of the gradient of each layer's weights, a line for each activation function.

    `norms` maps names of activation functions to norms by layer, first layer first.
    """
    figure, axes = new_axes(xlabel="layer", ylabel="norm of the weights' gradient")
    for color, (name, by_depth) in zip(PALETTE, norms.items(), strict=False):
        axes.plot(range(1, len(by_depth) + 1), by_depth, "o-", color=color, markersize=4, label=name)
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=8)
    return figure

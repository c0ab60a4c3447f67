"""How gradients shrink on their way to the first layer."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from jaxnets.report.figures import PALETTE, plt


def by_layer(norms: Mapping[str, np.ndarray]) -> Figure:
    """Norm of the gradient of each layer's weights, first layer first, a line for each activation."""
    figure, axes = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
    for colour, (name, found) in zip(PALETTE, norms.items(), strict=False):
        axes.plot(range(1, len(found) + 1), found, "o-", color=colour, markersize=4, label=name)
    axes.set_yscale("log")
    axes.set(xlabel="layer", ylabel="norm of the weights' gradient")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure

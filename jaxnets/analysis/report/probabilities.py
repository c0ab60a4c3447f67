"""What a net answers, drawn with the spread over its seeds."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxnets.analysis.report.plots import PALETTE, despine, shortened

_MOST_CLASSES = 10


def draw(answers: np.ndarray, class_names: Sequence[str], inputs: np.ndarray | Sequence[str]) -> Figure:
    """A row for each input: the input itself, and its most likely classes as bars, with a dot for each seed.

    Args:
      answers: probabilities [S, N, classes].
      class_names: of the classes.
      inputs: images [N, H, W, C], uint8, or N texts.
    """
    shown = min(len(class_names), _MOST_CLASSES)
    figure = Figure((7.5, len(inputs) * (0.5 + 0.19 * shown) + 0.4), layout="constrained")
    rows = np.atleast_2d(figure.subplots(len(inputs), 2, width_ratios=(1, 2.5)))
    for (left, right), given, by_seed in zip(rows, inputs, np.moveaxis(answers, 1, 0), strict=True):
        left.axis("off")
        if isinstance(given, str):
            left.text(0, 0.5, textwrap.fill(textwrap.shorten(given, 180), 26), va="center", fontsize=8, wrap=True)
        else:
            left.imshow(given.squeeze(), cmap="gray", vmin=0, vmax=255)
        order = np.argsort(-by_seed.mean(0), kind="stable")[:shown]
        places = np.arange(shown)
        right.barh(places, 100 * by_seed.mean(0)[order], color=PALETTE[0], alpha=0.35, height=0.7)
        for seed in by_seed:
            right.plot(100 * seed[order], places, "o", color=PALETTE[0], markersize=3.5)
        right.set_yticks(places, shortened(class_names[i] for i in order), fontsize=8)
        right.invert_yaxis()
        right.set_xlim(0, 101)
        despine(right)
    rows[-1, 1].set_xlabel("probability %, a dot for each seed" if len(answers) > 1 else "probability %")
    return figure

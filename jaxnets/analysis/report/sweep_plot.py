"""The scores of a sweep, drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxnets.analysis.report.plots import PALETTE, WIDE, despine, new_axes, new_figure, number

Json = Mapping[str, Any]

_TICKED = 8
"""Up to this many values get a tick each."""


def draw(results: Sequence[tuple[Json, Json]], metric: str) -> Figure:
    """The scores of a sweep: (setting, result of `mean_std`) pairs, best first.

    The horizontal axis is the numeric field with most values, with a line for each combination of the others. If there are
    too many of these, or no numeric field varies, the settings are ranked from top to bottom.
    """
    scale = 100 if metric.endswith("accuracy") else 1
    points = [(setting, scale * number(score["mean"]), scale * number(score["std"])) for setting, score in results]
    values = {path: {setting[path] for setting, _ in results} for path in results[0][0]}
    numeric = [path for path, tried in values.items() if all(type(v) in (int, float) for v in tried) and len(tried) > 1]
    along = max(numeric, key=lambda path: len(values[path]), default="")
    lines: dict[str, list[tuple[float, float, float]]] = {}
    for setting, mean, std in points:
        label = ", ".join(f"{path} {value}" for path, value in setting.items() if path != along)
        lines.setdefault(label, []).append((setting.get(along, 0), mean, std))
    if not along or len(lines) > len(PALETTE):
        return _ranking(points, f"{metric} %" if scale == 100 else metric)
    figure, axes = new_axes(WIDE, along, f"{metric} %" if scale == 100 else metric)
    for color, (label, line) in zip(PALETTE, sorted(lines.items()), strict=False):
        x, means, stds = np.array(sorted(line)).T
        axes.errorbar(x, means, yerr=np.nan_to_num(stds), fmt="o-", color=color, capsize=3, label=label)
    if min(values[along]) > 0 and max(values[along]) >= 10 * min(values[along]):
        axes.set_xscale("log")
    if len(values[along]) <= _TICKED:
        axes.set_xticks(sorted(values[along]), [f"{value:g}" for value in sorted(values[along])])
        axes.minorticks_off()
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8)
    return figure


def _ranking(points: Sequence[tuple[Json, float, float]], metric: str) -> Figure:
    shown = points[:30]
    figure, axes = new_figure((7.2, 1.0 + 0.3 * len(shown)))
    height = np.arange(len(shown))[::-1]
    means, stds = [mean for _, mean, _ in shown], np.nan_to_num([std for _, _, std in shown])
    axes.errorbar(means, height, xerr=stds, fmt="o", color=PALETTE[0], capsize=3)
    labels = [", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in setting.items()) for setting, _, _ in shown]
    axes.set_yticks(height, labels, fontsize=8)
    axes.set_xlabel(metric)
    axes.grid(axis="x", alpha=0.3)
    despine(axes)
    return figure

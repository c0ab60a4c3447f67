"""Plots of runs, as matplotlib figures. Colors are Okabe and Ito's, which color-blind readers can tell apart.

Figures are made without pyplot, so the backend of the calling program, such as a notebook's, stays as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from jaxnets.errors import UserError

Json = Mapping[str, Any]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
_NAMED = 40
"""Up to this many classes are drawn with names and numbers."""
_LONGEST = 60
"""Letters of a name that are drawn."""
WIDE, _SQUARE = (5.6, 3.2), (5.6, 5.0)
"""Sizes of figures, in inches."""


def curves(metrics: Sequence[Json], metric: str, reported: Mapping[str, float], chance: float | None = None) -> Figure:
    """A metric by epoch on training and validation data, as far as it was measured: mean over seeds, with a band of one
    standard deviation.

    Args:
      metrics: lines of metrics.jsonl.
      metric: name of the metric, such as "loss".
      reported: levels drawn as dotted lines, by label.
      chance: a level drawn as a dashed line.
    """
    figure, axes = new_axes(WIDE, "epoch", _title(metric))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    epochs = [line for line in metrics if "epoch" in line]
    for i, split in enumerate(split for split in ("train", "validation") if metric in epochs[0][split]):
        values = _by_seed(epochs, split, metric)
        label = f"{split} (running, in training mode)" if split == "train" else split
        band(axes, [line["epoch"] for line in epochs], values, label, i)
    for i, (label, level) in enumerate(reported.items()):
        axes.axhline(level, linestyle=":", linewidth=1.4, color=PALETTE[i + 2], label=f"reported {label}")
    if chance is not None:
        axes.axhline(chance, linestyle="--", linewidth=0.8, color="#7F7F7F", label="chance")
    axes.legend(frameon=False, fontsize=8)
    return figure


def compare(runs: Mapping[str, Sequence[Json]], metric: str) -> Figure:
    """A metric on validation data by epoch: a line and band for each run. `runs` maps labels to lines of metrics.jsonl."""
    columns = 2 if max(map(len, runs)) <= 32 else 1
    width, height = WIDE
    figure, axes = new_axes((width, height + 0.2 * -(-len(runs) // columns)), "epoch", f"validation {_title(metric)}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for i, (label, metrics) in enumerate(runs.items()):
        epochs = [line for line in metrics if "epoch" in line]
        band(axes, [line["epoch"] for line in epochs], _by_seed(epochs, "validation", metric), label, i)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=columns)
    return figure


def hockey_stick(metrics: Sequence[Json], classes: int) -> Figure:
    """Loss of each of the first steps, before its update, beside ln(classes), where a good initialization starts.

    With 0 classes that line is left out.
    """
    figure, axes = new_axes(WIDE, "step", "training loss")
    _first_losses(axes, metrics, "mean over seeds", 0)
    if classes:
        axes.axhline(np.log(classes), linestyle="--", linewidth=0.8, color="#7F7F7F", label=f"ln {classes}")
    axes.legend(frameon=False, fontsize=8)
    return figure


def hockey_sticks(runs: Mapping[str, Sequence[Json]], classes: int) -> Figure:
    """Losses of the first steps of several runs, mean over seeds; on a logarithmic axis if they differ much."""
    width, height = WIDE
    figure, axes = new_axes((width, height + 0.2 * -(-len(runs) // 2)), "step", "training loss")
    means = []
    for i, (label, metrics) in enumerate(runs.items()):
        values = _first_losses(axes, metrics, label, i)
        means.append(np.ma.masked_invalid(values).mean(1))
    if classes:
        axes.axhline(np.log(classes), linestyle="--", linewidth=0.8, color="#7F7F7F", label=f"ln {classes}")
    losses = np.ma.concatenate(means)
    if losses.min() > 0 and losses.max() > 8 * losses.min():
        axes.set_yscale("log")
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    return figure


def _first_losses(axes: Axes, metrics: Sequence[Json], label: str, i: int) -> np.ndarray:
    """Draws the losses of a run's first steps and returns them, [steps, seeds]."""
    steps = [line for line in metrics if "epoch" not in line]
    values = np.array([numbers(line["loss"]) for line in steps])
    band(axes, [line["step"] for line in steps], values, label, i)
    return values


def confusion(counts: Sequence[Sequence[float]], names: Sequence[str]) -> Figure:
    """Confusion matrix in percent of the true class, from counts [true, predicted]."""
    matrix = np.asarray(counts, float)
    share = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(_SQUARE[1], 0.21 * len(names)) if len(names) <= _NAMED else _SQUARE[1]
    figure, axes = new_figure((side + 0.6, side))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    ticks = range(len(names))
    if len(names) > _NAMED:
        axes.set(xlabel="predicted", ylabel="true")
        return figure
    short = max(map(len, names)) <= 2
    axes.set_xticks(ticks, shortened(names), rotation=0 if short else 45, ha="center" if short else "right", fontsize=8)
    axes.set_yticks(ticks, shortened(names), fontsize=8)
    axes.set(xlabel="predicted", ylabel="true")
    for i in ticks:
        for j in ticks:
            color = "white" if share[i, j] > 55 else "black"
            if round(share[i, j]) or len(names) <= 10:  # Zeros would only clutter a large matrix.
                axes.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", fontsize=7, color=color)
    return figure


def per_class(counts: Sequence[Sequence[float]], names: Sequence[str], reported: Mapping[str, float]) -> Figure:
    """Accuracy of each class in percent, ours as bars and the reported one as a mark, from counts [true, predicted]."""
    matrix = np.asarray(counts, float)
    ours = 100 * matrix.diagonal() / np.maximum(matrix.sum(1), 1)
    figure, axes = new_axes(WIDE, "", "accuracy %")
    if len(names) > _NAMED:
        axes.plot(np.sort(ours)[::-1], color=PALETTE[0])
        axes.set(xlabel="classes, best first", ylim=(0, 100))
        return figure
    axes.bar(range(len(names)), ours, color=PALETTE[0], width=0.65, label="ours")
    if reported:
        levels = [reported.get(name, np.nan) for name in names]
        axes.plot(range(len(names)), levels, "D", color=PALETTE[1], markersize=6, label="reported")
        axes.legend(frameon=False, fontsize=8)
    axes.set_ylim(0, 100)
    axes.set_xticks(range(len(names)), shortened(names), rotation=30)
    return figure


def calibration(details: Json) -> Figure:
    """Reliability diagram: how often predictions of each confidence are right, of single nets and of their ensemble.

    `details` are those of a split in a summary, see jaxnets.runs.predictions.
    """
    figure, axes = new_axes((5.6, 4.2), "confidence %", "right %")
    axes.plot([0, 100], [0, 100], "--", color="#7F7F7F", linewidth=0.8, label="as right as sure")
    single = np.nanmean(numbers(details["calibration_error"]))
    shown = {"single nets": (details["reliability"], single)}
    if together := details.get("ensemble"):
        shown["their ensemble"] = together["reliability"], together["calibration_error"]
    for i, (label, (bins, error)) in enumerate(shown.items()):
        examples, right, confidence = np.array([row for row in bins if row[0]]).T
        area = 8 + 160 * examples / examples.sum()
        label = f"{label}: expected error {100 * error:.1f} points"
        axes.plot(100 * confidence / examples, 100 * right / examples, color=PALETTE[i], linewidth=1.2, label=label)
        axes.scatter(100 * confidence / examples, 100 * right / examples, area, color=PALETTE[i])
    axes.legend(frameon=False, fontsize=8)
    return figure


def reported_and_ours(summaries: Mapping[str, Json]) -> Figure | None:
    """Reported test accuracy (or else validation accuracy) beside ours, with its deviation; None if none was reported."""
    shown = {}
    for label, summary in summaries.items():
        for split in ("test", "validation"):
            if f"{split}_accuracy" in summary["reported"] and split in summary["final"] and not summary["synthetic"]:
                shown[label] = (summary["reported"][f"{split}_accuracy"], summary["final"][split]["accuracy"])
                break
    if not shown:
        return None
    figure, axes = new_figure((7.2, 1.2 + 0.36 * len(shown)))
    height = np.arange(len(shown))[::-1]
    results = [ours for _, ours in shown.values()]
    axes.errorbar(
        [100 * number(ours["mean"]) for ours in results],
        height,
        xerr=[100 * (ours["std"] or 0) for ours in results],
        fmt="o",
        color=PALETTE[0],
        capsize=3,
        label="ours, ± std over seeds",
    )
    axes.plot([reported for reported, _ in shown.values()], height, "D", color=PALETTE[1], label="reported")
    axes.set_yticks(height, list(shown), fontsize=8)
    axes.set_xlabel("accuracy %")
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    despine(axes)
    return figure


def save(figure: Figure, path: Path, dpi: int) -> Path:
    """Writes a figure to an image file, creates its folder, and returns `path`. Raises UserError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        literal(figure).savefig(path, dpi=dpi)
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror}; choose another --out") from error
    return path


def literal(figure: Figure) -> Figure:
    """The figure, in which no name of a user's, such as "$HOME", is read as a formula. Logarithmic ticks are."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_majorticklabels()  # Those of categories are otherwise written when they are drawn.
    for text in figure.findobj(Text):
        if "$" in text.get_text() and "mathdefault" not in text.get_text():
            text.set_parse_math(False)
    return figure


def shortened(names: Iterable[str]) -> list[str]:
    """Names of any length as texts of a figure, which has no room for more than a line.

    >>> [len(name) for name in shortened(["cat", 1000 * "cat"])]
    [3, 60]
    """
    return [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in names]


def new_figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    """A figure of `size` in inches with one plot."""
    figure = Figure(size, layout="constrained")
    return figure, figure.add_subplot()


def new_axes(size: tuple[float, float] = WIDE, xlabel: str = "", ylabel: str = "") -> tuple[Figure, Axes]:
    """A figure of `size` in inches with one plot, with a light grid and no frame above and to the right."""
    figure, axes = new_figure(size)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)
    despine(axes)
    return figure, axes


def despine(axes: Axes) -> None:
    """Removes the frame above and to the right of the axes."""
    axes.spines[["top", "right"]].set_visible(False)


def _title(metric: str) -> str:
    return "accuracy %" if metric == "accuracy" else metric.replace("_", " ")


def number(value: float | None) -> float:
    """A recorded value; NaN for null, which stands for a non-finite value in the files."""
    return float("nan") if value is None else value


def numbers(values: Sequence[float | None]) -> list[float]:
    """The recorded values of all seeds, see `number`."""
    return [number(value) for value in values]


def _by_seed(lines: Sequence[Json], split: str, metric: str) -> np.ndarray:
    """[epochs, seeds], accuracies in percent."""
    values = np.array([numbers(line[split][metric]) for line in lines], float)
    return 100 * values if metric == "accuracy" else values


def band(axes: Axes, x: Sequence[float], values: np.ndarray, label: str, i: int) -> None:
    """Draws the i-th line of a plot: the mean of values [points, seeds], with a band of one standard deviation."""
    color, style = PALETTE[i % len(PALETTE)], "-" if i < len(PALETTE) else "--"
    fine = np.ma.masked_invalid(values)
    mean, std = fine.mean(1), fine.std(1, ddof=1) if values.shape[1] > 1 else np.zeros(len(values))
    axes.plot(x, mean, style, color=color, linewidth=1.6, label=label, marker="o" if len(x) == 1 else None)
    axes.fill_between(x, mean - std, mean + std, color=color, alpha=0.2, linewidth=0)

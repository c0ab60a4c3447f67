"""Sheets of images: the views of jaxnets.analysis.visualize, and image grids that runs wrote, as matplotlib figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from jaxnets.analysis.report.plots import PALETTE, compare, new_figure, shortened
from jaxnets.analysis.visualize import filters as kernels
from jaxnets.analysis.visualize.activations import Statistics
from jaxnets.analysis.visualize.maximize import Maximum
from jaxnets.analysis.visualize.occlusion import Sensitivity
from jaxnets.runs.folder import ImageGrid

_SMALL = 7
"""Font size of a panel's title, in points."""
_SLICES = 32
"""Maximum number of filters and of input channels drawn for a deep layer."""


def filters(kernel: np.ndarray, title: str) -> Figure:
    """The weights of a convolution, [KH, KW, C_in, C_out].

    With three or one input channels each filter is a color or gray image. Deeper filters are a table of slices, with a row
    for each filter and a column for each input channel.
    """
    channels, number = kernel.shape[2:]
    if channels not in (1, 3):
        return _slices(kernel, title)
    scale = kernels.scale(kernel)
    columns = min(number, 8 if number <= 64 else 16)
    rows = -(-number // columns)
    figure, panels = _panels(rows, columns, (0.75, 0.85))
    for i, (axes, image) in enumerate(zip(panels, kernels.as_images(kernel), strict=False)):
        shown = _image(axes, image)
        axes.set_title(f"{i}", fontsize=_SMALL, pad=2)
    if channels == 1:
        bar = figure.colorbar(shown, ax=panels.tolist(), shrink=0.8, aspect=30, label="weight")
        bar.set_ticks([0, 0.5, 1], labels=[f"{-scale:.2g}", "0", f"{scale:.2g}"])
    else:
        figure.supxlabel(
            f"mid-gray is a weight of 0; a color channel runs from {-scale:.2g} (dark) to {scale:.2g} (bright)", fontsize=8
        )
    _title(figure, title)
    return figure


def _slices(kernel: np.ndarray, title: str) -> Figure:
    slices = kernels.as_slices(kernel)[:_SLICES, :_SLICES]
    rows, columns, height, width = slices.shape
    table = mosaic(slices[..., None], gap=np.nan)[..., 0]
    figure, axes = new_figure((1.6 + 0.2 * columns, 1.0 + 0.2 * rows))
    shown = axes.imshow(table, cmap="PuOr", vmin=-1, vmax=1, interpolation="nearest")
    for axis, count, side in ((axes.xaxis, columns, width), (axes.yaxis, rows, height)):
        places = range(0, count, max(1, count // 8))
        axis.set_ticks([1 + k * (side + 1) + (side - 1) / 2 for k in places], [str(k) for k in places], fontsize=_SMALL)
    axes.set(xlabel=f"input channel{_of(columns, kernel.shape[2])}", ylabel=f"filter{_of(rows, kernel.shape[3])}")
    scale = kernels.scale(kernel)
    bar = figure.colorbar(shown, ax=axes, shrink=0.6, aspect=30, label="weight")
    bar.set_ticks([-1, 0, 1], labels=[f"{-scale:.2g}", "0", f"{scale:.2g}"])
    _title(figure, title)
    return figure


def _of(shown: int, total: int) -> str:
    return f" (the first {shown} of {total})" if shown < total else ""


def activations(layers: Mapping[str, Statistics], title: str) -> Figure:
    """A row for each layer: mean and standard deviation by channel, histogram of all values, histogram by channel."""
    figure = Figure((10.5, 0.6 + 2.3 * len(layers)), layout="constrained")
    grid = figure.subplots(len(layers), 3, squeeze=False, width_ratios=(3, 3, 4))
    for (by_channel, overall, table), (name, statistics) in zip(grid, layers.items(), strict=True):
        channels = np.arange(len(statistics.mean))
        by_channel.errorbar(
            channels, statistics.mean, yerr=statistics.std, fmt="o", markersize=3, linewidth=1, color=PALETTE[0]
        )
        by_channel.axhline(0, linewidth=0.8, color="#7F7F7F")
        by_channel.set(xlabel="channel", ylabel="mean ± std")
        by_channel.set_title(name, fontsize=9, loc="left", fontweight="bold")
        share = statistics.counts / statistics.counts.sum(1, keepdims=True)
        overall.stairs(share.mean(0), statistics.edges, fill=True, color=PALETTE[0])
        overall.set(yscale="log", xlabel="value", ylabel="share of values")
        for axes in (by_channel, overall):
            axes.spines[["top", "right"]].set_visible(False)
        extent = (statistics.edges[0], statistics.edges[-1], len(channels) - 0.5, -0.5)
        smallest = 1 / statistics.counts.sum(1).max()
        shown = table.imshow(
            np.ma.masked_equal(share, 0), cmap="viridis", norm=LogNorm(smallest, 1), extent=extent, aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
        table.set(xlabel="value", ylabel="channel")
        figure.colorbar(shown, ax=table, label="share of values")
    _title(figure, title)
    return figure


def maxima(ascents: Maximum, labels: Sequence[str], title: str) -> Figure:
    """A panel for each channel: the results of its ascents, best first. `ascents` has axes [channels, restarts, …]."""
    restarts = ascents.activation.shape[1]
    columns = min(len(labels), max(1, 8 // restarts))
    figure, panels = _panels(-(-len(labels) // columns), columns, (0.9 * restarts + 0.2, 1.2))
    for axes, label, images, values in zip(panels, labels, ascents.image, ascents.activation, strict=False):
        order = np.argsort(-values)
        _image(axes, mosaic(images[None, order]))
        axes.set_title(f"{label}: {values[order[0]]:.2f}", fontsize=_SMALL + 1, pad=2)
    _title(figure, title)
    return figure


def projections(patches: np.ndarray, projected: np.ndarray, labels: Sequence[str], title: str) -> Figure:
    """For each channel, patches of the images that activate it most (left), and their projections (right).

    Both are [channels, k, H, W, C]. In a projection 0 is mid-gray, and its largest absolute value is black or white.
    """
    k = patches.shape[1]
    columns = 2 if len(labels) > 1 else 1
    figure, panels = _panels(-(-len(labels) // columns), 2 * columns, (2.1, 2.2))
    side = int(np.ceil(np.sqrt(k)))
    for i, label in enumerate(labels):
        largest = np.maximum(np.abs(projected[i]).max((1, 2, 3), keepdims=True), 1e-20)
        for axes, images in ((panels[2 * i], patches[i]), (panels[2 * i + 1], 0.5 + 0.5 * projected[i] / largest)):
            blank = np.ones((side * side - k, *images.shape[1:]))
            _image(axes, mosaic(np.concatenate([images, blank]).reshape(side, -1, *images.shape[1:])))
        panels[2 * i].set_title(label, fontsize=_SMALL + 1, pad=2, loc="left")
        panels[2 * i + 1].set_title("projected", fontsize=_SMALL + 1, pad=2, loc="left")
    _title(figure, title)
    return figure


def occlusions(
    images: np.ndarray,
    labels: Sequence[str],
    maps: Sequence[Sensitivity],
    class_names: Sequence[str],
    side: int,
    title: str,
) -> Figure:
    """A row for each image: the image, and the probability of its class and the predicted class by the square's position."""
    rows = len(images)
    figure = Figure((8.4, 0.6 + 2.1 * rows), layout="constrained")
    grid = figure.subplots(rows, 3, squeeze=False)
    for (image, probability, prediction), pixels, label, one in zip(grid, images, labels, maps, strict=True):
        height, width = pixels.shape[:2]
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        _image(image, pixels)
        image.set_title(label, fontsize=9)
        square = Rectangle((0.5, 0.5), side - 1, side - 1, facecolor="#808080", edgecolor="white", linewidth=0.8)
        image.add_patch(square)
        shown = probability.imshow(one.probability, cmap="viridis", extent=extent, interpolation="nearest")
        probability.set_title("its probability", fontsize=9)
        figure.colorbar(shown, ax=probability)
        _classes(prediction, np.asarray(one.prediction), class_names, extent)
        for axes in (probability, prediction):
            axes.set(xticks=[], yticks=[])
    _title(figure, title)
    return figure


def _classes(axes: Axes, prediction: np.ndarray, names: Sequence[str], extent: Any) -> None:
    """Draws a map of classes, the most frequent first in its legend. Classes beyond the palette are "others"."""
    seen, counts = np.unique(prediction, return_counts=True)
    order = seen[np.argsort(-counts, kind="stable")]
    named = order if len(order) <= len(PALETTE) else order[: len(PALETTE) - 1]
    place = np.full(prediction.shape, len(PALETTE) - 1)
    for i, number in enumerate(named):
        place[prediction == number] = i
    shown = axes.imshow(place, cmap=ListedColormap(PALETTE), vmin=-0.5, vmax=len(PALETTE) - 0.5, extent=extent,
                        interpolation="nearest")  # fmt: skip
    axes.set_title("predicted", fontsize=9)
    entries = shortened(names[number] for number in named) + (["others"] if len(named) < len(order) else [])
    places = [*range(len(named)), len(PALETTE) - 1]
    patches = [Rectangle((0, 0), 1, 1, color=shown.cmap(shown.norm(at))) for at in places[: len(entries)]]
    axes.legend(patches, entries, fontsize=_SMALL, frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))


def learning(methods: Mapping[str, Sequence[Any]], title: str) -> Figure:
    """Validation accuracy by epoch, a line and band for each method of training; `methods` maps labels to epochs."""
    figure = compare(methods, "accuracy")
    _title(figure, title)
    return figure


def sheet(grid: ImageGrid) -> Figure:
    """A grid of small images. Signed ones run from orange through white (0) to purple."""
    rows, columns, height, width, _ = grid.images.shape
    side = min(7.2, 0.72 * columns)
    size = (side, side * rows * height / (columns * width) + 0.5)
    figure, axes = new_figure(size)
    if grid.signed:
        tiled = mosaic(grid.images.mean(-1, keepdims=True), gap=0.0)[..., 0]
        reach = np.quantile(np.abs(tiled), 0.995)
        shown = axes.imshow(tiled, cmap="PuOr", vmin=-reach, vmax=reach, interpolation="nearest")
        figure.colorbar(shown, ax=axes, shrink=0.6, label="weight")
    else:
        _image(axes, mosaic(grid.images))
    axes.set_axis_on()
    places = 0.5 + (np.arange(len(grid.titles)) + 0.5) * (width + 1)
    axes.set_xticks(places, shortened(grid.titles), fontsize=_SMALL)
    axes.set_yticks([])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def mosaic(tiles: np.ndarray, gap: float = 1.0) -> np.ndarray:
    """Joins tiles [R, C, h, w, channels] with lines one pixel wide between them.

    Returns [R · (h + 1) + 1, C · (w + 1) + 1, channels]; lines have the value `gap`.
    """
    framed = np.pad(np.asarray(tiles, float), ((0, 0), (0, 0), (1, 0), (1, 0), (0, 0)), constant_values=gap)
    rows, columns, height, width, channels = framed.shape
    joined = framed.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
    return np.pad(joined, ((0, 1), (0, 1), (0, 0)), constant_values=gap)


def _panels(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    """A figure with rows × columns panels without axes, each of `size` in inches, and the panels in reading order."""
    width, height = size
    figure = Figure((max(3.2, width * columns), 0.7 + height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    return figure, grid.ravel()


def _image(axes: Axes, image: np.ndarray) -> AxesImage:
    """Draws an image [H, W, 1 or 3] with values in [0, 1]."""
    axes.set_axis_off()
    shown = np.clip(np.asarray(image, float), 0, 1)
    return axes.imshow(
        shown[..., 0] if shown.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest"
    )


def _title(figure: Figure, title: str) -> None:
    figure.suptitle(title, fontsize=10)

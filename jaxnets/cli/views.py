"""The views of `jaxnets visualize`: each computes from its options, then draws. Returns a figure and lines to print."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.analysis.report import image_sheets, tables
from jaxnets.analysis.visualize import activations, deconvnet, filters, maximize, network, occlusion, transfer
from jaxnets.analysis.visualize.network import Examples, TrainedCNN
from jaxnets.cli import visualize_options as options_of
from jaxnets.config import ImageData
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.models.features import Layer
from jaxnets.runs.load import TrainedNet
from jaxnets.runs.statistics import mean_std

Drawn = tuple[Any, Sequence[str]]
"""A figure, and lines to print."""
_MAX_LAYERS, _SEARCHED, _SHOWN = 6, 1000, 5


def filters_view(options: options_of.FilterOptions, net: TrainedNet, cnn: TrainedCNN) -> Drawn:
    """The weights of one convolution, filter by filter, and their range."""
    convolutions = [layer.name for layer in cnn.filter_layers()]
    layer = cnn.layer(convolutions[0] if options.layer is None else options.layer)
    if layer.name not in convolutions:
        raise UserError(f"{layer.name} is not a convolution: choose from {', '.join(convolutions)}")
    kernel = filters.kernel(cnn.variables["params"], layer)
    height, width, channels, number = kernel.shape
    words = f"{layer.name}: {number} filters of {height}×{width}×{channels}"
    weights = f"weights from {kernel.min():.3g} to {kernel.max():.3g}, standard deviation {kernel.std():.3g}"
    return image_sheets.filters(kernel, f"{net.experiment.id}, {words}"), [words, weights]


def activations_view(options: options_of.ActivationOptions, net: TrainedNet, cnn: TrainedCNN) -> Drawn:
    """Mean, standard deviation and histogram of each channel of some layers, over test images and all positions.

    The printed table pools the channels of a layer, and counts those whose value is the same everywhere.
    """
    layers = [cnn.layer(name) for name in options.layer]
    if not layers:
        every = cnn.feature_layers()
        depths = np.linspace(0, len(every) - 1, min(len(every), _MAX_LAYERS)).round().astype(int)
        layers = [every[depth] for depth in depths]
    split = network.test_split(net)
    images = network.examples(net, split, range(min(options.examples, net.spec.examples(split)))).images
    statistics = activations.statistics(cnn.features, tuple(layer.name for layer in layers), images)
    header = ["layer", "shape", "mean", "std", "min", "max", "constant channels"]
    body = [
        [
            layer.name,
            "×".join(map(str, layer.shape)),
            f"{one.mean.mean():.4f}",
            f"{np.sqrt((one.std**2).mean() + one.mean.var()):.4f}",
            f"{one.edges[0]:.3f}",
            f"{one.edges[-1]:.3f}",
            f"{int((one.std == 0).sum())}",
        ]
        for layer, one in zip(layers, statistics.values(), strict=True)
    ]
    title = f"{net.experiment.id}: activations on {len(images):,} {split} images of {net.spec.name}"
    return image_sheets.activations(statistics, title), [title, tables.text(header, body)]


def maximize_view(options: options_of.MaximizeOptions, net: TrainedNet, cnn: TrainedCNN) -> Drawn:
    """Images that maximize the mean activation of channels of one layer, found by gradient ascent from noise."""
    layer = cnn.layer(cnn.filter_layers()[-1].name if options.layer is None else options.layer)
    channels = _channels(options.channels, layer) or tuple(range(min(16, layer.channels)))
    ascent = maximize.Ascent(options.steps, options.rate, options.decay, options.variation, options.jitter)
    score = maximize.mean_activation(lambda images: cnn.features(images)[layer.name])
    keys = jax.random.split(jax.random.key(options.seed), len(channels) * options.restarts)
    targets = jnp.repeat(jnp.asarray(channels), options.restarts)
    shape = network.examples(net, "train", (0,)).images.shape[1:]
    ends = maximize.climb(score, targets, keys, shape, ascent)
    by_channel = lambda x: np.asarray(x).reshape(len(channels), options.restarts, *x.shape[1:])
    maxima = jax.tree.map(by_channel, ends)
    is_last = layer.name == list(cnn.layers)[-1]
    labels = [cnn.class_names[i] if is_last else f"{i}" for i in channels]
    title = f"{net.experiment.id}: images that maximize the {'classes' if is_last else f'channels of {layer.name}'}"
    lines = [
        f"{label}: {start.mean():.3f} for noise, {', '.join(f'{value:.3f}' for value in ends)} after {options.steps} steps"
        for label, start, ends in zip(labels, maxima.start, maxima.activation, strict=True)
    ]
    words = f"L2 decay {options.decay:g}, total variation {options.variation:g}, jitter {options.jitter} pixels"
    return image_sheets.maxima(maxima, labels, f"{title}\n(activation; {words})"), [title, words, *lines]


def deconvnet_view(options: options_of.DeconvnetOptions, net: TrainedNet, cnn: TrainedCNN) -> Drawn:
    """The test images that activate channels of one layer most, and the pixels responsible for it."""
    # tanh saturates: many images would tie for the largest activation.
    saturates = getattr(net.experiment.model, "activation", "relu") == "tanh"
    candidates = cnn.filter_layers() if saturates else cnn.feature_layers()
    layer = cnn.layer(candidates[-1].name if options.layer is None else options.layer)
    if not layer.is_spatial:
        maps = [other.name for other in cnn.layers.values() if other.is_spatial]
        raise UserError(f"the outputs of {layer.name} are not maps: choose from {', '.join(maps)}")
    channels = _channels(options.channels, layer)
    split = network.test_split(net)
    shown = network.examples(net, split, range(min(options.examples, net.spec.examples(split))))
    best = deconvnet.best_images(lambda images: cnn.features(images)[layer.name], shown.images, options.number)
    if not channels:
        channels = tuple(np.flatnonzero(best.activations[:, 0] > 0)[:8].tolist())
    if not channels:
        raise UserError(
            f"no channel of {layer.name} responds to any of {len(shown.images):,} images; choose another --layer"
        )
    chosen = best.images[list(channels)]
    images = shown.images[chosen.ravel()]
    back = deconvnet.project(
        lambda images: cnn.deconvolutional(images)[layer.name], images, jnp.repeat(jnp.asarray(channels), chosen.shape[1])
    )
    windows = deconvnet.windows(np.asarray(back))
    patches, projected = (
        deconvnet.cut(np.asarray(x), windows).reshape(*chosen.shape, *2 * (windows[0, 2],), -1) for x in (images, back)
    )
    title = f"{net.experiment.id}: what activates channels of {layer.name} most, among {len(shown.images):,} {split} images"
    lines = [
        f"channel {channel}: {best.activations[channel, 0]:.3f} to {best.activations[channel, -1]:.3f}, "
        f"images {', '.join(map(str, numbers[:_SHOWN]))}{', …' if len(numbers) > _SHOWN else ''}"
        for channel, numbers in zip(channels, chosen, strict=True)
    ]
    labels = [f"channel {channel}: up to {best.activations[channel, 0]:.2f}" for channel in channels]
    size = f"patches of {windows[0, 2]}×{windows[0, 2]} pixels, which hold the whole projection"
    return image_sheets.projections(patches, projected, labels, f"{title}\n({size})"), [title, size, *lines]


def occlusion_view(options: options_of.OcclusionOptions, net: TrainedNet, cnn: TrainedCNN) -> Drawn:
    """The predicted probability of an image's class, and the predicted class, while a gray square covers part of it."""
    split = network.test_split(net)
    if options.images:
        shown = network.examples(net, split, options.images)
    else:
        shown = _correct(network.examples(net, split, range(min(_SEARCHED, net.spec.examples(split)))), cnn)
    height, width = shown.images.shape[1:3]
    if options.side > min(height, width):
        raise UserError(f"side must be at most {min(height, width)}, the image's, got {options.side}")
    measure = jax.jit(lambda x, label: occlusion.sensitivity(cnn.probabilities, x, label, options.side, options.stride))
    maps = [
        jax.device_get(measure(image, jnp.asarray(label))) for image, label in zip(shown.images, shown.labels, strict=True)
    ]
    uncovered = np.asarray(jax.jit(cnn.probabilities)(shown.images))
    labels, lines = [], []
    for number, label, probabilities, map_ in zip(shown.numbers, shown.labels, uncovered, maps, strict=True):
        name, probability = cnn.class_names[label], map_.probability
        labels.append(f"{name} ({split} image {number}): {probabilities[label]:.2f}")
        wrong = np.mean(map_.prediction != label)
        lines.append(
            f"{split} image {number}, {name}: probability {probabilities[label]:.3f} uncovered, {probability.min():.3f} to "
            f"{probability.max():.3f} covered; misclassified at {100 * wrong:.0f} % of positions"
        )
    title = f"{net.experiment.id}: a gray square of {options.side}×{options.side} pixels over the image"
    images = np.asarray(shown.images)
    return image_sheets.occlusions(images, labels, maps, cnn.class_names, options.side, title), [title, *lines]


def _correct(examples: Examples, cnn: TrainedCNN) -> Examples:
    """The first correctly classified example of each of the first few classes."""
    correct = np.asarray(jax.jit(cnn.probabilities)(examples.images)).argmax(-1) == examples.labels
    if not correct.any():
        raise UserError(f"none of {len(correct)} images is classified correctly; choose some with --images")
    _, first = np.unique(examples.labels[correct], return_index=True)
    chosen = np.flatnonzero(correct)[np.sort(first)[:_SHOWN]]
    return Examples(examples.images[chosen], examples.labels[chosen], examples.numbers[chosen])


def transfer_view(options: options_of.TransferOptions, net: TrainedNet, cnn: TrainedCNN) -> Drawn:
    """Validation accuracy by epoch on another data set: last layer alone, on trained or random features, or all layers."""
    assert isinstance(net.experiment.data, ImageData)
    shape = network.examples(net, "train", (0,)).images.shape[1:]
    data, config, changes = transfer.adapt_images(catalog.open_dataset(options.data), net.experiment.data, shape)
    experiment = transfer.experiment_on(net.experiment, options.data, config, options.epochs, options.seeds, options.lr)
    last = list(cnn.layers)[-1]
    outcomes = transfer.compare(experiment, data, cnn.variables)
    split = "test" if "test" in data.splits else "validation"
    body = []
    for label, outcome in outcomes.items():
        accuracy = tables.format_mean_std(mean_std(outcome.accuracy), 100)
        body.append([label, f"{outcome.parameters:,}", accuracy, f"{outcome.seconds:.1f}"])
    title = f"{net.experiment.id}, trained on {net.spec.name}, on {options.data}"
    figure = image_sheets.learning({label: outcome.epochs for label, outcome in outcomes.items()}, title)
    lines = [
        f"{title}: {options.epochs} epochs, {options.seeds} seeds; its images: {changes}",
        tables.text([f"what is trained ({last} is the last layer)", "parameters", f"{split} %", "seconds"], body),
    ]
    return figure, lines


def _channels(channels: tuple[int, ...], layer: Layer) -> tuple[int, ...]:
    """`channels` itself. Raises UserError for one that the layer does not have."""
    if bad := [channel for channel in channels if not 0 <= channel < layer.channels]:
        raise UserError(f"layer {layer.name} has channels 0 to {layer.channels - 1}, not {bad[0]}")
    return channels


VIEWS: dict[str, Callable[[Any, TrainedNet, TrainedCNN], Drawn]] = {
    "filters": filters_view,
    "activations": activations_view,
    "maximize": maximize_view,
    "deconvnet": deconvnet_view,
    "occlusion": occlusion_view,
    "transfer": transfer_view,
}

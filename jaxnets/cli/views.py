"""From the options of `jaxnets visualize` to a figure and what is printed beside it: compute, then draw."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.cli import visualize
from jaxnets.config import ImageData
from jaxnets.data import sets
from jaxnets.errors import UserError
from jaxnets.inspect import activations, cnn, deconvnet, filters, maximize, occlusion, transfer
from jaxnets.inspect.cnn import Cnn, Examples, Layer
from jaxnets.record import spread
from jaxnets.report import pictures, tables
from jaxnets.trained import Trained

Drawn = tuple[Any, Sequence[str]]
"""A figure, and lines to print."""
_MOST_LAYERS, _SEARCHED, _SHOWN = 6, 1000, 5


def filters_view(options: visualize.FilterOptions, net: Trained, seen: Cnn) -> Drawn:
    """The weights of a convolution."""
    convolutions = [layer.name for layer in seen.filter_layers()]
    layer = seen.layer(options.layer or convolutions[0])
    if layer.name not in convolutions:
        raise UserError(f"{layer.name} is not a convolution: choose from {', '.join(convolutions)}")
    kernel = filters.kernel(seen.variables["params"], layer)
    height, width, channels, number = kernel.shape
    words = f"{layer.name}: {number} filters of {height}×{width}×{channels}"
    weights = f"weights from {kernel.min():.3g} to {kernel.max():.3g}, standard deviation {kernel.std():.3g}"
    return pictures.filters(kernel, f"{net.experiment.id}, {words}"), [words, weights]


def activations_view(options: visualize.ActivationOptions, net: Trained, seen: Cnn) -> Drawn:
    """Statistics of feature maps."""
    layers = [seen.layer(name) for name in options.layer]
    if not layers:
        known = seen.feature_layers()
        places = np.linspace(0, len(known) - 1, min(len(known), _MOST_LAYERS)).round().astype(int)
        layers = [known[place] for place in places]
    split = cnn.test_split(net)
    images = cnn.examples(net, split, range(min(options.examples, net.data.examples(split)))).images
    found = activations.statistics(seen.features, tuple(layer.name for layer in layers), images)
    header = ["layer", "shape", "mean", "std", "least", "largest", "constant channels"]
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
        for layer, one in zip(layers, found.values(), strict=True)
    ]
    title = f"{net.experiment.id}: activations on {len(images):,} {split} images of {net.data.name}"
    return pictures.activations(found, title), [title, tables.text(header, body)]


def maximize_view(options: visualize.MaximizeOptions, net: Trained, seen: Cnn) -> Drawn:
    """Images that excite channels most."""
    layer = seen.layer(options.layer or seen.filter_layers()[-1].name)
    channels = _channels(options.channels, layer) or tuple(range(min(16, layer.channels)))
    ascent = maximize.Ascent(options.steps, options.rate, options.decay, options.variation, options.jitter)
    score = maximize.mean_activation(lambda images: seen.features(images)[layer.name])
    keys = jax.random.split(jax.random.key(options.seed), len(channels) * options.restarts)
    targets = jnp.repeat(jnp.asarray(channels), options.restarts)
    shape = cnn.examples(net, "train", (0,)).images.shape[1:]
    ends = maximize.climb(score, targets, keys, shape, ascent)
    by_channel = lambda x: np.asarray(x).reshape(len(channels), options.restarts, *x.shape[1:])
    found = jax.tree.map(by_channel, ends)
    is_last = layer.name == list(seen.layers)[-1]
    labels = [seen.class_names[i] if is_last else f"{i}" for i in channels]
    title = f"{net.experiment.id}: images that excite the {'classes' if is_last else f'channels of {layer.name}'} most"
    lines = [
        f"{label}: {start.mean():.3f} for noise, {', '.join(f'{value:.3f}' for value in ends)} after {options.steps} steps"
        for label, start, ends in zip(labels, found.start, found.activation, strict=True)
    ]
    words = f"L2 decay {options.decay:g}, total variation {options.variation:g}, jitter {options.jitter} pixels"
    return pictures.maxima(found, labels, f"{title}\n(activation; {words})"), [title, words, *lines]


def deconvnet_view(options: visualize.DeconvnetOptions, net: Trained, seen: Cnn) -> Drawn:
    """Projections of the strongest activations."""
    # tanh saturates, so that many images would share the first place.
    saturates = getattr(net.experiment.model, "activation", "relu") == "tanh"
    usual = seen.filter_layers() if saturates else seen.feature_layers()
    layer = seen.layer(options.layer or usual[-1].name)
    if not layer.is_spatial:
        maps = [known.name for known in seen.layers.values() if known.is_spatial]
        raise UserError(f"the outputs of {layer.name} are not maps: choose from {', '.join(maps)}")
    channels = _channels(options.channels, layer)
    split = cnn.test_split(net)
    shown = cnn.examples(net, split, range(min(options.examples, net.data.examples(split))))
    best = deconvnet.best_images(lambda images: seen.features(images)[layer.name], shown.images, options.number)
    if not channels:
        channels = tuple(np.flatnonzero(best.activations[:, 0] > 0)[:8].tolist())
    if not channels:
        raise UserError(
            f"no channel of {layer.name} responds to any of {len(shown.images):,} images; choose another --layer"
        )
    chosen = best.images[list(channels)]
    images = shown.images[chosen.ravel()]
    back = deconvnet.project(
        lambda images: seen.deconvolutional(images)[layer.name], images, jnp.repeat(jnp.asarray(channels), chosen.shape[1])
    )
    places = deconvnet.windows(np.asarray(back))
    patches, sent_back = (
        deconvnet.cut(np.asarray(x), places).reshape(*chosen.shape, *2 * (places[0, 2],), -1) for x in (images, back)
    )
    title = f"{net.experiment.id}: what excites channels of {layer.name}, of {len(shown.images):,} {split} images"
    lines = [
        f"channel {channel}: {best.activations[channel, 0]:.3f} to {best.activations[channel, -1]:.3f}, "
        f"images {', '.join(map(str, numbers[:_SHOWN]))}{', …' if len(numbers) > _SHOWN else ''}"
        for channel, numbers in zip(channels, chosen, strict=True)
    ]
    labels = [f"channel {channel}: up to {best.activations[channel, 0]:.2f}" for channel in channels]
    size = f"patches of {places[0, 2]}×{places[0, 2]} pixels: what the projections reach"
    return pictures.projections(patches, sent_back, labels, f"{title}\n({size})"), [title, size, *lines]


def occlusion_view(options: visualize.OcclusionOptions, net: Trained, seen: Cnn) -> Drawn:
    """Sensitivity to a covered square."""
    split = cnn.test_split(net)
    if options.images:
        shown = cnn.examples(net, split, options.images)
    else:
        shown = _correct(cnn.examples(net, split, range(min(_SEARCHED, net.data.examples(split)))), seen)
    height, width = shown.images.shape[1:3]
    if options.side > min(height, width):
        raise UserError(f"side must be at most {min(height, width)}, the image's, got {options.side}")
    measure = jax.jit(lambda x, label: occlusion.sensitivity(seen.probabilities, x, label, options.side, options.stride))
    found = [
        jax.device_get(measure(image, jnp.asarray(label))) for image, label in zip(shown.images, shown.labels, strict=True)
    ]
    whole = np.asarray(jax.jit(seen.probabilities)(shown.images))
    labels, lines = [], []
    for number, label, own, map_ in zip(shown.numbers, shown.labels, whole, found, strict=True):
        name, probability = seen.class_names[label], map_.probability
        labels.append(f"{name} ({split} image {number}): {own[label]:.2f}")
        wrong = np.mean(map_.prediction != label)
        lines.append(
            f"{split} image {number}, {name}: probability {own[label]:.3f} uncovered, {probability.min():.3f} to "
            f"{probability.max():.3f} covered; taken for another class at {100 * wrong:.0f} % of places"
        )
    title = f"{net.experiment.id}: a grey square of {options.side}×{options.side} pixels over the image"
    images = np.asarray(shown.images)
    return pictures.occlusions(images, labels, found, seen.class_names, options.side, title), [title, *lines]


def _correct(examples: Examples, seen: Cnn) -> Examples:
    """Of the classes that come first, an example each: the first that is classified correctly."""
    right = np.asarray(jax.jit(seen.probabilities)(examples.images)).argmax(-1) == examples.labels
    if not right.any():
        raise UserError(f"none of {len(right)} images is classified correctly; choose some with --images")
    _, first = np.unique(examples.labels[right], return_index=True)
    chosen = np.flatnonzero(right)[np.sort(first)[:_SHOWN]]
    return Examples(examples.images[chosen], examples.labels[chosen], examples.numbers[chosen])


def transfer_view(options: visualize.TransferOptions, net: Trained, seen: Cnn) -> Drawn:
    """The last layer on another data set."""
    assert isinstance(net.experiment.data, ImageData)
    shape = cnn.examples(net, "train", (0,)).images.shape[1:]
    data, config, fitted = transfer.fit(sets.open_set(options.data), net.experiment.data, shape)
    experiment = transfer.experiment_on(net.experiment, options.data, config, options.epochs, options.seeds, options.lr)
    last = list(seen.layers)[-1]
    found = transfer.compare(experiment, data, seen.variables)
    split = "test" if "test" in data.splits else "validation"
    body = []
    for label, outcome in found.items():
        accuracy = tables.mean_std(spread(outcome.accuracy), 100)
        body.append([label, f"{outcome.parameters:,}", accuracy, f"{outcome.seconds:.1f}"])
    title = f"{net.experiment.id}, trained on {net.data.name}, on {options.data}"
    figure = pictures.learning({label: outcome.epochs for label, outcome in found.items()}, title)
    lines = [
        f"{title}: {options.epochs} epochs, {options.seeds} seeds; its images: {fitted}",
        tables.text([f"what is trained ({last} is the last layer)", "parameters", f"{split} %", "seconds"], body),
    ]
    return figure, lines


def _channels(asked: tuple[int, ...], layer: Layer) -> tuple[int, ...]:
    """The channels asked for. Raises UserError for one that the layer does not have."""
    if bad := [channel for channel in asked if not 0 <= channel < layer.channels]:
        raise UserError(f"layer {layer.name} has channels 0 to {layer.channels - 1}, not {bad[0]}")
    return asked


VIEWS: dict[str, Callable[[Any, Trained, Cnn], Drawn]] = {
    "filters": filters_view,
    "activations": activations_view,
    "maximize": maximize_view,
    "deconvnet": deconvnet_view,
    "occlusion": occlusion_view,
    "transfer": transfer_view,
}

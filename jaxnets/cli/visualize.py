"""`jaxnets visualize`: pictures of what is inside a trained CNN."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import tyro

from jaxnets.cli.parse import parse
from jaxnets.errors import UserError


@dataclasses.dataclass(frozen=True)
class _Options:
    """Draws what is inside a trained CNN, as a PNG file."""

    run: tyro.conf.Positional[Path]
    """The folder of a run of a CNN, for example runs/cifar10/small_cnn."""
    what: tyro.conf.Positional[Literal["filters", "activations", "maximize", "deconvnet", "occlusion", "transfer"]]
    """The view; `jaxnets visualize RUN WHAT --help` tells the options of each."""
    out: Path | None = None
    """The picture's folder; by default RUN/visualize."""
    replica: int = 0
    """Which of the run's seeds is looked into."""


@dataclasses.dataclass(frozen=True)
class FilterOptions(_Options):
    """The filters of a convolution."""

    layer: str | None = None
    """By default the first convolution."""


@dataclasses.dataclass(frozen=True)
class ActivationOptions(_Options):
    """Mean, standard deviation and histogram of feature maps, by channel, over test images."""

    layer: tuple[str, ...] = ()
    """By default the outputs of activation functions, of at most six layers evenly spread over the depth."""
    examples: int = 1000
    """Test images, from the first on."""


@dataclasses.dataclass(frozen=True)
class MaximizeOptions(_Options):
    """Images that excite a channel most, by gradient ascent with L2 decay, total variation and jitter."""

    layer: str | None = None
    """By default the last convolution. The last dense layer shows the classes."""
    channels: tuple[int, ...] = ()
    """By default the first 16."""
    restarts: int = 2
    """Climbs for each channel, from noise of their own."""
    steps: int = 200
    rate: float = 0.05
    """Size of the first step, in pixel values."""
    decay: float = 1.0
    """L2: pulls towards mid-grey."""
    variation: float = 1.0
    """Total variation: smooths."""
    jitter: int = 2
    """Pixels by which the image is moved about."""
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class DeconvnetOptions(_Options):
    """The test images that excite a channel most, and what in them does, by a deconvolutional network."""

    layer: str | None = None
    """By default the last activation function whose outputs are maps."""
    channels: tuple[int, ...] = ()
    """By default the first 8 that respond at all."""
    number: int = 9
    """Images for each channel."""
    examples: int = 1000
    """Test images that are looked through, from the first on."""


@dataclasses.dataclass(frozen=True)
class OcclusionOptions(_Options):
    """The probability of an image's class while a grey square slides over it."""

    images: tuple[int, ...] = ()
    """Numbers of test images; by default, of the first 1000, one of each of five classes that the net is surest of."""
    side: int = 8
    """Of the square, in pixels."""
    stride: int = 1
    """Pixels between places."""


@dataclasses.dataclass(frozen=True)
class TransferOptions(_Options):
    """Retrains only the last layer on another data set, and compares with training from scratch."""

    data: str = "shapes10"
    """The other data set. Its images are brought to the size and the channels that the net takes."""
    epochs: int = 5
    seeds: int = 3
    lr: float = 1e-3
    """Adam's rate."""


Drawn = tuple[Any, Sequence[str]]
"""A figure, and lines to print."""
_MOST_LAYERS, _SEARCHED, _SHOWN = 6, 1000, 5


def visualize(args: list[str]) -> int:
    """Draws one view of a net."""
    kind = _VIEWS[args[1]][0] if len(args) > 1 and args[1] in _VIEWS else _Options
    options = parse(kind, "visualize" if kind is _Options else f"visualize RUN {args[1]}", args)
    if type(options) is _Options:  # The view stands behind an option.
        options = parse(_VIEWS[options.what][0], f"visualize RUN {options.what}", args)
    _check(options)
    from jaxnets import trained  # Imports jax, which the help text can do without.
    from jaxnets.inspect import cnn
    from jaxnets.parallel import use_compilation_cache
    from jaxnets.record import RunFolder

    experiment = RunFolder(options.run).experiment()
    cnn.check(experiment.model, experiment.data, options.run)
    use_compilation_cache()
    net = trained.load(options.run, options.replica)
    figure, lines = _VIEWS[options.what][1](options, net, cnn.from_trained(net))
    print("\n".join(lines))
    print(f"picture: {_save(figure, options.out or options.run / 'visualize', options.what)}")
    return 0


_LEAST = {"examples": 1, "restarts": 1, "steps": 1, "number": 1, "side": 1, "stride": 1, "epochs": 1, "seeds": 1}
_LEAST |= {"decay": 0, "variation": 0, "jitter": 0, "seed": 0}


def _check(options: Any) -> None:
    for name, value in vars(options).items():
        if name in _LEAST and not value >= _LEAST[name]:
            raise UserError(f"{name} must be at least {_LEAST[name]}, got {value}")
        if name in ("rate", "lr") and not 0 < value < math.inf:
            raise UserError(f"{name} must be a finite number above 0, got {value}")


def _save(figure: Any, folder: Path, name: str) -> Path:
    path = folder / f"{name}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror}; choose another --out") from error
    return path


def _filters(options: FilterOptions, net: Any, seen: Any) -> Drawn:
    from jaxnets.inspect import filters
    from jaxnets.report import views

    convolutions = [layer.name for layer in seen.filter_layers()]
    layer = seen.layer(options.layer or convolutions[0])
    if layer.name not in convolutions:
        raise UserError(f"{layer.name} is not a convolution: choose from {', '.join(convolutions)}")
    kernel = filters.kernel(seen.variables["params"], layer)
    height, width, channels, number = kernel.shape
    words = f"{layer.name}: {number} filters of {height}×{width}×{channels}"
    weights = f"weights from {kernel.min():.3g} to {kernel.max():.3g}, standard deviation {kernel.std():.3g}"
    return views.filters(kernel, f"{net.experiment.id}, {words}"), [words, weights]


def _activations(options: ActivationOptions, net: Any, seen: Any) -> Drawn:
    import numpy as np

    from jaxnets.inspect import activations, cnn
    from jaxnets.report import tables, views

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
    return views.activations(found, title), [title, tables.text(header, body)]


def _maximize(options: MaximizeOptions, net: Any, seen: Any) -> Drawn:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxnets.inspect import cnn, maximize
    from jaxnets.report import views

    layer = seen.layer(options.layer or seen.filter_layers()[-1].name)
    channels = _channels(options.channels, layer) or tuple(range(min(16, layer.channels)))
    ascent = maximize.Ascent(options.steps, options.rate, options.decay, options.variation, options.jitter)
    score = maximize.mean_activation(lambda images: seen.features(images)[layer.name])
    keys = jax.random.split(jax.random.key(options.seed), len(channels) * options.restarts)
    targets = jnp.repeat(jnp.asarray(channels), options.restarts)
    shape = cnn.examples(net, "train", (0,)).images.shape[1:]
    ends = maximize.climb(score, targets, keys, shape, ascent)
    by_channel = lambda x: np.asarray(x).reshape(len(channels), options.restarts, *x.shape[1:])
    found = maximize.Maximum(*map(by_channel, ends))
    is_last = layer.name == list(seen.layers)[-1]
    labels = [seen.class_names[i] if is_last else f"{i}" for i in channels]
    title = f"{net.experiment.id}: images that excite the {'classes' if is_last else f'channels of {layer.name}'} most"
    lines = [
        f"{label}: {start.mean():.3f} for noise, {', '.join(f'{value:.3f}' for value in ends)} after {options.steps} steps"
        for label, start, ends in zip(labels, found.start, found.activation, strict=True)
    ]
    words = f"L2 decay {options.decay:g}, total variation {options.variation:g}, jitter {options.jitter} pixels"
    return views.maxima(found, labels, f"{title}\n(activation; {words})"), [title, words, *lines]


def _deconvnet(options: DeconvnetOptions, net: Any, seen: Any) -> Drawn:
    import jax.numpy as jnp
    import numpy as np

    from jaxnets.inspect import cnn, deconvnet
    from jaxnets.report import views

    layer = seen.layer(options.layer or seen.feature_layers()[-1].name)
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
    return views.projections(patches, sent_back, labels, f"{title}\n({size})"), [title, size, *lines]


def _occlusion(options: OcclusionOptions, net: Any, seen: Any) -> Drawn:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxnets.inspect import cnn, occlusion
    from jaxnets.report import views

    split = cnn.test_split(net)
    if options.images:
        shown = cnn.examples(net, split, options.images)
    else:
        shown = _surest(cnn.examples(net, split, range(min(_SEARCHED, net.data.examples(split)))), seen)
    height, width = shown.images.shape[1:3]
    if options.side > min(height, width):
        raise UserError(f"side must be at most {min(height, width)}, the image's, got {options.side}")
    measure = jax.jit(lambda x, label: occlusion.sensitivity(seen.probabilities, x, label, options.side, options.stride))
    found = [
        occlusion.Sensitivity(*map(np.asarray, measure(image, jnp.asarray(label))))
        for image, label in zip(shown.images, shown.labels, strict=True)
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
    return views.occlusions(images, labels, found, seen.class_names, options.side, title), [title, *lines]


def _surest(examples: Any, seen: Any) -> Any:
    """The example of each class that the net is surest of; of the classes, those of which it is surest."""
    import jax
    import numpy as np

    probabilities = np.asarray(jax.jit(seen.probabilities)(examples.images))
    own = probabilities[np.arange(len(examples.labels)), examples.labels]
    order = np.argsort(-own, kind="stable")
    _, first = np.unique(examples.labels[order], return_index=True)
    chosen = order[np.sort(first)[:_SHOWN]]
    return type(examples)(examples.images[chosen], examples.labels[chosen], examples.numbers[chosen])


def _transfer(options: TransferOptions, net: Any, seen: Any) -> Drawn:
    import numpy as np

    from jaxnets.data import sets
    from jaxnets.inspect import cnn, transfer
    from jaxnets.parallel import split_cpu
    from jaxnets.record import spread
    from jaxnets.report import figures, tables

    split_cpu(options.seeds)
    shape = cnn.examples(net, "train", (0,)).images.shape[1:]
    data, config, fitted = transfer.fit(sets.open_set(options.data), net.experiment.data, shape)
    experiment = transfer.experiment_on(net.experiment, options.data, config, options.epochs, options.seeds, options.lr)
    last = list(seen.layers)[-1]
    found = transfer.compare(experiment, data, last, seen.variables)
    split = "test" if "test" in data.splits else "validation"
    body = []
    for label, outcome in found.items():
        score = spread((100 * np.asarray(outcome.accuracy)).tolist())
        accuracy = f"{score['mean']:.2f}" + (f" ± {score['std']:.2f}" if score["n"] > 1 else "")
        body.append([label, f"{outcome.parameters:,}", accuracy, f"{outcome.seconds:.1f}"])
    title = f"{net.experiment.id}, trained on {net.data.name}, on {options.data}"
    figure = figures.compare({label: outcome.epochs for label, outcome in found.items()}, "accuracy")
    figure.suptitle(title, fontsize=10)
    images = "×".join(map(str, sets.open_set(options.data).splits["train"]["image"].shape[1:]))
    lines = [
        f"{title}: {options.epochs} epochs, {options.seeds} seeds; its {images} images: {fitted}",
        tables.text([f"what is trained ({last} is the last layer)", "parameters", f"{split} %", "seconds"], body),
    ]
    return figure, lines


def _channels(asked: tuple[int, ...], layer: Any) -> tuple[int, ...]:
    """The channels asked for. Raises UserError for one that the layer does not have."""
    if bad := [channel for channel in asked if not 0 <= channel < layer.channels]:
        raise UserError(f"layer {layer.name} has channels 0 to {layer.channels - 1}, not {bad[0]}")
    return asked


_VIEWS: dict[str, tuple[type, Callable[[Any, Any, Any], Drawn]]] = {
    "filters": (FilterOptions, _filters),
    "activations": (ActivationOptions, _activations),
    "maximize": (MaximizeOptions, _maximize),
    "deconvnet": (DeconvnetOptions, _deconvnet),
    "occlusion": (OcclusionOptions, _occlusion),
    "transfer": (TransferOptions, _transfer),
}

"""`jaxnets visualize`: pictures of what is inside a trained CNN."""

import dataclasses
import math
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
    """By default the last activation function whose outputs are maps; of tanh nets the last convolution."""
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
    """Numbers of test images; by default the first of each of five classes that the net classifies correctly."""
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


_KINDS: dict[str, type] = {
    "filters": FilterOptions,
    "activations": ActivationOptions,
    "maximize": MaximizeOptions,
    "deconvnet": DeconvnetOptions,
    "occlusion": OcclusionOptions,
    "transfer": TransferOptions,
}


def visualize(args: list[str]) -> int:
    """Draws one view of a net."""
    kind = _KINDS.get(args[1], _Options) if len(args) > 1 else _Options
    options = parse(kind, "visualize" if kind is _Options else f"visualize RUN {args[1]}", args)
    if type(options) is _Options:  # The view stands behind an option.
        options = parse(_KINDS[options.what], f"visualize RUN {options.what}", args)
    _check(options)
    # These import jax, which the help text can do without.
    from jaxnets import process, trained
    from jaxnets.cli import views
    from jaxnets.inspect import cnn
    from jaxnets.parallel import split_cpu
    from jaxnets.record import RunFolder
    from jaxnets.report import figures

    experiment = RunFolder(options.run).experiment()
    cnn.check(experiment.model, experiment.data, options.run)
    process.prepare()
    if isinstance(options, TransferOptions):
        split_cpu(options.seeds)
    net = trained.load(options.run, options.replica)
    figure, lines = views.VIEWS[options.what](options, net, cnn.from_trained(net))
    print("\n".join(lines))
    path = (options.out or options.run / "visualize") / f"{options.what}.png"
    print(f"picture: {figures.save(figure, path, dpi=130)}")
    return 0


_LEAST = {"examples": 1, "restarts": 1, "steps": 1, "number": 1, "side": 1, "stride": 1, "epochs": 1, "seeds": 1}
_LEAST |= {"decay": 0, "variation": 0, "jitter": 0, "seed": 0}


def _check(options: Any) -> None:
    for name, value in vars(options).items():
        if name in _LEAST and not value >= _LEAST[name]:
            raise UserError(f"{name} must be at least {_LEAST[name]}, got {value}")
        if name in ("rate", "lr") and not 0 < value < math.inf:
            raise UserError(f"{name} must be a finite number above 0, got {value}")

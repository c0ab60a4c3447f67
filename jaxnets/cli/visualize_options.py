"""The options of `jaxnets visualize`, by view."""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro


@dataclasses.dataclass(frozen=True)
class ViewOptions:
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
class FilterOptions(ViewOptions):
    """The filters of a convolution."""

    layer: str | None = None
    """By default the first convolution."""


@dataclasses.dataclass(frozen=True)
class ActivationOptions(ViewOptions):
    """Mean, standard deviation and histogram of feature maps, by channel, over test images."""

    layer: tuple[str, ...] = ()
    """By default the outputs of activation functions, of at most six layers evenly spread over the depth."""
    examples: int = 1000
    """Test images, from the first on."""


@dataclasses.dataclass(frozen=True)
class MaximizeOptions(ViewOptions):
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
    """L2: pulls towards mid-gray."""
    variation: float = 1.0
    """Total variation: smooths."""
    jitter: int = 2
    """Pixels by which the image is moved about."""
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class DeconvnetOptions(ViewOptions):
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
class OcclusionOptions(ViewOptions):
    """The probability of an image's class while a gray square slides over it."""

    images: tuple[int, ...] = ()
    """Numbers of test images; by default the first of each of five classes that the net classifies correctly."""
    side: int = 8
    """Of the square, in pixels."""
    stride: int = 1
    """Pixels between places."""


@dataclasses.dataclass(frozen=True)
class TransferOptions(ViewOptions):
    """Retrains only the last layer on another data set, and compares with training from scratch."""

    data: str = "shapes10"
    """The other data set. Its images are brought to the size and the channels that the net takes."""
    epochs: int = 5
    seeds: int = 3
    lr: float = 1e-3
    """Adam's rate."""


KINDS: dict[str, type[ViewOptions]] = {
    "filters": FilterOptions,
    "activations": ActivationOptions,
    "maximize": MaximizeOptions,
    "deconvnet": DeconvnetOptions,
    "occlusion": OcclusionOptions,
    "transfer": TransferOptions,
}

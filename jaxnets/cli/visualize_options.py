"""The options of `jaxnets visualize`, by view."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxnets.cli.parse import RATE, SEED, Limits, optional, shown_as


@dataclasses.dataclass(frozen=True)
class ViewOptions:
    """Looks inside a trained CNN and writes a PNG file."""

    run: tyro.conf.Positional[Annotated[Path, shown_as("RUN")]]
    """The folder of a run of a CNN, for example runs/cifar10/small_cnn, or the name of a net that comes with jaxnets (see
    `jaxnets nets`)."""
    what: tyro.conf.Positional[Literal["filters", "activations", "maximize", "deconvnet", "occlusion", "transfer"]]
    """The view. `jaxnets visualize RUN VIEW --help` lists the options of each."""
    out: Annotated[Path | None, optional("FOLDER")] = None
    """The folder to write to. Default: RUN/visualize."""
    replica: int = 0
    """Which of the run's replicas to use, counted from 0; a run trains one per seed."""


@dataclasses.dataclass(frozen=True)
class FilterOptions(ViewOptions):
    """Draws the filters of a convolution."""

    layer: Annotated[str | None, optional("NAME")] = None
    """The convolution, such as Conv_0. Default: the first one."""


@dataclasses.dataclass(frozen=True)
class ActivationOptions(ViewOptions):
    """Draws mean, standard deviation and histogram of each channel of feature maps, over test images and positions."""

    layer: Annotated[tuple[str, ...], optional("NAME…")] = ()
    """The layers. Default: up to six activation functions, evenly spread over the depth of the net."""
    examples: Annotated[int, Limits(1)] = 1000
    """The number of test images, from the first one on."""


@dataclasses.dataclass(frozen=True)
class MaximizeOptions(ViewOptions):
    """Finds images that maximize a channel's mean activation, by gradient ascent on the pixels."""

    layer: Annotated[str | None, optional("NAME")] = None
    """The layer. Default: the last convolution. With head, the last layer, images maximize the logits of classes."""
    channels: Annotated[tuple[int, ...], optional("INT…")] = ()
    """The channels, counted from 0. Default: the first 16."""
    restarts: Annotated[int, Limits(1, 1000)] = 2
    """Independent ascents for each channel, each from its own noise."""
    steps: Annotated[int, Limits(1)] = 200
    """Steps of gradient ascent."""
    rate: Annotated[float, RATE] = 0.05
    """Size of the first step, in units of pixel values from 0 to 1. It decays linearly to 0."""
    decay: Annotated[float, Limits(0)] = 1.0
    """Strength of the L2 penalty, which pulls pixels towards mid-gray."""
    variation: Annotated[float, Limits(0)] = 1.0
    """Strength of the penalty on differences between neighboring pixels, which smooths the image."""
    jitter: Annotated[int, Limits(0)] = 2
    """Before each step the image is shifted at random by up to this many pixels."""
    seed: Annotated[int, SEED] = 0
    """Seed of the noise and the shifts."""


@dataclasses.dataclass(frozen=True)
class DeconvnetOptions(ViewOptions):
    """Shows the test images that activate a channel most, and the pixels responsible, by a deconvolutional network."""

    layer: Annotated[str | None, optional("NAME")] = None
    """The layer, whose outputs must be maps. Default: the last activation function; in tanh nets the last convolution."""
    channels: Annotated[tuple[int, ...], optional("INT…")] = ()
    """The channels, counted from 0. Default: the first 8 that respond to any image."""
    number: Annotated[int, Limits(1, 1000)] = 9
    """Images per channel."""
    examples: Annotated[int, Limits(1)] = 1000
    """The number of test images to search, from the first one on."""


@dataclasses.dataclass(frozen=True)
class OcclusionOptions(ViewOptions):
    """Maps the predicted probability of an image's class while a gray square slides over the image."""

    images: Annotated[tuple[int, ...], optional("INT…")] = ()
    """Indices of test images. Default: one correctly classified image of each of the first five classes."""
    side: Annotated[int, Limits(1)] = 8
    """Side of the square, in pixels."""
    stride: Annotated[int, Limits(1)] = 1
    """Distance between neighboring positions of the square, in pixels."""


@dataclasses.dataclass(frozen=True)
class TransferOptions(ViewOptions):
    """Retrains only the last layer on another data set, and compares this with random features and training from scratch."""

    data: str = "shapes10"
    """The other data set. Its images are converted to the size and number of channels that the net takes."""
    epochs: Annotated[int, Limits(1)] = 5
    """Epochs of training."""
    seeds: Annotated[int, Limits(1, 1000)] = 3
    """Replicas, each with its own initial weights and data order."""
    lr: Annotated[float, RATE] = 1e-3
    """Learning rate of Adam."""


KINDS: dict[str, type[ViewOptions]] = {
    "filters": FilterOptions,
    "activations": ActivationOptions,
    "maximize": MaximizeOptions,
    "deconvnet": DeconvnetOptions,
    "occlusion": OcclusionOptions,
    "transfer": TransferOptions,
}

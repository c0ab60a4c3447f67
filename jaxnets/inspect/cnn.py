"""A trained CNN as functions of images in [0, 1]."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import feed, models
from jaxnets.augment import normalize
from jaxnets.config import ImageData
from jaxnets.errors import UserError
from jaxnets.feed import Normalization
from jaxnets.model_config import CnnConfig, LeNetConfig, ModelConfig, ResNetConfig, SmallCnnConfig, TutorialNetConfig
from jaxnets.models import features
from jaxnets.trained import Trained

Array = jax.Array
CNNS = (LeNetConfig, TutorialNetConfig, SmallCnnConfig, CnnConfig, ResNetConfig)


class Layer(NamedTuple):
    """A convolution, an activation function or a dense layer."""

    name: str
    shape: tuple[int, ...]
    """Of its output for one image: (H, W, channels) or (units,)."""

    @property
    def channels(self) -> int:
        """Channels or units."""
        return self.shape[-1]

    @property
    def is_spatial(self) -> bool:
        """Whether its outputs are maps."""
        return len(self.shape) == 3


class Cnn(NamedTuple):
    """A trained CNN. Its methods take images [N, H, W, C] with pixels in [0, 1], as they are before normalisation."""

    model: Any
    variables: Any
    normalization: Normalization
    layers: Mapping[str, Layer]
    """In the order of the forward pass; the last one's outputs are the logits."""
    class_names: tuple[str, ...]

    def features(self, images: Array) -> dict[str, Array]:
        """Every layer's outputs by name."""
        return features.feature_maps(self.model, self.variables, normalize(images, *self.normalization))

    def deconvolutional(self, images: Array) -> dict[str, Array]:
        """The same; its VJP is a deconvolutional network (see jaxnets.models.features.deconvolutional)."""
        return features.deconvolutional(self.features)(images)

    def probabilities(self, images: Array) -> Array:
        """[N, classes]."""
        return jax.nn.softmax(self.model.apply(self.variables, normalize(images, *self.normalization), train=False))

    def layer(self, name: str) -> Layer:
        """The layer called `name`. Raises UserError for an unknown one."""
        if name not in self.layers:
            raise UserError(f"this net has no layer {name!r}: choose from {', '.join(self.layers)}")
        return self.layers[name]

    def feature_layers(self) -> list[Layer]:
        """The activation functions whose outputs are maps."""
        return [layer for layer in self.layers.values() if layer.is_spatial and "Activation" in layer.name]

    def filter_layers(self) -> list[Layer]:
        """The convolutions."""
        return [layer for layer in self.layers.values() if layer.name.rpartition("/")[2].startswith("Conv")]


class Examples(NamedTuple):
    """Labelled images with pixels in [0, 1]."""

    images: Array
    """[N, H, W, C]"""
    labels: np.ndarray
    numbers: np.ndarray
    """Their places in the split."""


def check(model: ModelConfig, data: Any, where: Any) -> None:
    """Raises UserError unless a net of this kind can be looked into."""
    if not isinstance(model, CNNS) or not isinstance(data, ImageData):
        raise UserError(f"{where}: this net is a {type(model).__name__.removesuffix('Config')}, not a CNN for images")


def from_trained(net: Trained) -> Cnn:
    """The CNN of a run."""
    experiment, data = net.experiment, net.data
    config = experiment.data
    assert isinstance(config, ImageData)
    kind = experiment.model
    if isinstance(kind, ResNetConfig):
        # Recomputing blocks is for training, and hides the order of their layers.
        kind = dataclasses.replace(kind, remat=False)
    class_names = tuple(data.meta["class_names"])
    model = models.build(kind, {"classes": len(class_names)})
    shape = jax.eval_shape(lambda: examples(net, "train", (0,)).images).shape
    shapes = features.shapes(model, net.variables, jnp.zeros(shape))
    layers = {name: Layer(name, shape) for name, shape in shapes.items()}
    return Cnn(model, net.variables, feed.image_normalization(config, data.meta), layers, class_names)


def examples(net: Trained, split: str, numbers: Sequence[int]) -> Examples:
    """Images of a split as the net sees them, shrunk and grey where its experiment says so, but not yet normalised.

    Raises UserError for numbers that the split does not have.
    """
    config = net.experiment.data
    assert isinstance(config, ImageData)
    arrays, known = net.data.splits[split], net.data.examples(split)
    if bad := [number for number in numbers if not 0 <= number < known]:
        raise UserError(f"the {split} split of {net.data.name} has images 0 to {known - 1}, not {bad[0]}")
    places = np.asarray(numbers)
    chosen = {field: jnp.asarray(array[places]) for field, array in arrays.items()}
    channels = 1 if config.grey else arrays["image"].shape[-1]
    make = feed.images(config, Normalization((0.0,) * channels, (1.0,) * channels))
    made = make(chosen, jnp.arange(len(places)), None)
    return Examples(made["image"], np.asarray(arrays["label"][places]), places)


def test_split(net: Trained) -> str:
    """The split of images that the net was not trained on: "test", or "validation" where there is no test split."""
    return "test" if "test" in net.data.splits else "validation"

"""A trained CNN as functions of images in [0, 1]."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import models
from jaxnets.config import ImageData, with_field
from jaxnets.errors import UserError
from jaxnets.models import features
from jaxnets.models.features import Layer
from jaxnets.pipeline import images
from jaxnets.pipeline.augment import normalize
from jaxnets.pipeline.images import Normalization
from jaxnets.runs.load import TrainedNet

Array = jax.Array


class TrainedCNN(NamedTuple):
    """A trained CNN. Its methods take images [N, H, W, C] with pixels in [0, 1], as they are before normalization."""

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
        return [layer for layer in self.layers.values() if layer.is_spatial and layer.kind == "activation"]

    def filter_layers(self) -> list[Layer]:
        """The convolutions."""
        return [layer for layer in self.layers.values() if layer.kind == "conv"]


class Examples(NamedTuple):
    """Labeled images with pixels in [0, 1]."""

    images: Array
    """[N, H, W, C]"""
    labels: np.ndarray
    numbers: np.ndarray
    """Their places in the split."""


def from_trained(net: TrainedNet) -> TrainedCNN:
    """The CNN of a run. Raises UserError for a net that is not one."""
    experiment, meta = net.experiment, net.dataset.meta
    name = type(experiment.model).__name__.removesuffix("Config")
    if not isinstance(experiment.data, ImageData):
        raise UserError(f"{experiment.id}: this net is a {name}, not a CNN for images")
    # Recomputing blocks is for training, and hides the order of their layers.
    config = with_field(experiment.model, "remat", False) if hasattr(experiment.model, "remat") else experiment.model
    class_names = tuple(meta["class_names"])
    model = models.build(config, {"classes": len(class_names)} if hasattr(net.model, "classes") else {})
    shape = jax.eval_shape(lambda: examples(net, "train", (0,)).images).shape
    layers = features.layers(model, net.variables, jnp.zeros(shape))
    if not {"conv", "activation"} <= {layer.kind for layer in layers.values()}:
        raise UserError(f"{experiment.id}: this net is a {name}, not a CNN whose layers can be looked into")
    constants = images.normalization(experiment.data, meta)
    return TrainedCNN(model, net.variables, constants, layers, class_names)


def examples(net: TrainedNet, split: str, numbers: Sequence[int]) -> Examples:
    """Images of a split as the net sees them, shrunk and gray where its experiment says so, but not yet normalized.

    Raises UserError for numbers that the split does not have.
    """
    config = net.experiment.data
    assert isinstance(config, ImageData)
    arrays, known = net.dataset.splits[split], net.dataset.examples(split)
    if bad := [number for number in numbers if not 0 <= number < known]:
        raise UserError(f"the {split} split of {net.dataset.name} has images 0 to {known - 1}, not {bad[0]}")
    places = np.asarray(numbers)
    chosen = {field: jnp.asarray(array[places]) for field, array in arrays.items()}
    channels = 1 if config.gray else arrays["image"].shape[-1]
    make_batch = images.image_batches(config, Normalization((0.0,) * channels, (1.0,) * channels))
    batch = make_batch(chosen, jnp.arange(len(places)), None)
    return Examples(batch["image"], np.asarray(arrays["label"][places]), places)


def test_split(net: TrainedNet) -> str:
    """The split of images that the net was not trained on: "test", or "validation" where there is no test split."""
    return "test" if "test" in net.dataset.splits else "validation"

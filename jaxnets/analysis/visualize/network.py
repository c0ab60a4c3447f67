"""A trained CNN as functions of images in [0, 1]."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import models
from jaxnets.config import Experiment, ImageData, with_field
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.models import features
from jaxnets.models.features import Layer
from jaxnets.pipeline import images
from jaxnets.pipeline.augment import normalize
from jaxnets.pipeline.images import Normalization
from jaxnets.runs import fingerprint
from jaxnets.runs.load import TrainedNet

Array = jax.Array


class TrainedCNN(NamedTuple):
    """A trained CNN. Its methods take images [N, H, W, C] with pixels in [0, 1], before normalization."""

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
        """The same outputs; the VJP is a deconvolutional network (see jaxnets.models.features.deconvolutional)."""
        return features.deconvolutional(self.features)(images)

    def probabilities(self, images: Array) -> Array:
        """Predicted class probabilities, [N, classes]."""
        return jax.nn.softmax(self.model.apply(self.variables, normalize(images, *self.normalization), train=False))

    def layer(self, name: str) -> Layer:
        """The layer called `name`. Raises UserError if there is none."""
        if name not in self.layers:
            raise UserError(f"this net has no layer {name!r}: choose from {', '.join(self.layers)}")
        return self.layers[name]

    def feature_layers(self) -> list[Layer]:
        """The activation functions whose outputs are feature maps, in the order of the forward pass."""
        return [layer for layer in self.layers.values() if layer.is_spatial and layer.kind == "activation"]

    def filter_layers(self) -> list[Layer]:
        """The convolutions, in the order of the forward pass."""
        return [layer for layer in self.layers.values() if layer.kind == "conv"]


class Examples(NamedTuple):
    """Labeled images with pixels in [0, 1]."""

    images: Array
    """[N, H, W, C]"""
    labels: np.ndarray
    numbers: np.ndarray
    """Their indices in the split."""


def check_images(experiment: Experiment, folder: Path) -> None:
    """Raises UserError, which names the run's folder, if its net does not take images."""
    if not isinstance(experiment.data, ImageData):
        raise UserError(f"{folder}: this net is a {_model_name(experiment)}, not a CNN for images")


def _model_name(experiment: Experiment) -> str:
    return type(experiment.model).__name__.removesuffix("Config")


def from_trained(net: TrainedNet, folder: Path) -> TrainedCNN:
    """The CNN of the run in `folder`. Raises UserError, which names the folder, if the net is not a CNN."""
    experiment, meta = net.experiment, net.spec.meta
    check_images(experiment, folder)
    assert isinstance(experiment.data, ImageData)
    # Rematerialized blocks save memory in training, and hide the order of their layers.
    config = with_field(experiment.model, "remat", False) if hasattr(experiment.model, "remat") else experiment.model
    class_names = tuple(meta["class_names"])
    model = models.build(config, {"classes": len(class_names)} if hasattr(net.model, "classes") else {})
    shape = jax.eval_shape(lambda: _prepared(experiment, net.spec, "train", np.zeros(1, int))).shape
    layers = features.layers(model, net.variables, jnp.zeros(shape))
    if not {"conv", "activation"} <= {layer.kind for layer in layers.values()}:
        raise UserError(f"{folder}: this net is a {_model_name(experiment)}, which has no convolutions to look into")
    constants = images.normalization(experiment.data, meta)
    return TrainedCNN(model, net.variables, constants, layers, class_names)


def examples(net: TrainedNet, split: str, numbers: Sequence[int]) -> Examples:
    """The images at the indices `numbers` of a split, as the net sees them before normalization.

    They are shrunk and turned gray if the experiment says so. Raises UserError for an index outside the split.
    """
    dataset = catalog.open_data(net.experiment.data)
    if fingerprint.facts(dataset) != fingerprint.facts(net.spec):
        raise UserError(
            f"{dataset.name} changed since this net was trained on it: its classes or the mean of its images differ"
        )
    size = dataset.examples(split)
    if bad := [number for number in numbers if not 0 <= number < size]:
        raise UserError(f"the {split} split of {dataset.name} has images 0 to {size - 1}, not {bad[0]}")
    places = np.asarray(numbers)
    labels = np.asarray(dataset.splits[split]["label"][places])
    return Examples(_prepared(net.experiment, dataset, split, places), labels, places)


def _prepared(experiment: Experiment, dataset: Dataset, split: str, places: np.ndarray) -> Array:
    """Images [N, H, W, C] of a split in [0, 1], shrunk and turned gray if the experiment says so."""
    config = experiment.data
    assert isinstance(config, ImageData)
    chosen = jnp.asarray(dataset.splits[split]["image"][places])
    channels = 1 if config.gray else chosen.shape[-1]
    return images.for_evaluation(config, Normalization((0.0,) * channels, (1.0,) * channels), chosen)


def test_split(net: TrainedNet) -> str:
    """The split to look at: "test", or "validation" for data without a test split."""
    return "test" if "test" in net.spec.splits else "validation"

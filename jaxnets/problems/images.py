"""Classification of images, and their reconstruction."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import feed, metrics, tasks
from jaxnets.config import Experiment, ImageData
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.feed import Make
from jaxnets.model_config import AutoencoderConfig, MlpConfig
from jaxnets.problems.problem import Problem, check_batch, check_fields, evaluation
from jaxnets.record import Pictures

_SHOWN, _EACH = "AHOV2", 2
"""Classes whose reconstructions report S2 shows, and how many of each."""


def build(experiment: Experiment, data: Prepared) -> Problem:
    """Labelled images. An autoencoder reconstructs them, other models tell their class."""
    config = experiment.data
    assert isinstance(config, ImageData)
    check_fields(experiment.id, data, "image", "label")
    check_batch(experiment.id, config.batch_size, data)
    shape = data.splits["train"]["image"].shape[1:]
    if shape[0] % config.shrink or shape[1] % config.shrink:
        raise UserError(
            f"{experiment.id}: data.shrink {config.shrink} does not divide the {shape[0]}×{shape[1]} pixels of {data.name}"
        )
    make = feed.images(config, feed.image_normalization(config, data.meta))
    first = {field: array[:1] for field, array in data.splits["train"].items()}
    image = jax.eval_shape(lambda arrays: make(arrays, jnp.zeros(1, jnp.int32), None), first)["image"]
    labels = tuple(data.meta["class_names"])
    rebuilds = isinstance(experiment.model, AutoencoderConfig)
    if rebuilds and config.normalize != "unit":
        raise UserError(f"{experiment.id}: an autoencoder's pixels lie in [0, 1]: data.normalize must be unit")

    def portray(model: Any, before: Any, after: Any) -> Mapping[str, Pictures]:
        if rebuilds:
            return _reconstructions(model, after, data, make)
        return {
            f"First-layer weights {when} training": _weights(variables["params"]["Dense_0"]["kernel"], image.shape[1:])
            for when, variables in (("before", before), ("after", after))
        }

    return Problem(
        task=tasks.reconstruct() if rebuilds else tasks.classify("image"),
        sizes={} if rebuilds else {"classes": len(labels)},
        inputs=(jnp.zeros(image.shape),),
        arrays=data.splits,
        train=feed.shuffled(config.batch_size, data.examples("train"), make, config.drop_last),
        evaluate=evaluation(experiment, data, make),
        examples=config.batch_size,
        labels=() if rebuilds else labels,
        portray=portray if rebuilds or isinstance(experiment.model, MlpConfig) else None,
    )


def classify(model: Any, variables: Any, meta: Mapping[str, Any], config: ImageData, pictures: np.ndarray) -> np.ndarray:
    """Probabilities [N, classes] for uint8 pictures [N, H, W, C], which are treated as in evaluation.

    Raises UserError for a model that does not tell classes.
    """
    make = feed.images(config, feed.image_normalization(config, meta))
    arrays = {"image": jnp.asarray(pictures), "label": jnp.zeros(len(pictures), jnp.int32)}

    @jax.jit
    def probabilities(variables: Any, arrays: feed.Arrays) -> jax.Array:
        batch = make(arrays, jnp.arange(len(pictures)), None)
        return jax.nn.softmax(model.apply(variables, *tasks.classify("image").inputs(batch), train=False))

    if jax.eval_shape(probabilities, variables, arrays).shape != (len(pictures), len(meta["class_names"])):
        raise UserError("this net does not tell classes of images; choose one that was trained to classify")
    return np.asarray(probabilities(variables, arrays))


def _weights(kernel: Any, shape: tuple[int, ...]) -> Pictures:
    """What each unit of a dense layer [H · W · C, units] on images looks for."""
    units = np.moveaxis(np.asarray(kernel).reshape(*shape, -1), -1, 0)
    columns = math.ceil(math.sqrt(2 * len(units)))
    rows = -(-len(units) // columns)
    padded = np.concatenate([units, np.zeros((rows * columns - len(units), *shape))])
    return Pictures(padded.reshape(rows, columns, *shape), signed=True)


def _reconstructions(model: Any, variables: Any, data: Prepared, make: Make) -> Mapping[str, Pictures]:
    """Validation images of some classes above what the model makes of them, with the PSNR of each."""
    split = data.splits["validation"]
    names = data.meta["class_names"]
    shown = [i for i, name in enumerate(names) if name in _SHOWN] or list(range(min(len(names), len(_SHOWN))))
    chosen = np.concatenate([np.flatnonzero(split["label"] == label)[:_EACH] for label in shown])
    arrays = {field: jnp.asarray(array[chosen]) for field, array in split.items()}
    images = make(arrays, jnp.arange(len(chosen)), None)["image"]
    found = model.apply(variables, images, train=False)
    decibels = [metrics.psnr(found[i : i + 1], images[i : i + 1], jnp.ones(1)).value for i in range(len(chosen))]
    titles = [f"{names[label]}\n{psnr:.1f} dB" for label, psnr in zip(split["label"][chosen], decibels, strict=True)]
    pictures = Pictures(np.stack([np.asarray(images), np.asarray(found)]), titles)
    return {"Validation images and their reconstructions": pictures}

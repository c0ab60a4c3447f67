"""Classification of images."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import feed, tasks
from jaxnets.config import Experiment, ImageData
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.problems.problem import Problem, check_batch, check_fields


def build(experiment: Experiment, data: Prepared) -> Problem:
    """Labelled images."""
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
    return Problem(
        task=tasks.classify("image"),
        sizes={"classes": len(labels)},
        inputs=(jnp.zeros(image.shape),),
        arrays=data.splits,
        train=feed.shuffled(config.batch_size, data.examples("train"), make, config.drop_last),
        evaluate=lambda split: feed.in_order(experiment.eval_batch_size, data.examples(split), make),
        examples=config.batch_size,
        labels=labels,
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

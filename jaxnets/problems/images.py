"""Classification of images."""

import jax.numpy as jnp

from jaxnets import feed, tasks
from jaxnets.config import Experiment, ImageData
from jaxnets.data.store import Prepared
from jaxnets.problems.problem import Problem, check_batch, check_fields


def build(experiment: Experiment, data: Prepared) -> Problem:
    """Labelled images."""
    config = experiment.data
    assert isinstance(config, ImageData)
    check_fields(experiment.id, data, "image", "label")
    check_batch(experiment.id, config.batch_size, data)
    make = feed.images(config, feed.image_normalization(config, data.meta))
    labels = tuple(data.meta["class_names"])
    return Problem(
        task=tasks.classify("image"),
        sizes={"classes": len(labels)},
        inputs=(jnp.zeros((1, *data.splits["train"]["image"].shape[1:])),),
        arrays=data.splits,
        train=feed.shuffled(config.batch_size, data.examples("train"), make, config.drop_last),
        evaluate=lambda split: feed.in_order(experiment.eval_batch_size, data.examples(split), make),
        examples=config.batch_size,
        labels=labels,
    )

"""What an experiment asks for, with its data at hand: the parts that differ between images, text and what else may come."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import feed, tasks
from jaxnets.config import Experiment, ImageData
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.feed import Feed
from jaxnets.tasks import Task


class Problem(NamedTuple):
    """All that the engine needs to know of a task and its data."""

    task: Task
    sizes: Mapping[str, int]
    """What the model is built for, such as {"classes": 10}."""
    inputs: tuple[jax.Array, ...]
    """Sample inputs of the model; their values do not matter."""
    arrays: Mapping[str, Mapping[str, np.ndarray]]
    """The splits."""
    train: Feed
    evaluate: Callable[[str], Feed]
    """The feed of a split, for evaluation."""
    examples: int
    """Examples in a training batch."""
    labels: tuple[str, ...]
    """Names of the classes; empty where there are none."""


def build(experiment: Experiment, data: Prepared) -> Problem:
    """The problem for `experiment.data`'s kind. Raises UserError for sizes that do not fit."""
    return _PROBLEMS[type(experiment.data)](experiment, experiment.data, data)


def _classify_images(experiment: Experiment, config: ImageData, data: Prepared) -> Problem:
    examples = data.examples("train")
    check_batch(experiment.id, config.batch_size, data)
    normalization = feed.image_normalization(config, data.meta)
    shape = data.splits["train"]["image"].shape[1:]
    labels = tuple(data.meta["class_names"])
    return Problem(
        task=tasks.classify(),
        sizes={"classes": len(labels)},
        inputs=(jnp.zeros((1, *shape)),),
        arrays=data.splits,
        train=feed.train_images(config, examples, normalization),
        evaluate=lambda split: feed.eval_images(experiment.eval_batch_size, data.examples(split), normalization),
        examples=config.batch_size,
        labels=labels,
    )


def check_batch(id_: str, batch_size: int, data: Prepared) -> None:
    """Raises UserError if a batch would be larger than the training split."""
    examples = data.examples("train")
    if batch_size > examples:
        raise UserError(
            f"{id_}: data.batch_size {batch_size} is larger than the training split of {data.name} ({examples} examples); "
            f"choose at most {examples}"
        )


_PROBLEMS: dict[type, Any] = {ImageData: _classify_images}

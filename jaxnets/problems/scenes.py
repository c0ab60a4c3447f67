"""Classification of images by their visual words."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import feed, tasks
from jaxnets.config import BowData, Experiment
from jaxnets.data.store import Prepared, Splits
from jaxnets.feed import Arrays
from jaxnets.problems.problem import Problem, check_batch, check_fields, evaluation
from jaxnets.scenes import bow, pyramid

Array = jax.Array


def build(experiment: Experiment, data: Prepared) -> Problem:
    """Labelled images as spatial pyramids of words. The words are counted when the arrays are first asked for.

    The model sees the square roots of a pyramid's values: the product of two such rows is the Bhattacharyya coefficient of
    the pyramids, which, unlike that of the values, does not hang on the few most frequent words.
    """
    config = experiment.data
    assert isinstance(config, BowData)
    check_fields(experiment.id, data, "image", "label")
    check_batch(experiment.id, config.batch_size, data)
    counted = functools.cache(lambda: bow.counts(config, data))

    def make(arrays: Arrays, indices: Array, key: Any) -> Mapping[str, Array]:
        pyramids = pyramid.pyramid(arrays["counts"][indices].astype(jnp.int32), config.levels)
        return {"pyramid": jnp.sqrt(pyramids), "label": arrays["label"][indices]}

    def nearest() -> dict[str, float]:
        held_out = [split for split in data.splits if split != "train"]
        return {f"{split}_nearest_accuracy": bow.nearest_accuracy(counted(), split, config.levels) for split in held_out}

    labels = tuple(data.meta["class_names"])
    return Problem(
        task=tasks.classify("pyramid"),
        sizes={"classes": len(labels)},
        inputs=(jnp.zeros((1, pyramid.regions(config.levels) * config.words)),),
        arrays=_Later(tuple(data.splits), counted),
        train=feed.shuffled(config.batch_size, data.examples("train"), make, drop_last=False),
        evaluate=evaluation(experiment, data, make),
        examples=config.batch_size,
        labels=labels,
        baseline=nearest,
    )


class _Later(Mapping[str, Mapping[str, Any]]):
    """Splits by name, made when one of them is first asked for."""

    def __init__(self, names: tuple[str, ...], make: Callable[[], Splits]) -> None:
        self._names, self._make = names, make

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._make()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

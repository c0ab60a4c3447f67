"""Classification of images by their visual words (report S2 Q6.1.4)."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxnets.config import Experiment
from jaxnets.data.store import Dataset, Splits
from jaxnets.pipeline import loaders
from jaxnets.pipeline.loaders import Arrays
from jaxnets.pipeline.visual_words import bow, pyramid
from jaxnets.tasks import classification
from jaxnets.tasks.task import PredictorBase, Task, check_batch_size, check_fields, eval_loader

Array = jax.Array

TAKES_LOSS = True


def build(experiment: Experiment, dataset: Dataset) -> Task:
    """Batches of "pyramid" [N, D], spatial pyramids of visual words, and "label" [N].

    The words are counted when the arrays are first asked for. The model sees the square roots of a pyramid's values: the
    product of two such rows is the Bhattacharyya coefficient of the pyramids, which, unlike the product of the values,
    does not depend on the few most frequent words alone.
    """
    config: Any = experiment.data
    check_fields(experiment, dataset, "image", "label")
    check_batch_size(experiment, dataset)
    counted = functools.cache(lambda: bow.counts(config, dataset))

    def gather(arrays: Arrays, indices: Array, key: Any) -> Mapping[str, Array]:
        pyramids = pyramid.pyramid(arrays["counts"][indices].astype(jnp.int32), config.levels)
        return {"pyramid": jnp.sqrt(pyramids), "label": arrays["label"][indices]}

    def nearest() -> dict[str, float]:
        held_out = [split for split in dataset.splits if split != "train"]
        return {f"{split}_nearest_accuracy": bow.nearest_accuracy(counted(), split, config.levels) for split in held_out}

    class_names = tuple(dataset.meta["class_names"])
    return Task(
        objective=classification.objective("pyramid", loss=experiment.loss),
        sizes={"classes": len(class_names)},
        sample_inputs=(jnp.zeros((1, pyramid.regions(config.levels) * config.dictionary_size)),),
        arrays=_Lazy(tuple(dataset.splits), counted),
        train_loader=loaders.train_batches(config.batch_size, dataset.examples("train"), gather, drop_last=False),
        eval_loader=eval_loader(experiment, dataset, gather),
        examples_per_step=config.batch_size,
        class_names=class_names,
        baseline=nearest,
    )


@dataclasses.dataclass(frozen=True)
class Predictor(PredictorBase):
    """Classifies images by their visual words."""

    command: ClassVar[str] = "report"

    def __call__(self, pyramids: Array) -> Array:
        """Probabilities [N, classes] for batches' "pyramid" [N, D]."""
        return jax.nn.softmax(self.model.apply(self.variables, pyramids, train=False))


class _Lazy(Mapping[str, Mapping[str, Any]]):
    """Splits by name, made when one of them is first asked for."""

    def __init__(self, names: tuple[str, ...], make: Callable[[], Splits]) -> None:
        self._names, self._make = names, make

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._make()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

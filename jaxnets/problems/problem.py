"""All that the engine needs to know of a task and its data."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnets import feed
from jaxnets.config import Experiment
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.feed import Feed, Make
from jaxnets.record import Pictures
from jaxnets.tasks import Task


class Generated(NamedTuple):
    """What a trained model wrote."""

    figures: Mapping[str, float]
    """Measured on it, by split and measure: {"test_bleu": 31.2}."""
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    """Examples to read."""


class Problem(NamedTuple):
    """A task and its data."""

    task: Task
    sizes: Mapping[str, int]
    """What the model is built for, such as {"classes": 10}."""
    inputs: tuple[Any, ...]
    """Sample inputs of the model; their values do not matter."""
    arrays: Mapping[str, Mapping[str, np.ndarray]]
    """The splits."""
    train: Feed
    evaluate: Callable[[str], Feed]
    """The feed of a split, for evaluation."""
    examples: int
    """Examples in a training batch."""
    labels: tuple[str, ...] = ()
    """Names of the classes; empty where there are none."""
    carry: Any = ()
    """What the first training batch takes over from none."""
    eval_carry: Any = ()
    """The same for evaluation."""
    generate: Callable[[Any, Any, jax.Array], Generated] | None = None
    """(model, its variables, key) -> texts; for models that write some."""
    portray: Callable[[Any, Any, Any], Mapping[str, Pictures]] | None = None
    """(model, its variables before training, those after) -> pictures by caption; for models that can be looked at so."""
    baseline: Callable[[], Mapping[str, float]] = dict
    """Figures of a rule that needs no training, by split and measure: {"test_nearest_accuracy": 0.7}."""


def evaluation(experiment: Experiment, data: Prepared, make: Make) -> Callable[[str], Feed]:
    """`Problem.evaluate` where examples are independent: those of a split in order, as many as the experiment asks for."""
    return lambda split: feed.in_order(experiment.eval_batch_size, data.examples(split), make, experiment.eval_examples)


def check_batch(id_: str, batch_size: int, data: Prepared) -> None:
    """Raises UserError if a batch would be larger than the training split."""
    examples = data.examples("train")
    if batch_size > examples:
        raise UserError(
            f"{id_}: data.batch_size {batch_size} is larger than the training split of {data.name} ({examples} examples); "
            f"choose at most {examples}"
        )


def check_fields(id_: str, data: Prepared, *wanted: str) -> None:
    """Raises UserError if the set is of another kind than the experiment needs."""
    fields = data.splits["train"]
    if missing := [field for field in wanted if field not in fields]:
        raise UserError(
            f"{id_}: data set {data.name} has no {' or '.join(missing)}, only {', '.join(fields)}; it is of another kind"
        )

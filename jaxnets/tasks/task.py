"""All that the training engine knows of a task: its data on the way to the model, its objective, and hooks on the trained
model.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from jaxnets import registry
from jaxnets.config import Experiment, Loss
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.pipeline import loaders
from jaxnets.pipeline.loaders import Batch, Gather, Loader
from jaxnets.tasks.metrics import Derived, Metrics

Array = jax.Array


def apply_once(apply: Callable, inputs: tuple[Any, ...]) -> Any:
    """The outputs of a model, called once."""
    return apply(*inputs)


class Objective(NamedTuple):
    """What a model is trained and judged by. The functions are pure; `outputs` is what the model returned for
    `inputs(batch)`.
    """

    inputs: Callable[[Batch], tuple[Any, ...]]
    """The model's positional arguments."""
    metrics: Callable[[Any, Batch], Metrics]
    """Metrics of every training step and evaluation. Training minimizes "loss", which is among them."""
    monitor: str
    """The metric that decides which epoch was best."""
    higher_is_better: bool
    predictions: Callable[[Any, Batch], dict[str, Array]] = lambda outputs, batch: {}
    """What a full evaluation keeps of every example: "logits" [N, C], "label" and "mask" [N]; {} if nothing."""
    derived: Derived = MappingProxyType({})
    """Metrics that follow from the mean of another."""
    train_metrics: Callable[[Any, Batch], Metrics] | None = None
    """Metrics of training steps, where they are not those of evaluation: other targets, as by label smoothing."""
    predict: Callable[[Callable, tuple[Any, ...]], Any] = apply_once
    """(the model in evaluation mode, its inputs) -> outputs of a full evaluation, which averages views of an input."""
    with_carry: Callable[[Batch, Any], Batch] = lambda batch, carry: batch
    """(batch, carry) -> the batch with the carried state; for models that continue where the batch before ended."""
    carry: Callable[[Any], Any] = lambda outputs: ()
    """The state that the next batch starts from, from these outputs."""


class GeneratedSamples(NamedTuple):
    """Texts that a trained model generated."""

    metrics: Mapping[str, float]
    """Measured on them, by split and metric: {"test_bleu": 31.2}."""
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    """Examples to read."""


class ImageGrid(NamedTuple):
    """Images of a trained model, to look at."""

    images: np.ndarray
    """[rows, columns, H, W, C]; in [0, 1], or `signed`."""
    titles: Sequence[str] = ()
    """Of the columns."""
    signed: bool = False
    """Whether values are weights around 0."""


class Task(NamedTuple):
    """A task with its data at hand."""

    objective: Objective
    sizes: Mapping[str, int]
    """What the model is built for, such as {"classes": 10}: keyword arguments of its module."""
    sample_inputs: tuple[Any, ...]
    """Inputs to initialize the model with; only their shapes matter."""
    arrays: Mapping[str, Mapping[str, np.ndarray]]
    """The splits, by field."""
    train_loader: Loader
    eval_loader: Callable[[str], Loader]
    """The loader of a split, for evaluation."""
    examples_per_step: int
    class_names: tuple[str, ...] = ()
    """Empty where there are no classes."""
    carry: Any = ()
    """The state that the first training batch starts from, for example a zero RNN state."""
    eval_carry: Any = ()
    """The same for evaluation."""
    generate: Callable[[Any, Any, Array], GeneratedSamples] | None = None
    """(model, variables, key) -> texts; for models that generate some."""
    visualize: Callable[[Any, Any, Any], Mapping[str, ImageGrid]] | None = None
    """(model, variables before training, variables after) -> images by caption; for models whose insides can be drawn."""
    check_packages: Callable[[], Any] = lambda: None
    """Raises UserError where a package is missing that `generate` needs: called before training, not after hours of it."""
    baseline: Callable[[], Mapping[str, float]] = dict
    """Metrics of a rule that needs no training, by split and metric: {"test_nearest_accuracy": 0.7}."""


@dataclasses.dataclass(frozen=True)
class PredictorBase:
    """A trained model and what it needs to answer questions. Each task's `Predictor` adds the questions; it can be
    called with the one that is asked most.
    """

    model: Any
    variables: Any
    """As Flax's `apply` takes them, "params" included."""
    meta: Mapping[str, Any]
    """The data set's vocabularies, class names and normalization."""
    experiment: Experiment

    command: ClassVar[str]
    """The `jaxnets` command that asks them."""


def build(experiment: Experiment, dataset: Dataset) -> Task:
    """The task of an experiment, by its module's `build`. Raises UserError for data or sizes that do not fit."""
    module = registry.resolve(experiment.task)
    if experiment.loss != Loss() and not getattr(module, "TAKES_LOSS", False):
        raise UserError(f"{experiment.id}: loss is for classifiers; {experiment.task.rpartition('.')[2]} has its own")
    return module.build(experiment, dataset)


def eval_loader(experiment: Experiment, dataset: Dataset, gather: Gather) -> Callable[[str], Loader]:
    """`Task.eval_loader` where examples are independent: those of a split in order, at most `experiment.eval_examples`."""
    return lambda split: loaders.eval_batches(
        experiment.eval_batch_size, dataset.examples(split), gather, experiment.eval_examples
    )


def check_batch_size(experiment: Experiment, dataset: Dataset) -> None:
    """Raises UserError if a batch is larger than the training split."""
    batch_size, examples = experiment.data.batch_size, dataset.examples("train")
    if batch_size > examples:
        raise UserError(
            f"{experiment.id}: data.batch_size {batch_size} is larger than the training split of {dataset.name} "
            f"({examples} examples); choose at most {examples}, as by --data.batch-size {max(examples // 8, 1)}"
        )


def check_fields(experiment: Experiment, dataset: Dataset, *required: str) -> None:
    """Raises UserError if the data set is of another kind than the task needs."""
    fields = dataset.splits["train"]
    if missing := [field for field in required if field not in fields]:
        raise UserError(
            f"{experiment.id}: data set {dataset.name} has no {' or '.join(missing)}, only {', '.join(fields)}; it is of "
            "another kind"
        )

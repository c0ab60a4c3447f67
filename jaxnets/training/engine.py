"""From an experiment and its data set to the compiled functions that training calls."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import models
from jaxnets.config import Experiment
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.models import pretrained as pretrained_weights
from jaxnets.models.pretrained import Pretrained
from jaxnets.optim import optimizer
from jaxnets.tasks import task as tasks
from jaxnets.tasks.task import Task
from jaxnets.training import parallel, state
from jaxnets.training.memory import Costs
from jaxnets.training.packing import GPUS, LIMIT
from jaxnets.training.parallel import Layout
from jaxnets.training.state import Stream, TrainState
from jaxnets.training.step import make_evaluate, make_train_step, multi_step

Array = jax.Array

_INIT_EXAMPLES = 5000
"""Training examples, evenly spaced, from which models that want that are initialized."""


class Programs(NamedTuple):
    """What an experiment computes, mapped over seeds and laid out, and not yet compiled.

    Arguments and results are trees with a leading seed axis [S], but for the last argument, which all seeds share. Making
    these touches no device; `Layout.platform` alone decides what they are lowered to.
    """

    task: Task
    model: Any
    layout: Layout
    create: Any
    """(keys [S], hyperparameters, variables by seed, variables for all) -> initial state."""
    epoch_indices: Any
    """(keys [S], epoch) -> indices [S, steps_per_epoch, ...]."""
    train: Any
    """(state, indices [S, K, ...], training arrays) -> (state, metrics [S, K]): K steps. The state is donated."""
    evaluate: Callable[[str, bool], Any]
    """(split, whether in full) -> the function (variables, arrays) -> (metrics [S], predictions [S, N, ...]), which
    `make_evaluate` describes."""
    hyperparams: Mapping[str, np.ndarray]
    """Those that differ between replicas, [S] each."""
    total_steps: int


class Engine(NamedTuple):
    """The functions of one experiment. All trees have a leading seed axis [S]."""

    task: Task
    model: Any
    init: Callable[[], TrainState]
    epoch_indices: Callable[[Array, int], Any]
    """(keys [S], epoch) -> indices [S, steps_per_epoch, ...]."""
    train: Callable[[TrainState, Any], tuple[TrainState, Any]]
    """(state, indices [S, K, ...]) -> (state, metrics [S, K]): K steps. The state is donated."""
    evaluate: Callable[[str, Any, bool], Any]
    """(split, variables, whether in full, see `make_evaluate`) -> (metrics [S], predictions [S, N, ...] with padding)."""
    total_steps: int
    num_parameters: int
    """Trained values of one replica."""
    layout: Layout
    costs: Costs

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the training split."""
        return self.task.train_loader.steps


def programs(experiment: Experiment, task: Task, layout: Layout) -> Programs:
    """The programs of an experiment on its data. Raises UserError for sizes that do not fit."""
    steps_per_epoch = task.train_loader.steps
    total_steps = experiment.total_steps(steps_per_epoch)
    if total_steps >= 2**31:
        raise UserError(f"{experiment.id}: {total_steps:,} steps are more than can be counted; choose fewer epochs")
    model = models.build(experiment.model, task.sizes)
    swept = {path.removeprefix("optim."): np.asarray(values, np.float32) for path, values in experiment.grid.items()}
    tx = optimizer.build(experiment.optim, total_steps, steps_per_epoch, swept=tuple(swept))
    measure = optimizer.measure(experiment.optim, total_steps, steps_per_epoch) if experiment.optim.record else None
    # Elsewhere a copy costs more than a kernel.
    pack_limit = LIMIT if layout.platform in GPUS else 0
    step = make_train_step(
        model,
        task.objective,
        tx,
        grad_accumulation_steps=experiment.grad_accumulation_steps,
        eval_mode=experiment.optim.trainable != "all",
        measure=measure,
        pack_limit=pack_limit,
    )

    def create(key: Array, hyperparams: Any, by_seed: Any, shared: Any) -> TrainState:
        created = state.create(key, model, tx, task.sample_inputs, task.carry, {**by_seed, **shared})
        return created._replace(opt_state=optimizer.with_hyperparams(created.opt_state, hyperparams))

    def epoch_indices(key: Array, epoch: Array) -> Any:
        return task.train_loader.epoch_indices(state.stream(key, Stream.ORDER), epoch)

    def evaluate(split: str, full: bool) -> Any:
        loader = task.eval_loader(split)
        return jitted(make_evaluate(model, task.objective, loader, full, task.eval_carry))

    jitted = functools.partial(parallel.jit_over_seeds, layout=layout)
    return Programs(
        task=task,
        model=model,
        layout=layout,
        create=jitted(create),
        epoch_indices=jitted(epoch_indices),
        train=jitted(multi_step(step, task.train_loader, pack_limit=pack_limit), donate=True, batch_arg=1),
        evaluate=evaluate,
        hyperparams=swept,
        total_steps=total_steps,
    )


def build(
    experiment: Experiment, dataset: Dataset, *, pretrained: Any = None, devices: Sequence[jax.Device] | None = None
) -> Engine:
    """Builds the engine; nothing is compiled before its first call. Raises UserError for sizes that do not fit.

    Args:
      experiment: what to train.
      dataset: on what.
      pretrained: a partial tree of variables that overrides the random initialization. Default: the weights named in
        `experiment.model.weights`.
      devices: where to run; by default on all devices.
    """
    task = tasks.build(experiment, dataset)
    layout, costs = parallel.choose_layout(experiment.seeds, task.examples_per_step, devices), Costs()
    made = programs(experiment, task, layout)
    compiled = functools.partial(parallel.compiled_ahead, layout=layout, costs=costs, training=False)
    create_all, indices_of_all = compiled(made.create), compiled(made.epoch_indices)
    train = compiled(made.train, training=True)
    keys = np.asarray(jax.random.key_data(state.replica_keys(experiment.seed, experiment.seeds)))

    def init() -> TrainState:
        given = Pretrained({}, pretrained or {})
        if pretrained is None:
            shapes, shape = _variable_shapes(experiment, task, made.model), task.sample_inputs[0].shape[1:]
            given = pretrained_weights.load(made.model, shapes, shape, experiment.seeds)
        if not given.by_seed and not given.shared:
            given = Pretrained({}, _from_examples(made.model, experiment, dataset))
        # What was given may be on other devices than this program's.
        by_seed, shared = jax.device_get((given.by_seed, given.shared))
        first = jax.random.wrap_key_data(parallel.put(keys, layout))
        per_seed = parallel.put((dict(made.hyperparams), by_seed), layout)
        return create_all(first, *per_seed, parallel.put(shared, layout, shared=True))

    @functools.cache
    def arrays(split: str) -> Any:
        """The split on the devices, from its first use on."""
        return parallel.put(jax.tree.map(jnp.asarray, dict(task.arrays[split])), layout, shared=True)

    evaluator = functools.cache(lambda split, full: compiled(made.evaluate(split, full)))
    return Engine(
        task=task,
        model=made.model,
        init=init,
        epoch_indices=lambda keys, epoch: indices_of_all(keys, parallel.put(np.int32(epoch), layout, shared=True)),
        train=lambda state, indices: train(state, indices, arrays("train")),
        evaluate=lambda split, variables, full: evaluator(split, full)(variables, arrays(split)),
        total_steps=made.total_steps,
        num_parameters=count_parameters(experiment, task),
        layout=layout,
        costs=costs,
    )


def _from_examples(model: Any, experiment: Experiment, dataset: Dataset) -> Any:
    """The variables that the model makes from training examples, as evaluation sees them; {} of all others.

    A Linen module that wants that has a method `from_examples`, from its inputs to a partial tree of variables.
    """
    if not hasattr(model, "from_examples"):
        return {}
    chosen = dataclasses.replace(experiment, eval_batch_size=_INIT_EXAMPLES, eval_examples=_INIT_EXAMPLES)
    task = tasks.build(chosen, dataset)
    loader = task.eval_loader("train")
    indices = jax.tree.map(lambda x: x[0], loader.epoch_indices(None, 0))
    arrays: Any = task.arrays["train"]
    return model.from_examples(*task.objective.inputs(loader.make_batch(arrays, indices, None)))


def count_parameters(experiment: Experiment, task: Task) -> int:
    """Trained values of the experiment's model, without making them."""
    params = _variable_shapes(experiment, task, models.build(experiment.model, task.sizes))["params"]
    return state.parameter_count(optimizer.trained(params, experiment.optim.trainable))


def metric_names(experiment: Experiment, task: Task) -> tuple[str, ...]:
    """Names of what evaluation measures, the one that picks the best epoch first."""
    model = models.build(experiment.model, task.sizes)
    variables = _variable_shapes(experiment, task, model)
    evaluate = make_evaluate(model, task.objective, task.eval_loader("validation"), carry=task.eval_carry)
    metrics, _ = jax.eval_shape(evaluate, variables, task.arrays["validation"])
    return tuple(dict.fromkeys((task.objective.monitor, *metrics, *task.objective.derived)))


def _variable_shapes(experiment: Experiment, task: Task, model: Any) -> dict[str, Any]:
    """Shapes of the model's variables. Raises UserError where its layers leave nothing of the input."""
    try:
        return models.variable_shapes(model, task.sample_inputs)
    except ZeroDivisionError:
        sizes = ", ".join("×".join(map(str, x.shape[1:])) for x in task.sample_inputs)
        raise UserError(f"{experiment.id}: nothing is left of an input of {sizes} after the model's layers") from None

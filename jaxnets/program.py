"""From an experiment and its data to the compiled functions that training calls."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets import feed, models, optim, parallel, state, tasks
from jaxnets.config import Experiment
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.parallel import Layout
from jaxnets.state import Stream, TrainState
from jaxnets.step import make_evaluate, make_step, many_steps
from jaxnets.tasks import Task

Array = jax.Array


class Program(NamedTuple):
    """Everything is stacked over seeds: trees have a leading seed axis."""

    task: Task
    init: Callable[[], TrainState]
    plan: Callable[[Array, int], Any]
    """(keys [S], epoch) -> plan [S, steps_per_epoch, ...]."""
    run: Callable[[TrainState, Any], tuple[TrainState, Any]]
    """(state, plan [S, K, ...]) -> (state, metrics [S, K]). The state is donated."""
    evaluate: Callable[[str, Any, Any, bool], Any]
    """(split, params, variables, whether details are wanted) -> (metrics [S], details [S, ...])."""
    splits: tuple[str, ...]
    class_names: tuple[str, ...]
    steps_per_epoch: int
    total_steps: int
    batch_size: int
    parameters: int
    """Trained values of one replica."""
    layout: str
    compile_seconds: Callable[[], float]


def build(experiment: Experiment, data: Prepared) -> Program:
    """Builds the program; nothing is compiled before its first call. Raises UserError for sizes that do not fit."""
    config = experiment.data
    examples = data.examples("train")
    if config.batch_size > examples:
        raise UserError(
            f"{experiment.id}: data.batch_size {config.batch_size} is larger than the training split of {data.name} "
            f"({examples} examples); choose at most {examples}"
        )
    normalization = feed.image_normalization(config, data.meta)
    train_feed = feed.train_images(config, examples, normalization)
    total_steps = experiment.steps or experiment.epochs * train_feed.steps

    task = tasks.classify()
    model = models.build(experiment.model, len(data.meta["class_names"]))
    make_tx = lambda key: optim.build(experiment.optim, total_steps, train_feed.steps, key)
    step = make_step(model, task, make_tx(jax.random.key(0)))
    sample = data.splits["train"]["image"][:1]
    inputs = (jnp.zeros(sample.shape, jnp.float32),)

    def create(key: Array, shared: None) -> TrainState:
        return state.create(key, model, make_tx(state.stream(key, Stream.OPTIM)), inputs)

    def plan(key: Array, epoch: Array) -> Any:
        return train_feed.plan(state.stream(key, Stream.ORDER), epoch)

    layout = parallel.choose_layout(experiment.seeds, config.batch_size)
    compiled = Compiler(layout)
    arrays = {
        split: compiled.place({field: jnp.asarray(array) for field, array in fields.items()})
        for split, fields in data.splits.items()
    }

    evaluators: dict[tuple[str, bool], Callable] = {}

    def evaluate(split: str, params: Any, variables: Any, details: bool) -> Any:
        if (split, details) not in evaluators:
            split_feed = feed.eval_images(experiment.eval_batch_size, data.examples(split), normalization)
            evaluators[split, details] = compiled.over_seeds(make_evaluate(model, task, split_feed, details))
        return evaluators[split, details](params, variables, arrays[split])

    run = compiled.training(many_steps(step, train_feed))
    init, make_plan = compiled.over_seeds(create), compiled.over_seeds(plan)
    keys = state.replica_keys(experiment.seed, experiment.seeds)
    return Program(
        task=task,
        init=lambda: init(keys, None),
        plan=lambda keys, epoch: make_plan(keys, jnp.asarray(epoch)),
        run=lambda state, plan: run(state, plan, arrays["train"]),
        evaluate=evaluate,
        splits=tuple(arrays),
        class_names=tuple(data.meta["class_names"]),
        steps_per_epoch=train_feed.steps,
        total_steps=total_steps,
        batch_size=config.batch_size,
        parameters=count_parameters(experiment, len(data.meta["class_names"]), sample.shape[1:]),
        layout=layout.split,
        compile_seconds=lambda: compiled.seconds,
    )


def count_parameters(experiment: Experiment, classes: int, image_shape: tuple[int, ...]) -> int:
    """Trained values of the experiment's model, without making them."""
    model = models.build(experiment.model, classes)
    shapes = jax.eval_shape(lambda key: model.init(key, jnp.zeros((1, *image_shape)), train=False), jax.random.key(0))
    return state.parameter_count(shapes["params"])


class Compiler:
    """Lays functions out over the devices, compiles them at their first call, and counts the seconds that takes."""

    def __init__(self, layout: Layout) -> None:
        self.seconds = 0.0
        self._layout = layout

    def place(self, tree: Any) -> Any:
        """Puts a tree on every device."""
        return parallel.replicate(tree, self._layout.mesh)

    def over_seeds(self, function: Callable) -> Callable:
        """`function(*own, shared)` for all seeds."""
        if self._layout.split == "data":
            return self._timed(jax.jit(parallel.over_seeds(function)))
        return self._timed(parallel.seed_parallel(function, self._layout.mesh))

    def training(self, run: Callable) -> Callable:
        """`run(state, plan, arrays)` for all seeds; the state is donated."""
        if self._layout.split == "data":
            return self._timed(parallel.batch_parallel(run, self._layout.mesh))
        return self._timed(parallel.seed_parallel(run, self._layout.mesh, donate=True))

    def _timed(self, function: Any) -> Callable:
        executables: dict[Any, Callable] = {}

        def call(*args: Any) -> Any:
            signature = jax.tree.structure(args), tuple((x.shape, x.dtype) for x in jax.tree.leaves(args))
            if signature not in executables:
                start = time.perf_counter()
                executables[signature] = function.lower(*args).compile()
                self.seconds += time.perf_counter() - start
            return executables[signature](*args)

        return call

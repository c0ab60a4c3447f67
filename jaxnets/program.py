"""From an experiment and its data to the compiled functions that training calls."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets import memory, models, optim, parallel, problems, state
from jaxnets.config import Experiment
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.memory import OutOfMemory
from jaxnets.models import pretrained
from jaxnets.parallel import Layout
from jaxnets.problems import Problem
from jaxnets.state import Stream, TrainState
from jaxnets.step import make_evaluate, make_step, many_steps

Array = jax.Array


class Program(NamedTuple):
    """Everything is stacked over seeds: trees have a leading seed axis."""

    problem: Problem
    model: Any
    init: Callable[[], TrainState]
    plan: Callable[[Array, int], Any]
    """(keys [S], epoch) -> plan [S, steps_per_epoch, ...]."""
    run: Callable[[TrainState, Any], tuple[TrainState, Any]]
    """(state, plan [S, K, ...]) -> (state, metrics [S, K]). The state is donated."""
    evaluate: Callable[[str, Any, Any, bool], Any]
    """(split, params, variables, whether details are wanted) -> (metrics [S], details [S, ...])."""
    total_steps: int
    parameters: int
    """Trained values of one replica."""
    layout: str
    compiler: "Compiler"

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the training split."""
        return self.problem.train.steps


def build(experiment: Experiment, data: Prepared, start: Any = None) -> Program:
    """Builds the program; nothing is compiled before its first call. Raises UserError for sizes that do not fit.

    `start` holds variables that take the place of drawn ones, as many as there are; by default those of the weights that the
    model's configuration names.
    """
    asked = problems.build(experiment, data)
    steps = asked.train.steps
    total_steps = experiment.steps or experiment.epochs * steps
    model = models.build(experiment.model, asked.sizes)
    values = {path.removeprefix("optim."): jnp.asarray(column) for path, column in experiment.grid.items()}
    make_tx = lambda key, values: optim.build(experiment.optim, total_steps, steps, key, values)
    # A step reads key and values from the state that `create` made.
    tx = make_tx(jax.random.key(0), jax.tree.map(lambda column: column[0], values))
    step = make_step(model, asked.task, tx, parts=experiment.accumulate, frozen=experiment.optim.trainable == "head")

    def create(key: Array, values: Any, start: Any) -> TrainState:
        tx = make_tx(state.stream(key, Stream.OPTIM), values)
        return state.create(key, model, tx, asked.inputs, asked.carry, start)

    def initialised() -> TrainState:
        given = pretrained.load(experiment.model, _shapes(experiment, asked, model)) if start is None else start
        # What was given may lie on other devices than this program's.
        return init(keys, values, compiler.place(jax.device_get(given)))

    def plan(key: Array, epoch: Array) -> Any:
        return asked.train.plan(state.stream(key, Stream.ORDER), epoch)

    layout = parallel.choose_layout(experiment.seeds, asked.examples)
    compiler = Compiler(layout)

    @functools.cache
    def arrays(split: str) -> Any:
        """The split on the device, from its first use on."""
        return compiler.place(jax.tree.map(jnp.asarray, dict(asked.arrays[split])))

    evaluators: dict[tuple[str, bool], Callable] = {}

    def evaluate(split: str, params: Any, variables: Any, details: bool) -> Any:
        if (split, details) not in evaluators:
            function = make_evaluate(model, asked.task, asked.evaluate(split), details, asked.eval_carry)
            evaluators[split, details] = compiler.over_seeds(function)
        return evaluators[split, details](params, variables, arrays(split))

    run = compiler.training(many_steps(step, asked.train))
    init, make_plan = compiler.over_seeds(create), compiler.over_seeds(plan)
    keys = state.replica_keys(experiment.seed, experiment.seeds)
    return Program(
        problem=asked,
        model=model,
        init=initialised,
        plan=lambda keys, epoch: make_plan(keys, jnp.asarray(epoch)),
        run=lambda state, plan: run(state, plan, arrays("train")),
        evaluate=evaluate,
        total_steps=total_steps,
        parameters=count_parameters(experiment, asked),
        layout=layout.split,
        compiler=compiler,
    )


def pass_over(built: Program, current: TrainState, epoch: int) -> TrainState:
    """An epoch as jaxnets.train runs it, without its records: chunks of steps, whose metrics are read one call late."""
    plan, chunk = built.plan(current.key, epoch), parallel.steps_per_call(built.steps_per_epoch)
    waiting = None
    for at in range(0, built.steps_per_epoch, chunk):
        current, metrics = built.run(current, jax.tree.map(lambda x: x[:, at : at + chunk], plan))  # noqa: B023
        jax.device_get(waiting)
        waiting = metrics
    jax.device_get(waiting)
    return current


def count_parameters(experiment: Experiment, asked: Problem) -> int:
    """Trained values of the experiment's model, without making them."""
    params = _shapes(experiment, asked, models.build(experiment.model, asked.sizes))["params"]
    return state.parameter_count(params if experiment.optim.trainable == "all" else params[optim.head(params)])


def _shapes(experiment: Experiment, asked: Problem, model: Any) -> dict[str, Any]:
    """Shapes of the model's variables. Raises UserError where its layers leave nothing of the input."""
    try:
        return jax.eval_shape(lambda key: model.init(key, *asked.inputs, train=False), jax.random.key(0))
    except ZeroDivisionError:
        sizes = ", ".join("×".join(map(str, x.shape[1:])) for x in asked.inputs)
        raise UserError(f"{experiment.id}: nothing is left of an input of {sizes} after the model's layers") from None


def measures(experiment: Experiment, asked: Problem) -> tuple[str, ...]:
    """Names of what is measured in evaluation, the one that picks the best epoch first."""
    model, task = models.build(experiment.model, asked.sizes), asked.task
    variables = dict(_shapes(experiment, asked, model))
    params = variables.pop("params")
    evaluate = make_evaluate(model, task, asked.evaluate("validation"), carry=asked.eval_carry)
    metrics, _ = jax.eval_shape(evaluate, params, variables, asked.arrays["validation"])
    return tuple(dict.fromkeys((task.monitor, *metrics, *task.derived)))


class Compiler:
    """Lays functions out over the devices, compiles them at their first call, and keeps account of what that takes."""

    def __init__(self, layout: Layout) -> None:
        self.seconds = 0.0
        self.peak_bytes = 0
        """Memory of the largest program: arguments, results and scratch, on one device."""
        self._layout = layout

    def place(self, tree: Any) -> Any:
        """Puts a tree on every device."""
        return parallel.replicate(tree, self._layout.mesh)

    def over_seeds(self, function: Callable) -> Callable:
        """`function(*own, shared)` for all seeds."""
        if self._layout.split == "data":
            return self._accounted(parallel.replicated(parallel.over_seeds(function), self._layout.mesh))
        return self._accounted(parallel.seed_parallel(function, self._layout.mesh))

    def training(self, run: Callable) -> Callable:
        """`run(state, plan, arrays)` for all seeds; the state is donated."""
        if self._layout.split == "data":
            return self._accounted(parallel.batch_parallel(run, self._layout.mesh), training=True)
        return self._accounted(parallel.seed_parallel(run, self._layout.mesh, donate=True), training=True)

    def _accounted(self, function: Any, training: bool = False) -> Callable:
        executables: dict[Any, Callable] = {}

        def call(*args: Any) -> Any:
            leaves, structure = jax.tree.flatten(args)
            signature = structure, tuple((leaf.shape, leaf.dtype, leaf.sharding) for leaf in leaves)
            if signature not in executables:
                start = time.perf_counter()
                with memory.watched(training):
                    executable = function.lower(*args).compile()
                self.seconds += time.perf_counter() - start
                needed, limit = memory.needed(executable), parallel.memory_limit()
                if limit and needed.total > limit:
                    raise OutOfMemory(needed, limit, training)
                self.peak_bytes = max(self.peak_bytes, needed.total)
                executables[signature] = executable
            with memory.watched(training):
                return executables[signature](*args)

        return call

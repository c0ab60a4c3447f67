"""The training step, one for every experiment, and many steps in one call."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxnets.feed import Arrays, Feed
from jaxnets.metrics import Metrics, merge
from jaxnets.state import Stream, TrainState, stream
from jaxnets.tasks import Batch, Task

Array = jax.Array
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
_Passed = tuple[Metrics, Any, Any]
"""Metrics, the model's variables after the batch, what the next batch takes over."""


def make_step(
    model: Any,
    task: Task,
    tx: optax.GradientTransformationExtraArgs,
    axis_name: str | None = None,
    parts: int = 1,
    frozen: bool = False,
) -> Step:
    """The function (state, batch) -> (state, metrics of the batch before the update).

    With `axis_name` the step follows pmap's contract: it runs once per device on that device's share of the batch, and
    sums losses, gradients and metrics over the named axis itself. Without, it sees the whole batch.

    With `parts` the batch is worked off in so many equal parts, one after the other, whose gradients are summed: memory for
    one part. The result is the same, but that BatchNorm and dropout see each part on its own.

    With `frozen` the model runs in evaluation mode, as it must where `tx` leaves all but its head alone: BatchNorm keeps its
    statistics.
    """

    def psum(tree: Any) -> Any:
        return lax.psum(tree, axis_name) if axis_name else tree

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        _, key = step_keys(state, axis_name)
        batch = task.resume(batch, state.carry)

        def total_loss(params: Any, variables: Any, part: Batch, key: Array) -> tuple[Array, _Passed]:
            outputs, variables = model.apply(
                {"params": params, **variables},
                *task.inputs(part),
                train=not frozen,
                rngs={"dropout": key},
                mutable=list(variables),
            )
            metrics = task.metrics(outputs, part)
            return metrics["loss"].total, (metrics, dict(variables), task.carry(outputs))

        def with_gradient(*args: Any) -> tuple[Any, Any, Any]:
            (_, (metrics, variables, carry)), grads = jax.value_and_grad(total_loss, has_aux=True)(state.params, *args)
            return (metrics, grads), variables, carry

        def mean_loss(params: Any) -> Array:
            alone = lambda *args: total_loss(params, *args)[1]
            metrics, _, _ = _over_parts(parts, alone, state.variables, batch, key)
            return psum(metrics["loss"].total) / psum(metrics["loss"].weight)

        sums, variables, carry = _over_parts(parts, with_gradient, state.variables, batch, key)
        metrics, grads = psum(sums)
        loss = metrics["loss"].value
        grads = jax.tree.map(lambda g: g / metrics["loss"].weight, grads)
        updates, opt_state = tx.update(grads, state.opt_state, state.params, value=loss, value_fn=mean_loss)
        params = optax.apply_updates(state.params, updates)
        # A finite loss can have gradients that are not; what was computed from them must not be kept.
        finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((loss, params, variables))]
        fine = functools.reduce(jnp.logical_and, finite) & (state.failed_at < 0)
        # The rule's own state may be lost: a replica that failed takes no step again.
        kept = jax.tree.map(
            lambda new, old: jnp.where(fine, new, old),
            (params, variables, carry),
            (state.params, state.variables, state.carry),
        )
        failed_at = jnp.where(fine | (state.failed_at >= 0), state.failed_at, state.step)
        params, variables, carry = kept
        return TrainState(state.step + 1, params, variables, opt_state, state.key, carry, failed_at), metrics

    return step


def _over_parts(parts: int, function: Callable[..., Any], variables: Any, batch: Batch, key: Array) -> Any:
    """function(variables, batch, key) -> (sums, variables, carry), or its sums over a batch in parts."""
    if parts == 1:
        return function(variables, batch, key)

    def split(x: Array) -> Array:
        if x.ndim == 0:
            return jnp.broadcast_to(x, (parts,))
        # Part i takes every parts-th example: where a batch is split over devices, each has its share of every part.
        return x.reshape(x.shape[0] // parts, parts, *x.shape[1:]).swapaxes(0, 1)

    items = jax.tree.map(split, batch), jax.random.split(key, parts)
    shapes = jax.eval_shape(function, variables, *jax.tree.map(lambda x: x[0], items))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (shapes[0], shapes[2]))

    def body(passed: Any, item: Any) -> tuple[Any, None]:
        so_far, variables, _ = passed
        sums, variables, carry = function(variables, *item)
        return (jax.tree.map(jnp.add, so_far, sums), variables, carry), None

    return lax.scan(body, (zeros[0], variables, zeros[1]), items)[0]


def step_keys(state: TrainState, axis_name: str | None = None) -> tuple[Array, Array]:
    """Keys of this step: (to make the batch, to run the model)."""
    key = jax.random.fold_in(stream(state.key, Stream.STEP), state.step)
    if axis_name:
        key = jax.random.fold_in(key, lax.axis_index(axis_name))
    batch_key, model_key = jax.random.split(key)
    return batch_key, model_key


def many_steps(step: Step, feed: Feed, axis_name: str | None = None) -> Callable[..., tuple[TrainState, Metrics]]:
    """The function (state, plan, arrays) -> (state, metrics [K]): one step for each of the K items of `plan`."""

    def run(state: TrainState, plan: Any, arrays: Arrays) -> tuple[TrainState, Metrics]:
        def body(state: TrainState, item: Any) -> tuple[TrainState, Metrics]:
            batch_key, _ = step_keys(state, axis_name)
            return step(state, feed.batch(arrays, item, batch_key))

        return lax.scan(body, state, plan)

    return run


def make_evaluate(model: Any, task: Task, feed: Feed, details: bool = False, carry: Any = ()) -> Callable[..., Any]:
    """The function (params, variables, arrays) -> (metrics, details) over every example of a split, in evaluation mode.

    `details` asks for the task's additive arrays too; otherwise they are an empty dict. `carry` is what the first batch
    takes over.
    """

    def evaluate(params: Any, variables: Any, arrays: Arrays) -> tuple[Metrics, dict[str, Array]]:
        def body(carry: Any, item: Any) -> tuple[Any, Any]:
            batch = task.resume(feed.batch(arrays, item, None), carry)
            outputs = model.apply({"params": params, **variables}, *task.inputs(batch), train=False)
            return task.carry(outputs), (task.metrics(outputs, batch), task.details(outputs, batch) if details else {})

        _, parts = lax.scan(body, carry, feed.plan(None, 0))
        return merge(parts)

    return evaluate

"""The training step, one for every experiment; many steps in one call; and evaluation."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxnets.pipeline.loaders import Arrays, Batch, Loader
from jaxnets.tasks.metrics import Mean, Metrics, merge
from jaxnets.tasks.task import Objective
from jaxnets.training.state import Stream, TrainState, step_keys, stream

Array = jax.Array
TrainStep = Callable[..., tuple[TrainState, Metrics]]
"""(state, batch[, model key]) -> (state, metrics)."""
_Pass = tuple[Metrics, Any, Any]
"""(metrics, the model's state after the batch, what the next batch starts from)."""


def make_train_step(
    model: Any,
    objective: Objective,
    tx: optax.GradientTransformationExtraArgs,
    *,
    axis_name: str | None = None,
    grad_accumulation_steps: int = 1,
    eval_mode: bool = False,
    measure: Callable[[Any, Any, Array], dict[str, Array]] | None = None,
) -> TrainStep:
    """The function (state, batch) -> (state, metrics of the batch before the update).

    Args:
      model: a Linen module.
      objective: its inputs, loss and metrics.
      tx: the update rule. Its `update` is given `value`, `grad` and `value_fn` (a function from parameters to the loss on
        this batch), which line searches use, and `key`, which rules such as SPSA use.
      axis_name: for pmap's contract. The step then runs once per device on that device's share of the batch, and sums
        losses, gradients and metrics over the named axis itself. By default it sees the whole batch.
      grad_accumulation_steps: splits the batch into this many equal microbatches and sums their gradients, so that only one
        microbatch is in memory. The result is the same, except that BatchNorm and dropout see each microbatch on its own.
      eval_mode: runs the model in evaluation mode: BatchNorm keeps its statistics and nothing is dropped, as it must be
        where `tx` trains nothing but the head.
      measure: (gradients, state of `tx`, step) -> further metrics of the step (see jaxnets.optim.optimizer.measure).

    The step takes the key of the model's randomness from the state, unless the caller, who has derived it already, gives it.
    """

    def psum(tree: Any) -> Any:
        return lax.psum(tree, axis_name) if axis_name else tree

    def step(state: TrainState, batch: Batch, key: Array | None = None) -> tuple[TrainState, Metrics]:
        key = step_keys(state, axis_name)[1] if key is None else key
        batch = objective.with_carry(batch, state.carry)

        def total_loss(params: Any, model_state: Any, batch: Batch, key: Array) -> tuple[Array, _Pass]:
            outputs, model_state = model.apply(
                {"params": params, **model_state},
                *objective.inputs(batch),
                train=not eval_mode,
                rngs={"dropout": key},
                mutable=list(model_state),
            )
            metrics = (objective.train_metrics or objective.metrics)(outputs, batch)
            return metrics["loss"].total, (metrics, dict(model_state), objective.carry(outputs))

        def loss_and_grads(*args: Any) -> tuple[Any, Any, Any]:
            (_, (metrics, model_state, carry)), grads = jax.value_and_grad(total_loss, has_aux=True)(state.params, *args)
            return (metrics, grads), model_state, carry

        def mean_loss(params: Any) -> Array:
            forward = lambda *args: total_loss(params, *args)[1]
            metrics, _, _ = _over_microbatches(grad_accumulation_steps, forward, state.model_state, batch, key)
            return psum(metrics["loss"].total) / psum(metrics["loss"].weight)

        sums, model_state, carry = _over_microbatches(grad_accumulation_steps, loss_and_grads, state.model_state, batch, key)
        metrics, grads = psum(sums)
        loss = metrics["loss"].value
        grads = jax.tree.map(lambda g: g / metrics["loss"].weight, grads)
        if measure:
            measured = measure(grads, state.opt_state, state.step)
            metrics = metrics | {name: Mean(value, jnp.ones_like(value)) for name, value in measured.items()}
        optim_key = stream(state.key, Stream.OPTIM)
        value_fn = lambda params, key=None: mean_loss(params)  # Line searches of optax hand all they are given on to it.
        extra_args = {"value": loss, "grad": grads, "value_fn": value_fn, "key": optim_key}
        updates, opt_state = tx.update(grads, state.opt_state, state.params, **extra_args)
        params = optax.apply_updates(state.params, updates)
        # A finite loss can have gradients that are not; what was computed from them must not be kept.
        finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((loss, params, model_state))]
        ok = functools.reduce(jnp.logical_and, finite) & (state.failed_at < 0)
        # The rule's own state may be lost: a replica that failed takes no further step.
        params, model_state, carry = jax.tree.map(
            lambda new, old: jnp.where(ok, new, old),
            (params, model_state, carry),
            (state.params, state.model_state, state.carry),
        )
        failed_at = jnp.where(ok | (state.failed_at >= 0), state.failed_at, state.step)
        return TrainState(state.step + 1, params, model_state, opt_state, state.key, carry, failed_at), metrics

    return step


def _over_microbatches(count: int, function: Callable[..., Any], model_state: Any, batch: Batch, key: Array) -> Any:
    """function(model_state, batch, key) -> (sums, model_state, carry), or its sums over `count` microbatches."""
    if count == 1:
        return function(model_state, batch, key)

    def split(x: Array) -> Array:
        if x.ndim == 0:
            return jnp.broadcast_to(x, (count,))
        # Microbatch i takes every count-th example: where a batch is split over devices, each has its share of every one.
        return x.reshape(x.shape[0] // count, count, *x.shape[1:]).swapaxes(0, 1)

    items = jax.tree.map(split, batch), jax.random.split(key, count)
    shapes = jax.eval_shape(function, model_state, *jax.tree.map(lambda x: x[0], items))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (shapes[0], shapes[2]))

    def body(carried: Any, item: Any) -> tuple[Any, None]:
        totals, model_state, _ = carried
        sums, model_state, carry = function(model_state, *item)
        return (jax.tree.map(jnp.add, totals, sums), model_state, carry), None

    return lax.scan(body, (zeros[0], model_state, zeros[1]), items)[0]


def multi_step(step: TrainStep, loader: Loader, axis_name: str | None = None) -> Callable[..., tuple[TrainState, Metrics]]:
    """The function (state, indices, arrays) -> (state, metrics [K]): a step for each of the K items of `indices`.

    Each batch is made inside the step that uses it.
    """

    def run(state: TrainState, indices: Any, arrays: Arrays) -> tuple[TrainState, Metrics]:
        def body(state: TrainState, item: Any) -> tuple[TrainState, Metrics]:
            batch_key, model_key = step_keys(state, axis_name)
            return step(state, loader.make_batch(arrays, item, batch_key), model_key)

        return lax.scan(body, state, indices)

    return run


def make_evaluate(
    model: Any, objective: Objective, loader: Loader, keep: bool = False, carry: Any = ()
) -> Callable[..., Any]:
    """The function (variables, arrays) -> (metrics, predictions) over every example of a split, in evaluation mode.

    `keep` asks for the objective's predictions [N, ...], padding included; otherwise they are an empty dict. `carry` is what
    the first batch starts from.
    """

    def evaluate(variables: Any, arrays: Arrays) -> tuple[Metrics, dict[str, Array]]:
        def body(carry: Any, item: Any) -> tuple[Any, Any]:
            batch = objective.with_carry(loader.make_batch(arrays, item, None), carry)
            outputs = objective.predict(functools.partial(model.apply, variables, train=False), objective.inputs(batch))
            kept = objective.predictions(outputs, batch) if keep else {}
            return objective.carry(outputs), (objective.metrics(outputs, batch), kept)

        _, (metrics, kept) = lax.scan(body, carry, loader.epoch_indices(None, 0))
        return merge(metrics), jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), kept)

    return evaluate

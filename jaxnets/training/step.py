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
from jaxnets.tasks.task import Objective, apply_once
from jaxnets.training.packing import Packed, pack, unpack
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
    pack_limit: int = 0,
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
      pack_limit: arrays of at most this many elements are checked and kept together (see jaxnets.training.packing).

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
        new = TrainState(state.step + 1, params, model_state, opt_state, state.key, carry, state.failed_at)
        return _keep_finite(loss, new, state, pack_limit), metrics

    return step


def _weights(state: TrainState) -> tuple[Any, Any, Any]:
    """What a step packs and a loop carries, in one order, so that the compiler sees that both buffers are the same."""
    return state.params, state.model_state, state.opt_state


def _keep_finite(loss: Array, new: TrainState, old: TrainState, pack_limit: int) -> TrainState:
    """`new`; where the loss or the weights are not finite, the old weights, marked as failed.

    A finite loss can have gradients that are not; what was computed from them must not be kept. A replica that failed takes
    no further step, so the rule's own state may be lost: of it is kept what shares a buffer with the weights.
    """
    found, kept = (pack(_weights(state), pack_limit) for state in (new, old))
    if pack_limit:
        # Written once and then read by both the check and the choice, rather than computed for each.
        once = lambda x: lax.optimization_barrier(x) if x.ndim == 1 and jnp.issubdtype(x.dtype, jnp.floating) else x
        found = jax.tree.map(once, found)
    weights = pack(unpack(found)[:2], pack_limit)
    finite = [jnp.isfinite(leaf).all() for leaf in (loss, *weights.buffers)]
    ok = functools.reduce(jnp.logical_and, finite) & (old.failed_at < 0)
    select = lambda new, old: jnp.where(ok, new, old)
    params, model_state, small = unpack(jax.tree.map(select, found, kept))
    opt_state = jax.tree.map(lambda small, new: small if new.size <= pack_limit else new, small, new.opt_state)
    return new._replace(
        params=params,
        model_state=model_state,
        opt_state=opt_state,
        carry=jax.tree.map(select, new.carry, old.carry),
        failed_at=jnp.where(ok | (old.failed_at >= 0), old.failed_at, old.step),
    )


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


def multi_step(
    step: TrainStep, loader: Loader, axis_name: str | None = None, pack_limit: int = 0
) -> Callable[..., tuple[TrainState, Metrics]]:
    """The function (state, indices, arrays) -> (state, metrics [K]): a step for each of the K items of `indices`.

    Each batch is made inside the step that uses it. From one to the next, arrays of at most `pack_limit` elements are
    carried in one buffer.
    """

    def pack_state(state: TrainState) -> tuple[Packed, Any]:
        """Without the key, which never changes. A carry may be split over devices."""
        return pack((_weights(state), state.step, state.failed_at), pack_limit), state.carry

    def run(state: TrainState, indices: Any, arrays: Arrays) -> tuple[TrainState, Metrics]:
        def unpack_state(packed: tuple[Packed, Any]) -> TrainState:
            (params, model_state, opt_state), step, failed_at = unpack(packed[0])
            return TrainState(step, params, model_state, opt_state, state.key, packed[1], failed_at)

        def body(packed: Any, item: Any) -> tuple[Any, Packed]:
            before = unpack_state(packed)
            batch_key, model_key = step_keys(before, axis_name)
            after, metrics = step(before, loader.make_batch(arrays, item, batch_key), model_key)
            return pack_state(after), pack(metrics, pack_limit)

        last, metrics = lax.scan(body, pack_state(state), indices)
        return unpack_state(last), unpack(metrics)

    return run


def make_evaluate(
    model: Any, objective: Objective, loader: Loader, full: bool = False, carry: Any = ()
) -> Callable[..., Any]:
    """The function (variables, arrays) -> (metrics, predictions) over every example of a split, in evaluation mode.

    With `full`, outputs are those of the objective's `predict`, and its predictions [N, ...] are kept, padding included;
    otherwise the model is called once for each batch, and predictions are an empty dict. `carry` is what the first batch
    starts from.
    """
    predict = objective.predict if full else apply_once

    def evaluate(variables: Any, arrays: Arrays) -> tuple[Metrics, dict[str, Array]]:
        def body(carry: Any, item: Any) -> tuple[Any, Any]:
            batch = objective.with_carry(loader.make_batch(arrays, item, None), carry)
            outputs = predict(functools.partial(model.apply, variables, train=False), objective.inputs(batch))
            kept = objective.predictions(outputs, batch) if full else {}
            return objective.carry(outputs), (objective.metrics(outputs, batch), kept)

        _, (metrics, kept) = lax.scan(body, carry, loader.epoch_indices(None, 0))
        return merge(metrics), jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), kept)

    return evaluate

"""What training changes: one tree that a step maps to the next, and that a checkpoint holds whole."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxnets.optim.optimizer import averaged_weights

Array = jax.Array


class Stream(IntEnum):
    """Independent sources of randomness of one replica."""

    INIT = 0
    ORDER = 1
    STEP = 2
    OPTIM = 3


class TrainState(NamedTuple):
    """State of one replica. With several seeds every leaf has a leading seed axis."""

    step: Array
    """Updates attempted so far."""
    params: Any
    model_state: Any
    """The model's other collections, such as batch statistics: `variables` without "params", in Flax's words."""
    opt_state: optax.OptState
    key: Array
    """The replica's key. It never changes: step k draws from fold_in(stream(key, STEP), k), so that resuming is exact."""
    carry: Any
    """What the next batch starts from, for tasks that continue where the last batch ended; otherwise empty."""
    failed_at: Array
    """Step at which loss or weights were first not finite; -1 while all is well. A failed replica no longer changes."""

    @property
    def eval_params(self) -> Any:
        """The parameters to evaluate and to save: the average of the weights, with `optim.ema`, or the last ones."""
        averaged = averaged_weights(self.opt_state)
        return self.params if averaged is None else averaged

    @property
    def variables(self) -> dict[str, Any]:
        """All of the model's variables to evaluate, as Flax's `apply` takes them."""
        return {"params": self.eval_params, **self.model_state}


def create(
    key: Array,
    model: Any,
    tx: optax.GradientTransformation,
    sample_inputs: tuple[Array, ...],
    carry: Any = (),
    pretrained: Mapping[str, Any] | None = None,
) -> TrainState:
    """A fresh replica.

    Args:
      key: the root of the replica's randomness.
      model: a Linen module.
      tx: the update rule, whose state is initialized for the parameters.
      sample_inputs: positional arguments of the model; only their shapes matter.
      carry: what the first batch starts from.
      pretrained: a partial tree of variables that overrides the random initialization.
    """
    variables = dict(model.init(stream(key, Stream.INIT), *sample_inputs, train=False))
    variables = _override(variables, pretrained or {})
    params = variables.pop("params")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=variables,
        opt_state=tx.init(params),
        key=key,
        carry=carry,
        failed_at=jnp.full((), -1, jnp.int32),
    )


def _override(tree: Any, partial: Any) -> Any:
    """The tree with the leaves of `partial` in place of its own."""
    if not isinstance(partial, Mapping):
        return partial
    return {name: _override(branch, partial[name]) if name in partial else branch for name, branch in tree.items()}


def stream(key: Array, which: Stream) -> Array:
    """The key of one source of randomness of the replica whose key is `key`."""
    return jax.random.fold_in(key, int(which))


def step_keys(state: TrainState, axis_name: str | None = None) -> tuple[Array, Array]:
    """Keys of the step that `state` is about to take: (to make the batch, to run the model).

    With `axis_name`, inside a per-device program, every device has keys of its own.
    """
    key = jax.random.fold_in(stream(state.key, Stream.STEP), state.step)
    if axis_name:
        key = jax.random.fold_in(key, lax.axis_index(axis_name))
    batch_key, model_key = jax.random.split(key)
    return batch_key, model_key


def replica_keys(seed: int, replicas: int) -> Array:
    """Keys [replicas]; the i-th depends on `seed` and i alone."""
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.arange(replicas))


def parameter_count(params: Any) -> int:
    """Number of trained values in a tree of arrays or shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))

"""What training changes: one tree that a step maps to the next, and that a checkpoint holds whole."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

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
    """Updates tried so far."""
    params: Any
    variables: Any
    """The model's other collections, such as batch statistics."""
    opt_state: optax.OptState
    key: Array
    """The replica's key. It never changes: step k draws from fold_in(stream(key, STEP), k), so resuming is exact."""
    carry: Any
    """What the next batch takes over from the last, where the task reads on; otherwise empty."""
    failed_at: Array
    """Step at which the loss was first not finite; -1 while all is well. A failed replica no longer changes."""


def stream(key: Array, which: Stream) -> Array:
    """The key of one source of randomness of the replica whose key is `key`."""
    return jax.random.fold_in(key, int(which))


def create(
    key: Array,
    model: Any,
    tx: optax.GradientTransformation,
    inputs: tuple[Array, ...],
    carry: Any = (),
    start: Mapping[str, Any] | None = None,
) -> TrainState:
    """A fresh replica: `model` initialised for `inputs` (values do not matter, shapes do), starting from `carry`.

    `start` holds variables that take the place of drawn ones, as many as there are.
    """
    variables = dict(model.init(stream(key, Stream.INIT), *inputs, train=False))
    variables = _replace(variables, start or {})
    params = variables.pop("params")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        variables=variables,
        opt_state=tx.init(params),
        key=key,
        carry=carry,
        failed_at=jnp.full((), -1, jnp.int32),
    )


def _replace(tree: Any, some: Any) -> Any:
    """The tree with the leaves of `some` in place of its own."""
    if not isinstance(some, Mapping):
        return some
    return {name: _replace(branch, some[name]) if name in some else branch for name, branch in tree.items()}


def replica_keys(seed: int, replicas: int) -> Array:
    """Keys [replicas]; the i-th depends on `seed` and i alone."""
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.arange(replicas))


def parameter_count(params: Any) -> int:
    """Number of trained values in a tree of arrays or shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))

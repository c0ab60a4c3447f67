"""Counts the arithmetic of a training step."""

from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp

from jaxnets.nn import kernels
from jaxnets.training.arithmetic import jaxpr_flops


def step_flops(step: Callable[..., Any], create: Callable[..., Any], batch: Mapping[str, Any]) -> float:
    """Floating-point operations of one training step. A multiplication and an addition count as two.

    Args:
      step: (state, batch) -> (state, metrics).
      create: (key, None) -> the initial state.
      batch: arrays by field.
    """
    with mock.patch.object(kernels, "is_supported", return_value=False):
        jax.clear_caches()  # Traces that contain native kernels must not be reused here, nor these traces later.
        state = jax.eval_shape(lambda: create(jax.random.key(0), None))
        traced = jax.make_jaxpr(step)(state, jax.tree.map(jnp.asarray, dict(batch)))
    jax.clear_caches()
    return jaxpr_flops(traced.jaxpr)

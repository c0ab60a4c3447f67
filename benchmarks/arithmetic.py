"""How much arithmetic a step is: the operations of its matrix products and convolutions, counted in its jaxpr.

A compiled program's own account will not do: XLA counts a loop's body once, and what a native kernel does not at all.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp

from jaxnets.nn import kernels


def of_step(step: Callable[..., Any], create: Callable[..., Any], batch: Mapping[str, Any]) -> float:
    """Floating-point operations of one training step; a multiplication and an addition count as two."""
    with mock.patch.object(kernels, "is_supported", return_value=False):
        jax.clear_caches()  # Traces with native kernels in them must not be used again.
        state = jax.eval_shape(lambda: create(jax.random.key(0), None))
        traced = jax.make_jaxpr(step)(state, jax.tree.map(jnp.asarray, dict(batch)))
    jax.clear_caches()
    return count(traced.jaxpr)


def count(jaxpr: Any) -> float:
    """Operations of the products and convolutions in a jaxpr and those inside it; of branches, the longest."""
    return sum(_OWN.get(eqn.primitive.name, _inside)(eqn) for eqn in jaxpr.eqns)


def _product(eqn: Any) -> float:
    left, _ = (x.aval.shape for x in eqn.invars[:2])
    (contracted, _), _ = eqn.params["dimension_numbers"]
    return 2.0 * math.prod(eqn.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)


def _convolution(eqn: Any) -> float:
    kernel, numbers = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"]
    outputs = kernel[numbers.rhs_spec[0]]
    return 2.0 * math.prod(eqn.outvars[0].aval.shape) * math.prod(kernel) / outputs


def _loop(eqn: Any) -> float:
    return eqn.params["length"] * count(eqn.params["jaxpr"].jaxpr)


def _branches(eqn: Any) -> float:
    return max(count(branch.jaxpr) for branch in eqn.params["branches"])


def _inside(eqn: Any) -> float:
    inner = [x for value in eqn.params.values() for x in (value if isinstance(value, tuple | list) else (value,))]
    jaxprs = [getattr(x, "jaxpr", x) for x in inner]
    return sum(count(x) for x in jaxprs if hasattr(x, "eqns"))


_OWN: dict[str, Callable[[Any], float]] = {
    "dot_general": _product,
    "conv_general_dilated": _convolution,
    "scan": _loop,
    "cond": _branches,
}

"""Counts arithmetic: the operations of a program's matrix products and convolutions, from its jaxpr.

The compiled program's cost analysis does not serve here: XLA counts the body of a loop once, leaves out library calls, and
does not look into native kernels.
"""

import math
from collections.abc import Callable
from typing import Any

from jax.interpreters import partial_eval


def jaxpr_flops(jaxpr: Any) -> float:
    """Operations of the products and convolutions in a jaxpr and all jaxprs nested in it.

    What nobody uses is left out, as compilers leave it out, such as the gradient of a first layer's input. Of branches the
    longest counts, of forms for different platforms the shortest that has any operations: all compute the same, some in
    native kernels, which are not looked into, or with zeros added for the sake of a device.
    """
    used, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _count(used)


def _count(jaxpr: Any) -> float:
    return sum(_COUNTERS.get(eqn.primitive.name, _nested)(eqn) for eqn in jaxpr.eqns)


def _product(eqn: Any) -> float:
    left, _ = (x.aval.shape for x in eqn.invars[:2])
    (contracted, _), _ = eqn.params["dimension_numbers"]
    return 2.0 * math.prod(eqn.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)


def _convolution(eqn: Any) -> float:
    kernel, numbers = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"]
    outputs = kernel[numbers.rhs_spec[0]]
    return 2.0 * math.prod(eqn.outvars[0].aval.shape) * math.prod(kernel) / outputs


def _loop(eqn: Any) -> float:
    return eqn.params["length"] * _count(eqn.params["jaxpr"].jaxpr)


def _branches(eqn: Any) -> float:
    counts = [_count(branch.jaxpr) for branch in eqn.params["branches"]]
    return min(filter(None, counts), default=0.0) if eqn.params.get("branches_platforms") else max(counts)


def _nested(eqn: Any) -> float:
    params = [x for value in eqn.params.values() for x in (value if isinstance(value, tuple | list) else (value,))]
    jaxprs = [getattr(x, "jaxpr", x) for x in params]
    return sum(_count(x) for x in jaxprs if hasattr(x, "eqns"))


_COUNTERS: dict[str, Callable[[Any], float]] = {
    "dot_general": _product,
    "conv_general_dilated": _convolution,
    "scan": _loop,
    "cond": _branches,
}
"""Functions (equation) -> operations, by primitive. All other primitives count what is nested in them."""

"""The native CPU kernels (the C++ files beside this one), compiled when the package is installed.

Convolutions of few channels, the gradient of pooling, sums per channel, recurrences and random bits are slower in XLA on a
CPU than they need be, convolutions by several times, and slower still inside `lax.scan`. Without a C++ compiler the package
installs all the same and XLA serves everywhere; `backend` says which it is.

Convolutions and sums want the batch innermost in memory. Nothing here transposes: a call only states the storage order of
its operands, and XLA's layout assignment carries that order through the element-wise operations in between.
"""

import ctypes
import functools
import os
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.errors import UserError

Array = jax.Array

FORWARD, INPUT_GRAD, WEIGHT_GRAD = (f"jaxnets_conv2d_{name}" for name in ("forward", "input_grad", "weight_grad"))
_MOMENTS, _SUMS = "jaxnets_channel_moments", "jaxnets_channel_sums"
MAX_POOL, MAX_POOL_GRAD = "jaxnets_max_pool", "jaxnets_max_pool_grad"
RECURRENCE, RECURRENCE_GRAD = "jaxnets_recurrence", "jaxnets_recurrence_grad"
DROPOUT_BITS = "jaxnets_dropout_bits"
NAMES = (
    *(FORWARD, INPUT_GRAD, WEIGHT_GRAD, _MOMENTS, _SUMS, MAX_POOL, MAX_POOL_GRAD, RECURRENCE, RECURRENCE_GRAD),
    DROPOUT_BITS,
)

# Storage orders, outermost axis first.
BATCH_MINOR = (1, 2, 3, 0)  # logically [N, H, W, C], stored [H, W, C, N]
ROW_MAJOR = (0, 1, 2, 3)
VECTOR = (0,)

INSTRUCTION_SETS = ("base", "avx2", "avx512")
LIBRARY = Path(__file__).with_name("_library" + sysconfig.get_config_var("EXT_SUFFIX"))


@functools.cache
def backend() -> str:
    """What convolves on CPUs: "native" or "xla". Registers the native kernels on its first call.

    Raises UserError for an unknown instruction set in $JAXNETS_CPU_KERNELS. One that the processor lacks is no error: the
    best that it has is used.
    """
    requested = os.environ.get("JAXNETS_CPU_KERNELS", "")
    if requested not in ("", *INSTRUCTION_SETS):
        raise UserError(f"JAXNETS_CPU_KERNELS is {requested!r}: choose from {', '.join(INSTRUCTION_SETS)}, or unset it")
    try:
        handlers = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return "xla"
    for name in NAMES:
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(handlers, name)), platform="cpu")
    return "native"


@functools.cache
def instruction_set() -> str | None:
    """Which one the kernels use; None without kernels."""
    return chosen_by(ctypes.CDLL(str(LIBRARY))) if backend() == "native" else None


def chosen_by(library: ctypes.CDLL) -> str:
    """The instruction set that a loaded copy of the library has chosen."""
    name = library.jaxnets_instruction_set
    name.restype = ctypes.c_char_p
    return name().decode()


def is_supported(*arrays: Array) -> bool:
    """Whether the native kernels can take these operands when the program is lowered for a CPU."""
    return all(array.dtype == jnp.float32 for array in arrays) and backend() == "native"


def call(name: str, like: Any, inputs: Sequence[tuple[int, ...]] | None, outputs: Any) -> Callable[..., Any]:
    """The kernel `name` as a function of arrays and attributes.

    Args:
      name: one of the constants above.
      like: shape and type of the result, or a tuple of them: jax.eval_shape of the XLA function that the kernel replaces.
      inputs: the storage order of each operand; None: all row-major.
      outputs: the storage order of the result, or a tuple of them; None: row-major.

    Under vmap the kernel loops over the new leading axis itself.
    """
    layouts = {"input_layouts": tuple(inputs), "output_layouts": outputs} if inputs is not None else {}
    return jax.ffi.ffi_call(name, like, vmap_method="expand_dims", **layouts)


def promote_varying(*arrays: Array) -> list[Array]:
    """Under shard_map, marks arrays as varying over every mesh axis that any of them varies over; otherwise nothing.

    Differentiating this sums the gradient of a replicated array over the devices that used it.
    """
    varying = [jax.typeof(array).manual_axis_type.varying for array in arrays]
    axes = frozenset[str]().union(*varying)
    missing = [tuple(axes - own) for own in varying]
    return [lax.pcast(array, over, to="varying") if over else array for array, over in zip(arrays, missing, strict=True)]


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Mean and (biased) variance [C], float32, of images [N, H, W, C] of any floating type."""

    def xla(x: Array, dtype: jax.typing.DTypeLike = jnp.float32) -> tuple[Array, Array]:
        x = x.astype(dtype)
        mean = x.mean((0, 1, 2), keepdims=True)
        return mean.reshape(-1).astype(jnp.float32), jnp.square(x - mean).mean((0, 1, 2)).astype(jnp.float32)

    def native(x: Array) -> tuple[Array, Array]:
        return tuple(call(_MOMENTS, jax.eval_shape(xla, x), [BATCH_MINOR], (VECTOR, VECTOR))(x))

    return lax.platform_dependent(x, cpu=native if is_supported(x) else _in_double(xla), default=xla)


def channel_sums(dy: Array, x: Array, shift: Array) -> tuple[Array, Array]:
    """Sums over N, H, W of dy and of dy · (x - shift), in float32: [N, H, W, C], [N, H, W, C], [C] -> [C], [C]."""

    def xla(dy: Array, x: Array, shift: Array, dtype: jax.typing.DTypeLike = jnp.float32) -> tuple[Array, Array]:
        dy, x, shift = dy.astype(dtype), x.astype(dtype), shift.astype(dtype).reshape(1, 1, 1, -1)
        return dy.sum((0, 1, 2)).astype(jnp.float32), (dy * (x - shift)).sum((0, 1, 2)).astype(jnp.float32)

    def native(dy: Array, x: Array, shift: Array) -> tuple[Array, Array]:
        like = jax.eval_shape(xla, dy, x, shift)
        return tuple(call(_SUMS, like, [BATCH_MINOR, BATCH_MINOR, VECTOR], (VECTOR, VECTOR))(dy, x, shift))

    wide = native if is_supported(dy, x, shift) else _in_double(xla)
    return lax.platform_dependent(dy, x, shift, cpu=wide, default=xla)


def _in_double(xla: Callable[..., tuple[Array, Array]]) -> Callable[..., tuple[Array, Array]]:
    """The function with float64 sums inside, as the kernels form them; on a CPU they cost a third more than float32."""

    def run(*arrays: Array) -> tuple[Array, Array]:
        with jax.enable_x64(True):
            return xla(*arrays, dtype=jnp.float64)

    return run

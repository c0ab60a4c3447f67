"""Two-dimensional convolution: XLA's on GPU and TPU, the native kernels on CPUs (see jaxnets.nn.cpu)."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn import cpu

Array = jax.Array
Padding = tuple[tuple[int, int], tuple[int, int]]


def conv2d(x: Array, w: Array, b: Array, *, stride: int = 1, padding: int | Padding = 0) -> Array:
    """Cross-correlates images with filters, as torch.nn.functional.conv2d does.

    Args:
      x: images [N, H, W, C_in].
      w: filters [KH, KW, C_in, C_out], of the dtype of x.
      b: biases [C_out].
      stride: step of the window along both axes.
      padding: zero rows and columns around the image: one number for all sides, or ((top, bottom), (left, right)).

    Returns:
      [N, H', W', C_out] with H' = (H + top + bottom - KH) // stride + 1, W' likewise.
    """
    pads = ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding
    return (_conv2d if cpu.serves(x, w, b) else _xla_conv2d)(stride, pads, x, w, b)


def _xla_conv2d(stride: int, padding: Padding, x: Array, w: Array, b: Array) -> Array:
    y = lax.conv_general_dilated(x, w, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + b.reshape(1, 1, 1, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _conv2d(stride: int, padding: Padding, x: Array, w: Array, b: Array) -> Array:
    """The native kernels where the program is lowered for a CPU, XLA's convolution on every other platform."""

    def native(x: Array, w: Array, b: Array) -> Array:
        height, width = (
            (size + sum(pads) - kernel) // stride + 1
            for size, pads, kernel in zip(x.shape[1:3], padding, w.shape[:2], strict=True)
        )
        shape = (x.shape[0], height, width, w.shape[-1])
        forward = cpu.call(cpu.FORWARD, [shape], [cpu.BATCH_MINOR, cpu.ROW_MAJOR, cpu.VECTOR], [cpu.BATCH_MINOR])
        return forward(x, w, b, **_attributes(stride, padding))[0]

    return lax.platform_dependent(x, w, b, cpu=native, default=functools.partial(_xla_conv2d, stride, padding))


def _conv2d_fwd(stride: int, padding: Padding, x: Array, w: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return _conv2d(stride, padding, x, w, b), (x, w)


def _conv2d_bwd(stride: int, padding: Padding, residuals: tuple[Array, Array], dy: Array) -> tuple[Array, ...]:
    x, w = residuals
    no_bias = jnp.zeros(w.shape[-1:])

    def xla(x: Array, w: Array, dy: Array) -> tuple[Array, Array]:
        return jax.vjp(lambda x, w: _xla_conv2d(stride, padding, x, w, no_bias), x, w)[1](dy)

    def native(x: Array, w: Array, dy: Array) -> tuple[Array, Array]:
        attributes = _attributes(stride, padding)
        images, filters = cpu.BATCH_MINOR, cpu.ROW_MAJOR
        input_grad = cpu.call(cpu.INPUT_GRAD, [x.shape], [images, filters], [images])
        weight_grad = cpu.call(cpu.WEIGHT_GRAD, [w.shape], [images, images], [filters])
        return input_grad(dy, w.swapaxes(2, 3), **attributes)[0], weight_grad(x, dy, **attributes)[0]

    dx, dw = lax.platform_dependent(x, w, dy, cpu=native, default=xla)
    db, _ = cpu.channel_sums(dy, dy, no_bias)
    return dx, dw, db


_conv2d.defvjp(_conv2d_fwd, _conv2d_bwd)


def _attributes(stride: int, padding: Padding) -> dict[str, int]:
    # The bottom and right padding are implied by the shapes.
    return {"stride": stride, "pad_top": padding[0][0], "pad_left": padding[1][0]}

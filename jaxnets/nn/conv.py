"""Two-dimensional convolution: XLA's on GPU and TPU, the native kernels on CPUs (see jaxnets.nn.kernels)."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn import kernels

Array = jax.Array
Padding = tuple[tuple[int, int], tuple[int, int]]
_MAX_TAPS = 256  # Filters of more taps do not fit the kernels' buffers.


def conv2d(x: Array, w: Array, b: Array, *, stride: int = 1, padding: int | Padding = 0) -> Array:
    """Cross-correlates images with filters, as torch.nn.functional.conv2d does.

        y[n, i, j, o] = b[o] + Σ_(u, v, c) x[n, i·stride + u - top, j·stride + v - left, c] · w[u, v, c, o]

    On CPUs, float32 runs in a native kernel. Other dtypes and platforms use XLA's convolution.

    >>> import jax.numpy as jnp
    >>> images, filters = jnp.ones((2, 28, 28, 1)), jnp.ones((3, 3, 1, 16))
    >>> y = conv2d(images, filters, jnp.zeros(16), stride=2, padding=1)
    >>> y.shape, float(y[0, 0, 0, 0]), float(y[0, 1, 1, 0])  # At the corner, 4 of 9 taps see the image.
    ((2, 14, 14, 16), 4.0, 9.0)

    Args:
      x: images [N, H, W, C_in].
      w: filters [KH, KW, C_in, C_out], of the dtype of x.
      b: biases [C_out].
      stride: step of the window along both axes.
      padding: zero rows and columns around the image: one number for all sides, or ((top, bottom), (left, right)).
        Negative padding crops.

    Returns:
      [N, H', W', C_out] with H' = (H + top + bottom - KH) // stride + 1, W' likewise.

    Raises:
      TypeError: x and w differ in dtype or number of axes.
      ValueError: x and w differ in C_in.
    """
    pads = ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding
    has_kernel = w.shape[0] * w.shape[1] <= _MAX_TAPS and min(pads[0] + pads[1]) >= 0 and kernels.is_supported(x, w, b)
    return (_conv2d if has_kernel else _xla_conv2d)(stride, pads, *kernels.promote_varying(x, w, b))


def _xla_conv2d(stride: int, padding: Padding, x: Array, w: Array, b: Array) -> Array:
    if any(pad >= size for pads, size in zip(padding, w.shape[:2], strict=True) for pad in pads):
        # The gradient would need negative padding, for which XLA on CPUs reads outside its operand (jax 0.10.2).
        x, padding = jnp.pad(x, ((0, 0), *padding, (0, 0))), ((0, 0), (0, 0))
    x = _apart(x)
    y = lax.conv_general_dilated(x, w, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return _add_bias(_apart(y), b)


def _apart(x: Array) -> Array:
    """The same, not fused into a convolution on a GPU.

    A bias goes into the next kernel without one of its own, whereas cuDNN, which would add it, wants it in a separate array,
    and zeros for it where XLA has cuDNN scale a gradient.
    """
    return lax.platform_dependent(x, cuda=lax.optimization_barrier, rocm=lax.optimization_barrier, default=lambda x: x)


@jax.custom_vjp
def _add_bias(y: Array, b: Array) -> Array:
    """Its gradient is the kernels' sum: behind a BatchNorm it cancels, and float32 sums would leave little of it."""
    return y + b.reshape(1, 1, 1, -1)


_add_bias.defvjp(lambda y, b: (_add_bias(y, b), b), lambda b, dy: (dy, kernels.channel_sums(dy, dy, b)[0].astype(b.dtype)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _conv2d(stride: int, padding: Padding, x: Array, w: Array, b: Array) -> Array:
    """The native kernels where the program is lowered for a CPU, XLA's convolution on every other platform."""
    xla = functools.partial(_xla_conv2d, stride, padding)

    def native(x: Array, w: Array, b: Array) -> Array:
        y = jax.eval_shape(xla, x, w, b)
        forward = kernels.call(
            kernels.FORWARD, y, (kernels.BATCH_MINOR, kernels.ROW_MAJOR, kernels.VECTOR), kernels.BATCH_MINOR
        )
        return forward(x, w, b, **_attributes(stride, padding))

    return lax.platform_dependent(x, w, b, cpu=native, default=xla)


def _conv2d_fwd(stride: int, padding: Padding, x: Array, w: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return _conv2d(stride, padding, x, w, b), (x, w)


def _conv2d_bwd(stride: int, padding: Padding, residuals: tuple[Array, Array], dy: Array) -> tuple[Array, ...]:
    x, w = residuals
    no_bias = jnp.zeros_like(w[0, 0, 0])

    def xla(x: Array, w: Array, dy: Array) -> tuple[Array, Array]:
        return jax.vjp(lambda x, w: _xla_conv2d(stride, padding, x, w, no_bias), x, w)[1](dy)

    def native(x: Array, w: Array, dy: Array) -> tuple[Array, Array]:
        attributes = _attributes(stride, padding)
        images, filters = kernels.BATCH_MINOR, kernels.ROW_MAJOR
        like_x, like_w = jax.eval_shape(xla, x, w, dy)
        input_grad = kernels.call(kernels.INPUT_GRAD, like_x, (images, filters), images)
        weight_grad = kernels.call(kernels.WEIGHT_GRAD, like_w, (images, images), filters)
        return input_grad(dy, w, **attributes), weight_grad(x, dy, **attributes)

    dx, dw = lax.platform_dependent(x, w, dy, cpu=native, default=xla)
    db, _ = kernels.channel_sums(dy, dy, no_bias)
    return dx, dw, db


_conv2d.defvjp(_conv2d_fwd, _conv2d_bwd)


def _attributes(stride: int, padding: Padding) -> dict[str, int]:
    # The shapes imply the padding at the bottom and on the right.
    return {"stride": stride, "pad_top": padding[0][0], "pad_left": padding[1][0]}

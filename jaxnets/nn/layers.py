"""Linen layers over this library's convolution, batch normalization and initializers, with dropout that is cheap on CPUs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxnets.config.model import Init
from jaxnets.nn.conv import Padding, conv2d
from jaxnets.nn.init import bias_init, fans, kernel_init
from jaxnets.nn.norm import batch_norm
from jaxnets.nn.random import dropout_bits

Array = jax.Array


@jax.custom_jvp
def _tanh(x: Array) -> Array:
    return jnp.tanh(x)


@_tanh.defjvp
def _tanh_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """From the output on CPUs, where tanh takes time; elsewhere from the input, so that the output need not be kept.

    On a GPU tanh is then in one kernel with what follows, such as pooling, and its derivative in one with other gradients.
    """
    (x,), (dx,) = primals, tangents
    y = jnp.tanh(x)
    from_output = lambda x, y, dx: (dx + dx * y) * (1 - y)
    from_input = lambda x, y, dx: dx * _tanh_slope(x)
    return y, lax.platform_dependent(x, y, dx, cpu=from_output, default=from_input)


def _tanh_slope(x: Array) -> Array:
    """1 / cosh²(x), in a form that cannot overflow."""
    decayed = jnp.exp(-2 * jnp.abs(x))
    return 4 * decayed / jnp.square(1 + decayed)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": _tanh,
    "relu": jax.nn.relu,
    "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.01),
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}
"""Activation functions by name: element-wise, of any shape."""

_EPSILON = 1e-5


class Conv(nn.Module):
    """Two-dimensional convolution with a square kernel: [N, H, W, C] -> [N, H', W', features].

    H' = (H + top + bottom - kernel) // stride + 1, W' likewise (see `conv2d`).

    Parameters: `kernel` [kernel, kernel, C, features] and, with `bias`, `bias` [features]. They are float32; a call casts
    them to the dtype of its input. With `fixed`, the kernel is in the collection "fixed", which nothing trains.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import Init
    >>> run = lambda key, x: Conv(16, kernel=5, init_config=Init(), padding=2).init_with_output(key, x)
    >>> y, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 32, 32, 3)))
    >>> y.shape, {name: leaf.shape for name, leaf in variables["params"].items()}
    ((8, 32, 32, 16), {'bias': (16,), 'kernel': (5, 5, 3, 16)})

    Attributes:
      features: number of filters.
      kernel: side of the filters.
      init_config: how the parameters are initialized (see `kernel_init` and `bias_init`).
      stride: step of the window along both axes.
      padding: zeros around the image: one number for all sides, or ((top, bottom), (left, right)).
      bias: whether a bias is added.
      fixed: whether the kernel keeps its initial values.
    """

    features: int
    kernel: int
    init_config: Init
    stride: int = 1
    padding: int | Padding = 0
    bias: bool = True
    fixed: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        # Parameters are float32 whatever the compute dtype.
        make = kernel_init(self.init_config)
        if self.fixed:
            w = self.variable("fixed", "kernel", lambda: make(self.make_rng("params"), shape)).value
        else:
            w = self.param("kernel", make, shape)
        if self.bias:
            b = self.param("bias", bias_init(self.init_config, fans(shape)[0]), (self.features,))
        else:
            b = jnp.zeros(self.features)
        return conv2d(x, w.astype(x.dtype), b.astype(x.dtype), stride=self.stride, padding=self.padding)


class DenseParams(nn.Module):
    """The parameters of a dense layer, for models that apply it themselves.

    Called without arguments; returns (kernel [inputs, features], bias [features]), float32.

    >>> import jax
    >>> from jaxnets.config.model import Init
    >>> kernel, bias = jax.eval_shape(lambda key: DenseParams(256, 1000, Init()).init_with_output(key)[0], jax.random.key(0))
    >>> kernel.shape, bias.shape
    ((256, 1000), (1000,))

    Attributes:
      inputs: number of inputs of a unit.
      features: number of units.
      init_config: how the parameters are initialized (see `kernel_init` and `bias_init`).
    """

    inputs: int
    features: int
    init_config: Init

    @nn.compact
    def __call__(self) -> tuple[Array, Array]:
        kernel = self.param("kernel", kernel_init(self.init_config), (self.inputs, self.features))
        bias = self.param("bias", bias_init(self.init_config, self.inputs), (self.features,))
        return kernel, bias


class Dense(nn.Module):
    """Affine map of the last axis, x @ kernel + bias: [..., inputs] -> [..., features].

    Parameters: `kernel` [inputs, features] and, with `bias`, `bias` [features]. They are float32; a call casts them to the
    dtype of its input.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import Init
    >>> run = lambda key, x: Dense(10, Init()).init_with_output(key, x)
    >>> y, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 84)))
    >>> y.shape, {name: leaf.shape for name, leaf in variables["params"].items()}
    ((8, 10), {'bias': (10,), 'kernel': (84, 10)})

    Attributes:
      features: number of units.
      init_config: how the parameters are initialized (see `kernel_init` and `bias_init`).
      bias: whether a bias is added.
    """

    features: int
    init_config: Init
    bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (x.shape[-1], self.features)
        w = self.param("kernel", kernel_init(self.init_config), shape)
        # One matrix, not a stack: XLA's CPU compiler would transpose a stack for the gradient of w.
        y = x.reshape(-1, x.shape[-1]) @ w.astype(x.dtype)
        if self.bias:
            b = self.param("bias", bias_init(self.init_config, shape[0]), (self.features,))
            y = y + b.astype(x.dtype).reshape(1, -1)
        return y.reshape(*x.shape[:-1], self.features)


class Activation(nn.Module):
    """An activation function, element by element: [...] -> [...].

    It is a module so that its outputs can be captured by name and its calls intercepted (see jaxnets.models.features).

    >>> import jax.numpy as jnp
    >>> Activation("leaky_relu").apply({}, jnp.asarray([-100.0, 2.0])).tolist()
    [-1.0, 2.0]

    Attributes:
      kind: a key of ACTIVATIONS: "sigmoid", "tanh", "relu", "leaky_relu" (slope 0.01) or "gelu".
    """

    kind: str = "relu"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return ACTIVATIONS[self.kind](x)


class BatchNorm(nn.Module):
    """Batch normalization of each channel: [N, H, W, C] or [N, C], of any dtype, to the same shape and dtype.

        y = (x - mean) / sqrt(variance + 1e-5) · scale + bias

    With train=True, mean and variance are the batch's, and the running averages become momentum · average + (1 - momentum) ·
    batch. With train=False they are the running averages. The constants are PyTorch's. The running variance averages the
    batch's biased variance, as in Flax; PyTorch averages the unbiased one.

    Parameters: `scale` [C], initially 1, and `bias` [C], initially 0. Collection "batch_stats": `mean` and `var` [C]. All
    are float32. With `fixed_scale`, the scale stays 1, in the collection "fixed", which nothing trains.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.asarray([[0.0], [20.0]])
    >>> y, variables = BatchNorm().init_with_output(jax.random.key(0), x, train=True)
    >>> jnp.round(y, 3).tolist(), jnp.round(variables["batch_stats"]["mean"], 3).tolist()
    ([[-1.0], [1.0]], [1.0])

    Attributes:
      axis_name: the mesh axis over which a per-device program shares its statistics; None if a call sees the whole batch.
      momentum: share of the old value in the running averages after a step, in [0, 1): 1 minus PyTorch's.
      fixed_scale: whether the scale is not trained.

    References:
      Ioffe, S. and Szegedy, C. (2015), Batch normalization: accelerating deep network training by reducing internal
      covariate shift.
    """

    axis_name: str | None = None
    momentum: float = 0.9
    fixed_scale: bool = False

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        channels = x.shape[-1:]
        if self.fixed_scale:
            scale = self.variable("fixed", "scale", jnp.ones, channels).value
        else:
            scale = self.param("scale", nn.initializers.ones, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        variance = self.variable("batch_stats", "var", jnp.ones, channels)
        images = x.reshape(x.shape[0], *((1,) * (4 - x.ndim) + x.shape[1:]))
        if train:
            y, batch_mean, batch_variance = batch_norm(images, scale, bias, _EPSILON, self.axis_name)
            mean.value = self.momentum * mean.value + (1 - self.momentum) * batch_mean
            variance.value = self.momentum * variance.value + (1 - self.momentum) * batch_variance
        else:
            factor = scale * lax.rsqrt(variance.value + _EPSILON)
            y = images * factor.reshape(1, 1, 1, -1) + (bias - mean.value * factor).reshape(1, 1, 1, -1)
        return y.reshape(x.shape).astype(x.dtype)


class Dropout(nn.Module):
    """With train=True, zeroes each element with probability `rate` and divides the others by 1 - rate: [...] -> [...].

    With train=False, the identity. The random numbers come from the "dropout" stream.

    An element takes 16 random bits. The rate is rounded to a multiple of 2⁻¹⁶, and the scale is that of the rounded rate.

    >>> import jax, jax.numpy as jnp
    >>> y = Dropout(0.5).apply({}, jnp.ones(1000), train=True, rngs={"dropout": jax.random.key(0)})
    >>> sorted(set(y.tolist())), 400 < int((y == 0).sum()) < 600
    ([0.0, 2.0], True)

    Attributes:
      rate: probability that an element is zeroed, in [0, 1).
      spatial: whether whole channels of images [N, H, W, C] are zeroed, as by torch.nn.Dropout2d.

    References:
      Srivastava, N. et al. (2014), Dropout: a simple way to prevent neural networks from overfitting.
      Tompson, J. et al. (2015), Efficient object localization using convolutional networks (`spatial`).
    """

    rate: float
    spatial: bool = False

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        dropped = min(round(self.rate * 2**16), 2**16 - 1)
        if not train or dropped == 0:
            return x
        shape = (x.shape[0], *((1,) * (x.ndim - 2)), x.shape[-1]) if self.spatial else x.shape
        bits = dropout_bits(self.make_rng("dropout"), shape)
        scale = 2**16 / (2**16 - dropped)
        return jnp.where(bits >= dropped, x * jnp.asarray(scale, x.dtype), jnp.zeros_like(x))

"""Layers the models are made of: thin Linen modules over our own convolution, initializers and dropout."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxnets.config.model import Init
from jaxnets.nn.conv import Padding, conv2d
from jaxnets.nn.init import bias_init, fans, kernel_init
from jaxnets.nn.norm import batch_norm

Array = jax.Array

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.01),
}

_EPSILON, _MOMENTUM = 1e-5, 0.9


class Conv(nn.Module):
    """Convolution: [N, H, W, C] -> [N, H', W', features]."""

    features: int
    kernel: int
    init_config: Init
    stride: int = 1
    padding: int | Padding = 0
    bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        # Parameters are drawn in float32 whatever the compute dtype.
        w = self.param("kernel", kernel_init(self.init_config), shape)
        if self.bias:
            b = self.param("bias", bias_init(self.init_config, fans(shape)[0]), (self.features,))
        else:
            b = jnp.zeros(self.features)
        return conv2d(x, w.astype(x.dtype), b.astype(x.dtype), stride=self.stride, padding=self.padding)


class DenseParams(nn.Module):
    """The parameters of a dense layer, for models that apply it themselves: kernel [inputs, features], bias [features]."""

    inputs: int
    features: int
    init_config: Init

    @nn.compact
    def __call__(self) -> tuple[Array, Array]:
        kernel = self.param("kernel", kernel_init(self.init_config), (self.inputs, self.features))
        bias = self.param("bias", bias_init(self.init_config, self.inputs), (self.features,))
        return kernel, bias


class Dense(nn.Module):
    """Affine map of the last axis: [..., inputs] -> [..., features]."""

    features: int
    init_config: Init

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (x.shape[-1], self.features)
        w = self.param("kernel", kernel_init(self.init_config), shape)
        b = self.param("bias", bias_init(self.init_config, shape[0]), (self.features,))
        # One matrix, not a stack: XLA's CPU compiler would transpose a stack for the gradient of w.
        y = x.reshape(-1, x.shape[-1]) @ w.astype(x.dtype) + b.astype(x.dtype).reshape(1, -1)
        return y.reshape(*x.shape[:-1], self.features)


class Activation(nn.Module):
    """One of ACTIVATIONS, element by element. A module, so that its outputs have a name and it can be intercepted."""

    kind: str = "relu"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return ACTIVATIONS[self.kind](x)


class BatchNorm(nn.Module):
    """Batch normalization of [N, H, W, C] or [N, C] with PyTorch's constants (running average 0.9, epsilon 1e-5).

    The running variance averages the batch's biased variance, as Flax does; PyTorch's is unbiased.
    """

    axis_name: str | None = None
    """See jaxnets.nn.norm.batch_norm."""

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        channels = x.shape[-1:]
        scale, bias = (
            self.param("scale", nn.initializers.ones, channels),
            self.param("bias", nn.initializers.zeros, channels),
        )
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        variance = self.variable("batch_stats", "var", jnp.ones, channels)
        images = x.reshape(x.shape[0], *((1,) * (4 - x.ndim) + x.shape[1:]))
        if train:
            y, batch_mean, batch_variance = batch_norm(images, scale, bias, _EPSILON, self.axis_name)
            mean.value = _MOMENTUM * mean.value + (1 - _MOMENTUM) * batch_mean
            variance.value = _MOMENTUM * variance.value + (1 - _MOMENTUM) * batch_variance
        else:
            factor = scale * lax.rsqrt(variance.value + _EPSILON)
            y = images * factor.reshape(1, 1, 1, -1) + (bias - mean.value * factor).reshape(1, 1, 1, -1)
        return y.reshape(x.shape).astype(x.dtype)


class Dropout(nn.Module):
    """Zeroes a share `rate` of the elements in training and scales the rest so that their mean stays.

    With `spatial` whole channels of images [N, H, W, C] are zeroed (Tompson et al. 2015), as torch.nn.Dropout2d does.

    Sixteen random bits decide each element, two elements per generated word: random bits are what dropout costs on a
    CPU. The rate is met to within 2⁻¹⁷ and the scale corrects for the rest.
    """

    rate: float
    spatial: bool = False

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        dropped = round(self.rate * 2**16)
        if not train or dropped == 0:
            return x
        shape = (x.shape[0], *((1,) * (x.ndim - 2)), x.shape[-1]) if self.spatial else x.shape
        size = math.prod(shape)
        words = jax.random.bits(self.make_rng("dropout"), ((size + 1) // 2,))
        bits = lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].reshape(shape)
        scale = 2**16 / (2**16 - dropped)
        return jnp.where(bits >= dropped, x * jnp.asarray(scale, x.dtype), jnp.zeros_like(x))

"""Initial values of weights and biases.

With fan_in and fan_out the number of inputs and outputs of one unit:

    torch             weights and biases uniform in ±1/sqrt(fan_in)              (the default of torch.nn layers)
    xavier_normal     normal, variance gain² · 2 / (fan_in + fan_out)            (Glorot and Bengio 2010; report S4 §3.1.1)
    xavier_uniform    uniform in ±gain · sqrt(6 / (fan_in + fan_out))
    kaiming_normal    normal, standard deviation gain / sqrt(fan_in)             (He et al. 2015; report S4 §3.1.2)
    normal            normal, standard deviation std                             (the report's "large Gaussian": std 1)

A dense_std, where given, replaces the scheme for dense layers: normal with that standard deviation.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnets.config.model import Init

Initializer = Callable[[jax.Array, tuple[int, ...]], jax.Array]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a dense kernel [in, out] or a convolution kernel [height, width, in, out]."""
    receptive = math.prod(shape[:-2])
    return shape[-2] * receptive, shape[-1] * receptive


def kernel_init(init: Init) -> Initializer:
    """A function (key, shape) -> float32 weights, by `init.scheme`."""

    def initialize(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        fan_in, fan_out = fans(shape)
        if init.dense_std is not None and len(shape) == 2:
            return init.dense_std * jax.random.normal(key, shape)
        if init.scheme == "torch":
            bound = 1 / math.sqrt(fan_in)
        elif init.scheme == "xavier_uniform":
            bound = init.gain * math.sqrt(6 / (fan_in + fan_out))
        else:
            std = {
                "xavier_normal": init.gain * math.sqrt(2 / (fan_in + fan_out)),
                "kaiming_normal": init.gain / math.sqrt(fan_in),
                "normal": init.std,
            }[init.scheme]
            return std * jax.random.normal(key, shape)
        return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

    return initialize


def bias_init(init: Init, fan_in: int) -> Initializer:
    """A function (key, shape) -> float32 biases of a layer with `fan_in` inputs a unit."""

    def initialize(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        if init.bias is not None:
            return jnp.full(shape, init.bias)
        if init.scheme != "torch":
            return jnp.zeros(shape)
        bound = 1 / math.sqrt(fan_in)
        return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

    return initialize

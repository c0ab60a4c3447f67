"""Initial values of weights and biases.

fan_in and fan_out are the numbers of inputs and outputs of one unit:

    torch             weights and biases uniform in ±1/sqrt(fan_in)              (the default of torch.nn layers)
    xavier_normal     normal, variance gain² · 2 / (fan_in + fan_out)            (Glorot and Bengio 2010; report S4 §3.1.1)
    xavier_uniform    uniform in ±gain · sqrt(6 / (fan_in + fan_out))
    kaiming_normal    normal, standard deviation gain / sqrt(fan_in)             (He et al. 2015; report S4 §3.1.2)
    normal            normal, standard deviation std                             (the report's "large Gaussian": std 1)

If `dense_std` is set, dense weights are normal with that standard deviation, whatever the scheme. If `identity` is set, the
first filters of convolutions pass their inputs on.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnets.config.model import Init

Initializer = Callable[[jax.Array, tuple[int, ...]], jax.Array]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """The numbers of inputs and outputs of one unit.

    >>> fans((784, 128))
    (784, 128)
    >>> fans((5, 5, 3, 6))
    (75, 150)

    Args:
      shape: of a dense kernel [in, out] or a convolution kernel [height, width, in, out].

    Returns:
      (fan_in, fan_out); for a convolution both include the height · width taps.
    """
    receptive_field = math.prod(shape[:-2])
    return shape[-2] * receptive_field, shape[-1] * receptive_field


def kernel_init(init: Init) -> Initializer:
    """An initializer of dense and convolution kernels.

        torch             uniform in ±1/sqrt(fan_in)
        xavier_normal     normal, variance gain² · 2 / (fan_in + fan_out)
        xavier_uniform    uniform in ±gain · sqrt(6 / (fan_in + fan_out))
        kaiming_normal    normal, standard deviation gain / sqrt(fan_in)
        normal            normal, standard deviation std

    >>> import jax
    >>> from jaxnets.config.model import Init
    >>> initialize = kernel_init(Init("kaiming_normal", gain=2**0.5))
    >>> kernel = initialize(jax.random.key(0), (5000, 200))
    >>> kernel.shape, round(float(kernel.std()), 3)  # sqrt(2 / 5000)
    ((5000, 200), 0.02)

    Args:
      init: the scheme with its gain and standard deviations. `init.dense_std`, if set, replaces the scheme for kernels
        of two axes, and `init.identity` for the first filters of kernels of four axes and odd side.

    Returns:
      A function (key, shape) -> float32 weights of that shape. It raises KeyError for an unknown scheme.

    References:
      Glorot, X. and Bengio, Y. (2010), Understanding the difficulty of training deep feedforward neural networks (report S4
      §3.1.1).
      He, K. et al. (2015), Delving deep into rectifiers (report S4 §3.1.2).
    """

    def initialize(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        drawn = by_scheme(key, shape)
        return with_identity(drawn) if init.identity and len(shape) == 4 and shape[0] % 2 else drawn

    def by_scheme(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
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


def with_identity(kernel: jax.Array) -> jax.Array:
    """A convolution kernel whose first filters copy an input channel each, as `torch.nn.init.dirac_` makes them.

    >>> import jax.numpy as jnp
    >>> with_identity(jnp.full((1, 1, 2, 3), 0.5))[0, 0].tolist()  # The third filter stays as it is.
    [[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]

    Args:
      kernel: [side, side, in, out], of odd side.

    Returns:
      The same shape; of its filters the first min(in, out) are replaced.
    """
    side, _, inputs, outputs = kernel.shape
    count = min(inputs, outputs)
    copies = jnp.zeros((side, side, inputs, count)).at[side // 2, side // 2].set(jnp.eye(inputs, count))
    return kernel.at[..., :count].set(copies)


def bias_init(init: Init, fan_in: int) -> Initializer:
    """An initializer of biases: `init.bias` if set, else uniform in ±1/sqrt(fan_in) under "torch", else 0.

    >>> import jax
    >>> from jaxnets.config.model import Init
    >>> bias_init(Init(bias=0.5), fan_in=75)(jax.random.key(0), (2,)).tolist()
    [0.5, 0.5]

    Args:
      init: the constant and the scheme.
      fan_in: number of inputs of one unit of the layer.

    Returns:
      A function (key, shape) -> float32 biases of that shape.
    """

    def initialize(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        if init.bias is not None:
            return jnp.full(shape, init.bias)
        if init.scheme != "torch":
            return jnp.zeros(shape)
        bound = 1 / math.sqrt(fan_in)
        return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

    return initialize

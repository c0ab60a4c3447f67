"""The inside of a model: outputs of its layers by name, and deconvolutional networks that project them back."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict

from jaxnets.nn.layers import ACTIVATIONS, Activation, Conv, Dense

Array = jax.Array
Maps = dict[str, Array]
Kind = Literal["conv", "activation", "dense"]


def feature_maps(model: nn.Module, variables: Any, images: Array) -> Maps:
    """The outputs of every convolution, activation function and dense layer, in evaluation and in the order of calls.

    Under jit, only the outputs that are used are computed.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets import models
    >>> from jaxnets.config.model import CNNConfig
    >>> model, images = models.build(CNNConfig(), {"classes": 10}), jnp.zeros((1, 32, 32, 3))
    >>> variables = jax.eval_shape(lambda key: model.init(key, images, train=False), jax.random.key(0))
    >>> maps = jax.eval_shape(lambda variables: feature_maps(model, variables, images), variables)
    >>> maps["Conv_0"].shape, maps["head"].shape
    ((1, 32, 32, 32), (1, 10))

    Args:
      model: a Linen module that takes images and `train`.
      variables: its variables.
      images: [N, H, W, C].

    Returns:
      float32 [N, H, W, C] or [N, units] by the path of the module, such as "Conv_0", "Activation_0" or "Block_3/Conv_1".
    """
    _, state = model.apply(variables, images, train=False, capture_intermediates=_is_captured, mutable=["intermediates"])
    outputs = flatten_dict(state["intermediates"])
    return {"/".join(path[:-1]): maps.astype(jnp.float32) for path, (maps,) in outputs.items()}


def _is_captured(module: nn.Module, method: str) -> bool:
    return type(module) in _KINDS and method == "__call__"


_KINDS: Mapping[type, Kind] = {Conv: "conv", Activation: "activation", Dense: "dense"}


class Layer(NamedTuple):
    """A layer whose outputs `feature_maps` returns.

    >>> layer = Layer("Conv_0", "conv", (32, 32, 6))
    >>> layer.channels, layer.is_spatial
    (6, True)
    """

    name: str
    """The path of its module."""
    kind: Kind
    shape: tuple[int, ...]
    """Of its output for one image: (H, W, channels) or (units,)."""

    @property
    def channels(self) -> int:
        """Number of channels or units."""
        return self.shape[-1]

    @property
    def is_spatial(self) -> bool:
        """Whether its outputs are maps (H, W, channels)."""
        return len(self.shape) == 3


def layers(model: nn.Module, variables: Any, images: Array) -> dict[str, Layer]:
    """The layers of `feature_maps` by name, in the order of calls. Computes only shapes.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets import models
    >>> from jaxnets.config.model import CNNConfig
    >>> model, images = models.build(CNNConfig(), {"classes": 10}), jnp.zeros((1, 32, 32, 3))
    >>> variables = jax.eval_shape(lambda key: model.init(key, images, train=False), jax.random.key(0))
    >>> [layer.name for layer in layers(model, variables, images).values() if layer.kind != "activation"]
    ['Conv_0', 'Conv_1', 'Dense_0', 'head']

    Args:
      model: a Linen module that takes images and `train`.
      variables: its variables, or their shapes.
      images: [N, H, W, C], or their shape.

    Returns:
      Layers by name.
    """
    kinds: dict[str, Kind] = {}

    def record_kind(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        if _is_captured(context.module, context.method_name):
            kinds["/".join(context.module.path)] = _KINDS[type(context.module)]
        return call(*args, **kwargs)

    with nn.intercept_methods(record_kind):
        maps = jax.eval_shape(functools.partial(feature_maps, model), variables, images)
    # `kinds` is in the order of calls; eval_shape sorts the names.
    return {name: Layer(name, kind, maps[name].shape[1:]) for name, kind in kinds.items()}


def deconvolutional(feature_maps: Callable[[Array], Maps]) -> Callable[[Array], Maps]:
    """The same function with another VJP: a deconvolutional network in place of the gradient.

    Two of the paper's three backward steps are the gradient's: max-pooling returns a signal to the position of the maximum
    ("unpooling by switches"; signals of overlapping windows that share a maximum add up), and a convolution applies its
    transpose. The third differs: ReLU rectifies the backward signal itself, whatever its forward input was.

    For layers that the paper does not have: leaky ReLU and GELU are applied to the signal, as ReLU is; tanh keeps its
    gradient, as its outputs have either sign and leave nothing to rectify; average pooling, BatchNorm in evaluation and
    shortcuts are linear and apply their transpose.

    >>> import jax, jax.numpy as jnp
    >>> relu = lambda images: {"Activation_0": Activation("relu").apply({}, images)}
    >>> images, signal = jnp.asarray([-1.0, 1.0]), {"Activation_0": jnp.asarray([3.0, -3.0])}
    >>> jax.vjp(relu, images)[1](signal)[0].tolist(), jax.vjp(deconvolutional(relu), images)[1](signal)[0].tolist()
    ([0.0, -3.0], [3.0, 0.0])

    Args:
      feature_maps: from images to outputs by name, such as a partial application of `feature_maps`.

    Returns:
      A function with the same values.

    References:
      Zeiler, M. and Fergus, R. (2014), Visualizing and understanding convolutional networks (report S3 Q2).
    """

    def intercept(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if isinstance(module, Activation) and module.kind != "tanh" and context.method_name == "__call__":
            return _rectifying(module.kind, *args)
        return call(*args, **kwargs)

    @functools.wraps(feature_maps)
    def intercepted(images: Array) -> Maps:
        with nn.intercept_methods(intercept):
            return feature_maps(images)

    return intercepted


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rectifying(kind: str, x: Array) -> Array:
    return ACTIVATIONS[kind](x)


def _rectifying_bwd(kind: str, _: None, signal: Array) -> tuple[Array]:
    return (ACTIVATIONS[kind](signal),)


_rectifying.defvjp(lambda kind, x: (_rectifying(kind, x), None), _rectifying_bwd)

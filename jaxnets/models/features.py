"""What goes on inside a CNN: its layers' outputs by name, and signals sent back from them."""

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
    """Outputs, in float32, of every convolution, activation function and dense layer in evaluation, in the order of calls.

    Names are paths of modules, such as "Conv_0", "Activation_0" or "Block_3/Conv_1"; shapes [N, H, W, C] or [N, units].
    Under jit, only what is used of the result is computed.
    """
    _, state = model.apply(variables, images, train=False, capture_intermediates=_is_captured, mutable=["intermediates"])
    outputs = flatten_dict(state["intermediates"])
    return {"/".join(path[:-1]): maps.astype(jnp.float32) for path, (maps,) in outputs.items()}


def _is_captured(module: nn.Module, method: str) -> bool:
    return type(module) in _KINDS and method == "__call__"


_KINDS: Mapping[type, Kind] = {Conv: "conv", Activation: "activation", Dense: "dense"}


class Layer(NamedTuple):
    """A layer whose outputs `feature_maps` returns."""

    name: str
    kind: Kind
    shape: tuple[int, ...]
    """Of its output for one image: (H, W, channels) or (units,)."""

    @property
    def channels(self) -> int:
        """Channels or units."""
        return self.shape[-1]

    @property
    def is_spatial(self) -> bool:
        """Whether its outputs are maps."""
        return len(self.shape) == 3


def layers(model: nn.Module, variables: Any, images: Array) -> dict[str, Layer]:
    """The layers of `feature_maps` by name, in the order of calls. Nothing is computed."""
    kinds: dict[str, Kind] = {}

    def note_kind(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        if _is_captured(context.module, context.method_name):
            kinds["/".join(context.module.path)] = _KINDS[type(context.module)]
        return call(*args, **kwargs)

    with nn.intercept_methods(note_kind):
        maps = jax.eval_shape(lambda images: feature_maps(model, variables, images), images)
    # The order of calls is that of `kinds`: eval_shape sorts the names.
    return {name: Layer(name, kind, maps[name].shape[1:]) for name, kind in kinds.items()}


def deconvolutional(feature_maps: Callable[[Array], Maps]) -> Callable[[Array], Maps]:
    """The same function, whose VJP is a deconvolutional network (Zeiler and Fergus 2014) instead of the gradient.

    The paper's three steps back are those of the gradient, but for one: max-pooling's transpose puts a signal back where the
    maximum was ("unpooling by switches"; where windows overlap and share a maximum, their signals add up), a convolution's
    transpose is the convolution with flipped filters; but ReLU rectifies the signal itself, whatever its input was.

    What the paper does not treat is done in the same spirit. Leaky ReLU is applied to the signal as ReLU is. tanh, whose
    outputs have either sign, leaves nothing to rectify: there it is the gradient, which saturated units hold back. Average
    pooling spreads a signal evenly, BatchNorm multiplies it by its fixed factors, a shortcut adds its signal to the block's:
    each its own transpose.
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

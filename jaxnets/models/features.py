"""What goes on inside a CNN: its layers' outputs by name, and signals sent back from them."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict

from jaxnets.nn.layers import ACTIVATIONS, Activation, Conv, Dense

Array = jax.Array
Maps = dict[str, Array]


def feature_maps(model: nn.Module, variables: Any, images: Array) -> Maps:
    """Outputs, in float32, of every convolution, activation function and dense layer in evaluation, in the order of calls.

    Names are paths of modules, such as "Conv_0", "Activation_0" or "Block_3/Conv_1"; shapes [N, H, W, C] or [N, units].
    Under jit, only what is used of the result is computed.
    """
    _, state = model.apply(variables, images, train=False, capture_intermediates=_wanted, mutable=["intermediates"])
    outputs = flatten_dict(state["intermediates"])
    return {"/".join(path[:-1]): found.astype(jnp.float32) for path, (found,) in outputs.items()}


def _wanted(module: nn.Module, method: str) -> bool:
    return isinstance(module, Conv | Activation | Dense) and method == "__call__"


def shapes(model: nn.Module, variables: Any, images: Array) -> Mapping[str, tuple[int, ...]]:
    """The shapes of `feature_maps` for one image, by name, in the order of calls. Nothing is computed."""
    found: dict[str, tuple[int, ...]] = {}

    def note(images: Array) -> None:
        found.update({name: maps.shape[1:] for name, maps in feature_maps(model, variables, images).items()})

    jax.eval_shape(note, images)
    return found


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

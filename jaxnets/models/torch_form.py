"""A model's form in PyTorch: which layer there is which of ours, and the weights in PyTorch's layout.

A Linen module that has such a form returns it from its method `torch_form`. The PyTorch class is in jaxnets.export.pytorch,
under the names of the Linen module's file and class. Nothing here needs torch.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnets.config import ModelConfig
from jaxnets.errors import UserError

Tree = Mapping[str, Any]

_OURS_ALONE = ("init", "weights", "dtype", "remat")
"""Fields of configs that have no part in a trained net's outputs in float32."""


class TorchForm(NamedTuple):
    """What makes PyTorch's class the same model."""

    arguments: Mapping[str, Any]
    """Of its constructor: numbers, words and tuples of them."""
    layers: Mapping[str, str]
    """Its layers with weights, by name: {"layer1.0.conv1": "Block_0/Conv_0"} names ours by its path."""
    flattened: Mapping[str, int] = {}
    """Dense layers that read a flattened image: the image's channels. It is [C, H, W] there and [H, W, C] in ours."""
    unflattened: Mapping[str, int] = {}
    """Dense layers whose outputs become an image, likewise."""


class Tensor(NamedTuple):
    """One tensor of a PyTorch state dict, and the array of ours with the same values."""

    name: str
    path: tuple[str, ...]
    """Of ours among the variables, such as ("params", "Conv_0", "kernel")."""
    to_torch: Callable[[Any], Any]
    """Brings ours into PyTorch's layout."""
    from_torch: Callable[[Any], Any]


def of(model: Any, shape: Sequence[int]) -> TorchForm:
    """The PyTorch form of a model for inputs of a given shape.

    >>> from jaxnets import models
    >>> from jaxnets.config.model import MLPConfig
    >>> form = of(models.build(MLPConfig(hidden=(64,)), {"classes": 36}), (32, 32, 1))
    >>> form.arguments["image"], form.layers
    ((1, 32, 32), {'fc1': 'Dense_0', 'fc2': 'head'})

    Args:
      model: a Linen module.
      shape: of one example, without the batch axis: [H, W, C] of an image.

    Returns:
      The form.

    Raises:
      UserError: the model has none.
    """
    kind = type(model)
    # A form that is inherited is that of another model.
    if "torch_form" not in vars(kind):
        raise UserError(f"{kind.__name__} has no PyTorch form: the built-in models alone have one")
    return model.torch_form(tuple(shape))


def arguments(config: ModelConfig, **others: Any) -> dict[str, Any]:
    """Constructor arguments: `others`, then the config's fields, apart from those of training and precision."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return others | {name: value for name, value in fields.items() if name not in _OURS_ALONE}


def image(shape: Sequence[int]) -> tuple[int, ...]:
    """An image's shape [H, W, C] as PyTorch has it: [C, H, W]."""
    height, width, channels = shape
    return channels, height, width


def dense(hidden: int) -> dict[str, str]:
    """{"fc1": "Dense_0", …, "fc3": "head"}: hidden dense layers and the head."""
    return {**numbered("fc", "Dense", hidden), f"fc{hidden + 1}": "head"}


def numbered(name: str, kind: str, count: int) -> dict[str, str]:
    """{"conv1": "Conv_0", "conv2": "Conv_1", …}."""
    return {f"{name}{k + 1}": f"{kind}_{k}" for k in range(count)}


def to_torch(form: TorchForm, variables: Tree) -> dict[str, np.ndarray]:
    """The variables, or trees like them such as {"params": gradients}, by PyTorch's names and in its layouts."""
    return {tensor.name: tensor.to_torch(np.asarray(at(variables, tensor.path))) for tensor in tensors(form, variables)}


def tensors(form: TorchForm, variables: Tree) -> Iterator[Tensor]:
    """The tensors of a state dict, in the order of the form's layers; of the `variables` only the shapes matter."""
    for layer, place in form.layers.items():
        channels = form.flattened.get(layer, 1), form.unflattened.get(layer, 1)
        for collection in ("params", "fixed", "batch_stats"):
            path = (collection, *place.split("/"))
            for leaf, array in at(variables, path, {}).items():
                yield Tensor(f"{layer}.{_name(leaf)}", (*path, leaf), *_layouts(leaf, len(array.shape), *channels))


def at(tree: Tree, path: Sequence[str], default: Any = None) -> Any:
    """What is at a path of nested mappings, or the default."""
    for key in path:
        if key not in tree:
            return default
        tree = tree[key]
    return tree


_NAMES = {
    **{"kernel": "weight", "table": "weight", "scale": "weight", "bias": "bias"},
    **{"mean": "running_mean", "var": "running_var"},
}


def _name(leaf: str) -> str:
    """PyTorch's name of a layer's tensor: "weight" for "kernel", "weight_hh_l1" for "hidden_kernel_1"."""
    if recurrent := re.fullmatch(r"(input|hidden)_(kernel|bias)_(\d+)", leaf):
        part, kind, number = recurrent.groups()
        return f"{_NAMES[kind]}_{'ih' if part == 'input' else 'hh'}_l{number}"
    return _NAMES[leaf]


def _layouts(leaf: str, axes: int, inputs: int, outputs: int) -> tuple[Callable, Callable]:
    """(to PyTorch's layout, back) for an array of so many axes; `inputs` and `outputs` are channels of images."""
    if axes == 4:  # [KH, KW, in, out] and [out, in, KH, KW].
        return lambda x: x.transpose(3, 2, 0, 1), lambda x: x.transpose(2, 3, 1, 0)
    if "kernel" in leaf:  # [in, out] and [out, in].
        return (
            lambda x: _channels_first(_channels_first(x, 0, inputs), 1, outputs).T,
            lambda x: _channels_last(_channels_last(x.T, 0, inputs), 1, outputs),
        )
    if leaf == "bias":
        return lambda x: _channels_first(x, 0, outputs), lambda x: _channels_last(x, 0, outputs)
    return lambda x: x, lambda x: x


def _channels_first(x: Any, axis: int, channels: int) -> Any:
    """Reorders an axis that is a flattened image [H · W, C] to [C, H · W]."""
    folded = x.reshape(*x.shape[:axis], -1, channels, *x.shape[axis + 1 :])
    return folded.swapaxes(axis, axis + 1).reshape(x.shape)


def _channels_last(x: Any, axis: int, channels: int) -> Any:
    folded = x.reshape(*x.shape[:axis], channels, -1, *x.shape[axis + 1 :])
    return folded.swapaxes(axis, axis + 1).reshape(x.shape)

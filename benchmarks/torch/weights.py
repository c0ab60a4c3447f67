"""Copies parameters between Linen trees and PyTorch modules with the same layers, and pairs their gradients.

Layers are matched by the module's `flax_names`. Without it, the layers of each kind are matched in order.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

Tree = Mapping[str, Any]


def copy_to_torch(params: Tree, model_state: Tree, module: nn.Module) -> None:
    """Overwrites the module's parameters and running statistics with ours.

    Args:
      params: our parameters.
      model_state: our other variables; "batch_stats" holds the running statistics.
      module: the twin.
    """
    with torch.no_grad():
        for tensor, array in _pairs(params, module):
            tensor.copy_(torch.tensor(np.asarray(array)))
        for stats, norm in layers(model_state.get("batch_stats", {}), module, "BatchNorm"):
            norm.running_mean.copy_(torch.tensor(np.asarray(stats["mean"])))
            norm.running_var.copy_(torch.tensor(np.asarray(stats["var"])))


def gradients(params: Tree, module: nn.Module) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, our gradient in PyTorch's layout, the twin's gradient) for every parameter. `params` are our gradients."""
    names = {id(tensor): name for name, tensor in module.named_parameters()}
    for tensor, array in _pairs(params, module):
        yield names[id(tensor)], np.asarray(array), tensor.grad.numpy()


def _pairs(params: Tree, module: nn.Module) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Each of the module's parameters with ours in its layout."""
    yield from _named_pairs(params, module) if hasattr(module, "flax_names") else _ordered_pairs(params, module)


def _named_pairs(params: Tree, module: nn.Module) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Pairs layers by the module's `flax_names`."""
    for name, flax_name in module.flax_names.items():
        layer, values = getattr(module, name), params[flax_name]
        if isinstance(layer, nn.Embedding):
            yield layer.weight, values["table"]
        elif isinstance(layer, nn.Linear):
            yield layer.weight, np.asarray(values["kernel"]).T
            yield layer.bias, values["bias"]
        else:
            for k in range(layer.num_layers):
                for part, letters in (("input", "ih"), ("hidden", "hh")):
                    yield getattr(layer, f"weight_{letters}_l{k}"), np.asarray(values[f"{part}_kernel_{k}"]).T
                    yield getattr(layer, f"bias_{letters}_l{k}"), values[f"{part}_bias_{k}"]


def _ordered_pairs(params: Tree, module: nn.Module) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Pairs the layers of each kind in order."""
    channels = None
    for values, layer in layers(params, module, "Conv"):
        yield layer.weight, np.transpose(values["kernel"], (3, 2, 0, 1))
        if layer.bias is not None:
            yield layer.bias, values["bias"]
        channels = layer.out_channels
    for values, layer in layers(params, module, "Dense"):
        kernel = np.asarray(values["kernel"])
        if channels not in (None, kernel.shape[0]):
            # The first dense layer reads flattened images: [H, W, C] in ours, [C, H, W] in the twin.
            side = round((kernel.shape[0] // channels) ** 0.5)
            kernel = kernel.reshape(side, side, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        channels = None
        yield layer.weight, kernel.T
        yield layer.bias, values["bias"]
    for values, layer in layers(params, module, "BatchNorm"):
        yield layer.weight, values["scale"]
        yield layer.bias, values["bias"]


def layers(tree: Tree, module: nn.Module, kind: str) -> Iterator[tuple[Tree, Any]]:
    """(our values, the twin's layer) for all layers of a kind, in order."""
    types = {"Conv": nn.Conv2d, "Dense": nn.Linear, "BatchNorm": nn.modules.batchnorm._BatchNorm}
    twins = [layer for layer in module.modules() if isinstance(layer, types[kind])]
    return zip(_subtrees(tree, kind), twins, strict=True)


def _subtrees(tree: Tree, kind: str) -> list[Tree]:
    """The subtrees that Linen names Kind_0, Kind_1, …: first those directly in `tree`, then those of its submodules."""
    number = lambda name: int(name.rpartition("_")[2])
    modules = sorted((name for name in tree if re.fullmatch(r"[A-Z]\w*_\d+", name)), key=number)
    direct = [tree[name] for name in modules if name.rpartition("_")[0] == kind]
    head = [tree["head"]] if kind == "Dense" and "head" in tree else []
    return direct + [layer for name in modules for layer in _subtrees(tree[name], kind)] + head

"""Carries parameters and gradients between Linen trees and PyTorch modules of the same layers.

Layers are matched by the names that a module's `ours` gives; without it, layers of a kind by their order.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

Tree = Mapping[str, Any]


def copy_to_torch(params: Tree, model_state: Tree, module: nn.Module) -> None:
    """Overwrites the module's parameters and running statistics with ours."""
    with torch.no_grad():
        for tensor, array in _pairs(params, module):
            tensor.copy_(torch.tensor(np.asarray(array)))
        for stats, norm in layers(model_state.get("batch_stats", {}), module, "BatchNorm"):
            norm.running_mean.copy_(torch.tensor(np.asarray(stats["mean"])))
            norm.running_var.copy_(torch.tensor(np.asarray(stats["var"])))


def gradients(params: Tree, module: nn.Module) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, ours in PyTorch's layout, theirs) for every parameter; `params` is a tree of our gradients."""
    names = {id(tensor): name for name, tensor in module.named_parameters()}
    for tensor, array in _pairs(params, module):
        yield names[id(tensor)], np.asarray(array), tensor.grad.numpy()


def _pairs(params: Tree, module: nn.Module) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Each torch parameter with ours, turned to its layout."""
    yield from _named_pairs(params, module) if hasattr(module, "ours") else _ordered_pairs(params, module)


def _named_pairs(params: Tree, module: nn.Module) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """By the names that the module's `ours` gives."""
    for theirs, name in module.ours.items():
        layer, own = getattr(module, theirs), params[name]
        if isinstance(layer, nn.Embedding):
            yield layer.weight, own["table"]
        elif isinstance(layer, nn.Linear):
            yield layer.weight, np.asarray(own["kernel"]).T
            yield layer.bias, own["bias"]
        else:
            for k in range(layer.num_layers):
                for part, letters in (("input", "ih"), ("hidden", "hh")):
                    yield getattr(layer, f"weight_{letters}_l{k}"), np.asarray(own[f"{part}_kernel_{k}"]).T
                    yield getattr(layer, f"bias_{letters}_l{k}"), own[f"{part}_bias_{k}"]


def _ordered_pairs(params: Tree, module: nn.Module) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """By the order of layers of a kind."""
    channels = None
    for own, layer in layers(params, module, "Conv"):
        yield layer.weight, np.transpose(own["kernel"], (3, 2, 0, 1))
        if layer.bias is not None:
            yield layer.bias, own["bias"]
        channels = layer.out_channels
    for own, layer in layers(params, module, "Dense"):
        kernel = np.asarray(own["kernel"])
        if channels not in (None, kernel.shape[0]):
            # The first dense layer reads flattened images: [H, W, C] here, [C, H, W] there.
            side = round((kernel.shape[0] // channels) ** 0.5)
            kernel = kernel.reshape(side, side, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        channels = None
        yield layer.weight, kernel.T
        yield layer.bias, own["bias"]
    for own, layer in layers(params, module, "BatchNorm"):
        yield layer.weight, own["scale"]
        yield layer.bias, own["bias"]


def layers(tree: Tree, module: nn.Module, kind: str) -> Iterator[tuple[Tree, Any]]:
    """The layers of a kind in order: our values, and the torch layer."""
    types = {"Conv": nn.Conv2d, "Dense": nn.Linear, "BatchNorm": nn.modules.batchnorm._BatchNorm}
    theirs = [layer for layer in module.modules() if isinstance(layer, types[kind])]
    return zip(_named(tree, kind), theirs, strict=True)


def _named(tree: Tree, kind: str) -> list[Tree]:
    """The subtrees that Linen names Kind_0, Kind_1, …; a module's own ones come before those of modules in it."""
    number = lambda name: int(name.rpartition("_")[2])
    modules = sorted((name for name in tree if re.fullmatch(r"[A-Z]\w*_\d+", name)), key=number)
    own = [tree[name] for name in modules if name.rpartition("_")[0] == kind]
    head = [tree["head"]] if kind == "Dense" and "head" in tree else []
    return own + [layer for name in modules for layer in _named(tree[name], kind)] + head

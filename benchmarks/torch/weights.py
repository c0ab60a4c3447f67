"""Carries parameters and gradients between Linen trees and PyTorch modules of the same layers in the same order."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

Tree = Mapping[str, Any]


def copy_to_torch(params: Tree, variables: Tree, module: nn.Module) -> None:
    """Overwrites the module's parameters and running statistics with ours."""
    with torch.no_grad():
        for tensor, array in _pairs(params, module):
            tensor.copy_(torch.tensor(np.asarray(array)))
        for name, norm in _layers(module, "BatchNorm"):
            stats = variables["batch_stats"][name]
            norm.running_mean.copy_(torch.tensor(np.asarray(stats["mean"])))
            norm.running_var.copy_(torch.tensor(np.asarray(stats["var"])))


def gradients(params: Tree, module: nn.Module) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, ours in PyTorch's layout, theirs) for every parameter; `params` is a tree of our gradients."""
    names = {id(tensor): name for name, tensor in module.named_parameters()}
    for tensor, array in _pairs(params, module):
        yield names[id(tensor)], np.asarray(array), tensor.grad.numpy()


def _pairs(params: Tree, module: nn.Module) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Each torch parameter with ours, turned to its layout."""
    channels = None
    for name, layer in _layers(module, "Conv"):
        yield layer.weight, np.transpose(params[name]["kernel"], (3, 2, 0, 1))
        yield layer.bias, params[name]["bias"]
        channels = layer.out_channels
    for name, layer in _layers(module, "Dense"):
        kernel = np.asarray(params[name]["kernel"])
        if channels is not None:
            # The first dense layer reads flattened images: [H, W, C] here, [C, H, W] there.
            side = round((kernel.shape[0] // channels) ** 0.5)
            kernel = kernel.reshape(side, side, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
            channels = None
        yield layer.weight, kernel.T
        yield layer.bias, params[name]["bias"]
    for name, layer in _layers(module, "BatchNorm"):
        yield layer.weight, params[name]["scale"]
        yield layer.bias, params[name]["bias"]


def _layers(module: nn.Module, kind: str) -> Iterator[tuple[str, Any]]:
    """The layers of a kind in order, under the names that Linen gives them."""
    types = {"Conv": nn.Conv2d, "Dense": nn.Linear, "BatchNorm": nn.modules.batchnorm._BatchNorm}
    found = [layer for layer in module.modules() if isinstance(layer, types[kind])]
    return ((f"{kind}_{i}", layer) for i, layer in enumerate(found))

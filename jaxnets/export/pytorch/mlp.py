"""Multilayer perceptrons on images (report S2 Q3)."""

import math
from collections import OrderedDict

from torch import nn


class MLP(nn.Sequential):
    """Images [N, C, H, W], of the size `image` (C, H, W) -> logits [N, classes]."""

    def __init__(self, image: tuple[int, int, int], classes: int, hidden: tuple[int, ...], activation: str) -> None:
        nonlinearity = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}[activation]
        layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
        inputs = math.prod(image)
        for k, units in enumerate(hidden, 1):
            layers |= {f"fc{k}": nn.Linear(inputs, units), f"activation{k}": nonlinearity()}
            inputs = units
        layers[f"fc{len(hidden) + 1}"] = nn.Linear(inputs, classes)
        super().__init__(OrderedDict(layers))

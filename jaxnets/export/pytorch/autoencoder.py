"""An autoencoder of images (report S2 Q5)."""

import math
from collections import OrderedDict

from torch import nn


class Autoencoder(nn.Sequential):
    """Images [N, C, H, W] in [0, 1], of the size `image` (C, H, W) -> reconstructions of the same shape and range."""

    def __init__(self, image: tuple[int, int, int], hidden: tuple[int, ...], filters: tuple[int, ...]) -> None:
        layers: dict[str, nn.Module] = {}
        channels, height, width = image
        for k, features in enumerate(filters, 1):
            layers |= {f"conv{k}": nn.Conv2d(channels, features, 3, 2, 1), f"relu_conv{k}": nn.ReLU()}
            channels, height, width = features, (height + 1) // 2, (width + 1) // 2
        layers["flatten"] = nn.Flatten()
        inputs = math.prod((channels, height, width))
        widths = (inputs, *hidden)
        for k, units in enumerate(hidden, 1):
            layers |= {f"fc{k}": nn.Linear(widths[k - 1], units), f"relu{k}": nn.ReLU()}
        layers[f"fc{len(hidden) + 1}"] = nn.Linear(widths[-1], inputs)
        layers["unflatten"] = nn.Unflatten(1, (channels, height, width))
        for k, features in enumerate((*filters[-2::-1], image[0]) if filters else (), 1):
            layers |= {f"relu_deconv{k}": nn.ReLU(), f"upsample{k}": nn.Upsample(scale_factor=2)}
            layers[f"deconv{k}"] = nn.Conv2d(channels, features, 3, 1, 1)
            channels = features
        super().__init__(OrderedDict(layers, sigmoid=nn.Sigmoid()))

"""Twins of the dense networks on images, jaxnets.models.mlp and jaxnets.models.autoencoder."""

import itertools
import math

from torch import nn

from jaxnets.config.model import AutoencoderConfig, MLPConfig

_ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


def mlp(config: MLPConfig, classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """Report S2 Q3, for images of one channel."""
    widths = (math.prod(image_shape), *config.hidden)
    hidden = [
        layer
        for inputs, outputs in itertools.pairwise(widths)
        for layer in (nn.Linear(inputs, outputs), _ACTIVATIONS[config.activation]())
    ]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], classes))


def autoencoder(config: AutoencoderConfig, image_shape: tuple[int, int, int]) -> nn.Module:
    """Report S2 Q5, for images of one channel. Raises ValueError for an autoencoder with convolutions."""
    if config.filters:
        raise ValueError("only an autoencoder of dense layers has a PyTorch twin, not one with filters")
    height, width, channels = image_shape
    pixels = math.prod(image_shape)
    widths = (pixels, *config.hidden, pixels)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid(), nn.Unflatten(1, (channels, height, width)))

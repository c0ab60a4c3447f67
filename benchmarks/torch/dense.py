"""Dense nets on images of one channel: twins of those in jaxnets.models.mlp."""

import itertools

from torch import nn

from jaxnets.config.model import AutoencoderConfig, MLPConfig

_ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


def mlp(config: MLPConfig, classes: int, pixels: int = 1024) -> nn.Module:
    """Report S2 Q3."""
    widths = (pixels, *config.hidden)
    hidden = [
        layer
        for inputs, outputs in itertools.pairwise(widths)
        for layer in (nn.Linear(inputs, outputs), _ACTIVATIONS[config.activation]())
    ]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], classes))


def autoencoder(config: AutoencoderConfig, side: int = 32) -> nn.Module:
    """Report S2 Q5: without convolutions."""
    widths = (side**2, *config.hidden, side**2)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid(), nn.Unflatten(1, (1, side, side)))

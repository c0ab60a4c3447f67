"""Twins of the convolutional networks, written as the reports print them.

`image_shape` is (height, width, channels). LeNet, TutorialNet and SmallCNN are for images of 32×32.
"""

import torch
from torch import nn

from jaxnets.config.model import CNNConfig, LeNetConfig, ResNetConfig, SmallCNNConfig, TutorialNetConfig

ImageShape = tuple[int, int, int]

_ACTIVATIONS = {"tanh": nn.Tanh, "leaky_relu": lambda: nn.LeakyReLU(0.01)}


def lenet(config: LeNetConfig, classes: int, image_shape: ImageShape) -> nn.Module:
    """Report S4 §2.4, as its printed summaries (figures 1 to 6)."""

    def finish(width: int, dropout: float, norm: type[nn.Module]) -> list[nn.Module]:
        layers = [_ACTIVATIONS[config.activation]()]
        if config.batch_norm:
            layers.append(norm(width))
        return [*layers, nn.Dropout(dropout)]

    first, second = config.dropout_conv
    layers = [
        nn.Dropout(config.dropout_input),
        nn.Conv2d(image_shape[2], 6, 5),
        *finish(6, first, nn.BatchNorm2d),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        *finish(16, second, nn.BatchNorm2d),
        nn.AvgPool2d(2),
        nn.Flatten(),
    ]
    inputs = 400
    for outputs in config.dense:
        layers += [nn.Linear(inputs, outputs), *finish(outputs, config.dropout_dense, nn.BatchNorm1d)]
        inputs = outputs
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def tutorial_net(config: TutorialNetConfig, classes: int, image_shape: ImageShape) -> nn.Module:
    """Report S0 §1."""
    return nn.Sequential(
        *(nn.Conv2d(image_shape[2], 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)),
    )


def small_cnn(config: SmallCNNConfig, classes: int, image_shape: ImageShape) -> nn.Module:
    """Report S1 Q1."""
    layers, width = [], image_shape[2]
    for filters, kernel in zip(config.filters, (5, 5, 3), strict=True):
        layers += [nn.Conv2d(width, filters, kernel, padding=2), nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(3, 2)]
        width = filters
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(16 * width, config.dense), nn.ReLU(), nn.Linear(config.dense, classes)
    )


def cnn(config: CNNConfig, classes: int, image_shape: ImageShape) -> nn.Module:
    """Report S3 Q1."""
    height, width, channels = image_shape
    layers, filters = [], config.width
    for _ in range(config.convolutions):
        layers.append(nn.Conv2d(channels, filters, config.kernel, padding=config.kernel // 2))
        layers += [nn.BatchNorm2d(filters)] if config.batch_norm else []
        layers += [nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(config.dropout_conv)]
        channels, filters = filters, 2 * filters
        height, width = height // 2, width // 2
    dense = [nn.Linear(height * width * channels, config.dense), nn.ReLU(), nn.Dropout(config.dropout_dense)]
    return nn.Sequential(*layers, nn.Flatten(), *dense, nn.Linear(config.dense, classes))


class Block(nn.Module):
    """Two convolutions and a shortcut; report S4 §2.5."""

    def __init__(self, channels: int, features: int, stride: int, project: bool, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *(nn.Conv2d(channels, features, 3, stride, 1, bias=False), nn.BatchNorm2d(features), nn.Dropout2d(dropout)),
            nn.ReLU(),
            *(nn.Conv2d(features, features, 3, 1, 1, bias=False), nn.BatchNorm2d(features), nn.Dropout2d(dropout)),
        )
        projection = [nn.Conv2d(channels, features, 1, stride, bias=False), nn.BatchNorm2d(features)] if project else []
        self.shortcut = nn.Sequential(*projection)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.inner(x) + self.shortcut(x))


def resnet(config: ResNetConfig, classes: int, image_shape: ImageShape) -> nn.Module:
    """ResNet with a 3×3 stem and a projection in the first block of every stage."""
    width = config.width
    layers = [nn.Conv2d(image_shape[2], width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)]
    layers += [nn.Dropout2d(config.dropout), nn.ReLU()]
    channels = width
    for stage, blocks in enumerate(config.blocks):
        for i in range(blocks):
            features = width * 2**stage
            layers.append(Block(channels, features, 2 if stage and not i else 1, not i, config.dropout))
            channels = features
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))

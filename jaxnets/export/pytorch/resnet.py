"""ResNet-34 for small images (He et al. 2015; report S4 §2.5), with the parameter names of torchvision."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Stages(nn.Module):
    """What residual nets share: stages of blocks, which are called layer1, layer2, …"""

    def add_stages(
        self, block: Callable[[int, int, int, bool], nn.Module], blocks: tuple[int, ...], width: int, expansion: int = 1
    ) -> int:
        """Makes the stages, each of twice the width of the one before, and returns the channels of the last one.

        `block` takes input channels, features, of which it puts out `expansion` as many, stride, and whether it projects.
        """
        self.stages, inputs = len(blocks), width
        for stage, count in enumerate(blocks):
            layers, features = [], width * 2**stage
            for i in range(count):
                layers.append(block(inputs, features, 2 if stage and not i else 1, i == 0))
                inputs = expansion * features
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        return inputs

    def run_stages(self, x: Tensor) -> Tensor:
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels: int, features: int, stride: int, project: bool, dropout: float) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, features, 3, stride, 1, bias=False), nn.BatchNorm2d(features)
        self.conv2, self.bn2 = nn.Conv2d(features, features, 3, 1, 1, bias=False), nn.BatchNorm2d(features)
        self.dropout = nn.Dropout2d(dropout)
        projection = [nn.Conv2d(channels, features, 1, stride, bias=False), nn.BatchNorm2d(features)]
        self.downsample = nn.Sequential(*projection) if project else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.dropout(self.bn1(self.conv1(x))))
        return torch.relu(self.dropout(self.bn2(self.conv2(y))) + self.downsample(x))


class ResNet(Stages):
    """Images [N, channels, H, W] -> logits [N, classes].

    A 3×3 stem, and a projection in the first block of every stage.
    """

    def __init__(self, channels: int, classes: int, blocks: tuple[int, ...], width: int, dropout: float) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.dropout = nn.Dropout2d(dropout)
        features = self.add_stages(functools.partial(BasicBlock, dropout=dropout), blocks, width)
        self.fc = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.dropout(self.bn1(self.conv1(images))))
        return self.fc(self.run_stages(x).mean((2, 3)))

"""ResNet-50 in plain PyTorch, with the parameter names of torchvision and timm."""

import torch
from torch import nn

from jaxnets.config.model import ResNet50Config


class Bottleneck(nn.Module):
    """A block of 1×1, 3×3 and 1×1 convolutions. The stride is in the 3×3 convolution."""

    def __init__(self, channels: int, features: int, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, features, 1, bias=False), nn.BatchNorm2d(features)
        self.conv2, self.bn2 = nn.Conv2d(features, features, 3, stride, 1, bias=False), nn.BatchNorm2d(features)
        self.conv3, self.bn3 = nn.Conv2d(features, 4 * features, 1, bias=False), nn.BatchNorm2d(4 * features)
        projection = [nn.Conv2d(channels, 4 * features, 1, stride, bias=False), nn.BatchNorm2d(4 * features)]
        self.downsample = nn.Sequential(*projection) if project else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + (self.downsample(x) if self.downsample else x))


class ResNet50(nn.Module):
    """The twin of jaxnets.models.resnet50.ResNet50."""

    def __init__(self, config: ResNet50Config, classes: int, image_shape: tuple[int, int, int] = (224, 224, 3)) -> None:
        super().__init__()
        channels = config.width
        self.conv1, self.bn1 = nn.Conv2d(image_shape[2], channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.stages = len(config.blocks)
        for stage, blocks in enumerate(config.blocks):
            layers = []
            for i in range(blocks):
                features = config.width * 2**stage
                layers.append(Bottleneck(channels, features, 2 if stage and not i else 1, i == 0))
                channels = 4 * features
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))

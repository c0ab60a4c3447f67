"""ResNet-50 for photographs (He et al. 2016; report S2 Q6.1.4), with the parameter names of torchvision and timm."""

import torch
from torch import Tensor, nn

from jaxnets.export.pytorch.resnet import Stages


class Bottleneck(nn.Module):
    """Convolutions of 1×1, 3×3 and 1×1, and a shortcut. The stride is in the 3×3 convolution."""

    def __init__(self, channels: int, features: int, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, features, 1, bias=False), nn.BatchNorm2d(features)
        self.conv2, self.bn2 = nn.Conv2d(features, features, 3, stride, 1, bias=False), nn.BatchNorm2d(features)
        self.conv3, self.bn3 = nn.Conv2d(features, 4 * features, 1, bias=False), nn.BatchNorm2d(4 * features)
        projection = [nn.Conv2d(channels, 4 * features, 1, stride, bias=False), nn.BatchNorm2d(4 * features)]
        self.downsample = nn.Sequential(*projection) if project else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet50(Stages):
    """Images [N, channels, H, W] -> logits [N, classes]."""

    def __init__(self, channels: int, classes: int, blocks: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.fc = nn.Linear(self.add_stages(Bottleneck, blocks, width, expansion=4), classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        return self.fc(self.run_stages(x).mean((2, 3)))

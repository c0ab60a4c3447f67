"""The CNN with fewer than 50,000 parameters (report S1 Q1)."""

from collections import OrderedDict

from torch import nn


class SmallCNN(nn.Sequential):
    """Images [N, C, H, W], of the size `image` (C, H, W) -> logits [N, classes]."""

    def __init__(self, image: tuple[int, int, int], classes: int, filters: tuple[int, int, int], dense: int) -> None:
        inputs, height, width = image
        layers: dict[str, nn.Module] = {}
        for k, (features, kernel) in enumerate(zip(filters, (5, 5, 3), strict=True), 1):
            layers |= {f"conv{k}": nn.Conv2d(inputs, features, kernel, padding=2), f"bn{k}": nn.BatchNorm2d(features)}
            layers |= {f"relu{k}": nn.ReLU(), f"pool{k}": nn.MaxPool2d(3, 2)}
            inputs, (height, width) = features, ((side + 4 - kernel) // 2 for side in (height, width))
        layers |= {"flatten": nn.Flatten(), "fc1": nn.Linear(inputs * height * width, dense), "relu4": nn.ReLU()}
        super().__init__(OrderedDict(layers, fc2=nn.Linear(dense, classes)))

"""LeNet and the tutorial's version of it, as the reports print them (S4 §2.4, S0 §1)."""

from collections import OrderedDict

from torch import nn


class LeNet(nn.Sequential):
    """Images [N, C, H, W], of the size `image` (C, H, W) -> logits [N, classes]."""

    def __init__(
        self,
        image: tuple[int, int, int],
        classes: int,
        activation: str,
        batch_norm: bool,
        dropout_input: float,
        dropout_conv: tuple[float, float],
        dropout_dense: float,
        dense: tuple[int, ...],
    ) -> None:
        nonlinearity = {"tanh": nn.Tanh, "leaky_relu": nn.LeakyReLU}[activation]
        inputs, height, width = image
        layers: dict[str, nn.Module] = {"dropout0": nn.Dropout(dropout_input)}
        for k, (filters, rate) in enumerate(zip((6, 16), dropout_conv, strict=True), 1):
            layers |= {f"conv{k}": nn.Conv2d(inputs, filters, 5), f"activation{k}": nonlinearity()}
            layers |= {f"bn{k}": nn.BatchNorm2d(filters)} if batch_norm else {}
            layers |= {f"dropout{k}": nn.Dropout(rate), f"pool{k}": nn.AvgPool2d(2)}
            inputs, height, width = filters, (height - 4) // 2, (width - 4) // 2
        layers["flatten"] = nn.Flatten()
        inputs *= height * width
        for k, units in enumerate(dense, 1):
            layers |= {f"fc{k}": nn.Linear(inputs, units), f"activation{k + 2}": nonlinearity()}
            layers |= {f"bn{k + 2}": nn.BatchNorm1d(units)} if batch_norm else {}
            layers[f"dropout{k + 2}"] = nn.Dropout(dropout_dense)
            inputs = units
        layers[f"fc{len(dense) + 1}"] = nn.Linear(inputs, classes)
        super().__init__(OrderedDict(layers))


class TutorialNet(nn.Sequential):
    """Images [N, C, H, W], of the size `image` (C, H, W) -> logits [N, classes]."""

    def __init__(self, image: tuple[int, int, int], classes: int) -> None:
        inputs, height, width = image
        layers: dict[str, nn.Module] = {}
        for k, filters in enumerate((6, 16), 1):
            layers |= {f"conv{k}": nn.Conv2d(inputs, filters, 5), f"relu{k}": nn.ReLU(), f"pool{k}": nn.MaxPool2d(2)}
            inputs, height, width = filters, (height - 4) // 2, (width - 4) // 2
        layers |= {"flatten": nn.Flatten(), "fc1": nn.Linear(inputs * height * width, 120), "relu3": nn.ReLU()}
        layers |= {"fc2": nn.Linear(120, 84), "relu4": nn.ReLU(), "fc3": nn.Linear(84, classes)}
        super().__init__(OrderedDict(layers))

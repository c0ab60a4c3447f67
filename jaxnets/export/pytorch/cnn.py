"""Plain CNNs: convolutions, each with ReLU and pooling, then dense layers (reports S3 Q1 and S2 Q6.1)."""

from collections import OrderedDict

from torch import nn


class CNN(nn.Sequential):
    """Images [N, C, H, W], of the size `image` (C, H, W) -> logits [N, classes]."""

    def __init__(
        self,
        image: tuple[int, int, int],
        classes: int,
        width: int,
        convolutions: int,
        kernel: int,
        batch_norm: bool,
        dropout_conv: float,
        dense: int,
        dropout_dense: float,
    ) -> None:
        inputs, rows, columns = image
        layers: dict[str, nn.Module] = {}
        for k in range(1, convolutions + 1):
            filters = width * 2 ** (k - 1)
            layers[f"conv{k}"] = nn.Conv2d(inputs, filters, kernel, padding=kernel // 2)
            layers |= {f"bn{k}": nn.BatchNorm2d(filters)} if batch_norm else {}
            layers |= {f"relu{k}": nn.ReLU(), f"pool{k}": nn.MaxPool2d(2), f"dropout{k}": nn.Dropout(dropout_conv)}
            inputs, rows, columns = filters, rows // 2, columns // 2
        layers |= {"flatten": nn.Flatten(), "fc1": nn.Linear(inputs * rows * columns, dense), "relu": nn.ReLU()}
        layers |= {"dropout": nn.Dropout(dropout_dense), "fc2": nn.Linear(dense, classes)}
        super().__init__(OrderedDict(layers))

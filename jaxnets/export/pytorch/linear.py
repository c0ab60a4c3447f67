"""A linear classifier."""

from torch import Tensor, nn


class Linear(nn.Module):
    """Features [N, inputs] -> logits [N, classes]."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc(features)

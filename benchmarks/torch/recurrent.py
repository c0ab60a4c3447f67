"""PyTorch twins of the recurrent nets."""

import torch
from torch import nn

from jaxnets.model_config import RowsNetConfig


class RowsNet(nn.Module):
    """Images [N, 1, H, W] -> logits: the rows read by a recurrent layer, its last output classified."""

    def __init__(self, config: RowsNetConfig, classes: int, width: int = 28) -> None:
        super().__init__()
        self.layer = getattr(nn, config.cell.upper())(width, config.hidden, batch_first=True)
        self.head = nn.Linear(config.hidden, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs, _ = self.layer(images[:, 0])
        return self.head(outputs[:, -1])

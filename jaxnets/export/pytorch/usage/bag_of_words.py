"""Classes of pictures by their visual words."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def predict(net: nn.Module, pyramids: Tensor) -> Tensor:
    """Probabilities of the classes [N, classes] for the square roots of spatial pyramids of visual words [N, D]."""
    return net(pyramids).softmax(1)

"""Classes of pictures."""

import torch
from torch import Tensor, nn

from jaxnets.export.pytorch.usage.images import preprocess

FLIP = False


@torch.no_grad()
def predict(net: nn.Module, images: Tensor) -> Tensor:
    """Probabilities of the classes [N, classes] for uint8 images [N, C, H, W]."""
    x = preprocess(images)
    logits = (net(x) + net(x.flip(3))) / 2 if FLIP else net(x)
    return logits.softmax(1)

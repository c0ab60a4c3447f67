"""Pictures through an autoencoder."""

import torch
from torch import Tensor, nn

from jaxnets.export.pytorch.usage.images import preprocess


@torch.no_grad()
def predict(net: nn.Module, images: Tensor) -> Tensor:
    """Reconstructions [N, C, H, W] in [0, 1] of uint8 images [N, C, H, W]."""
    return net(preprocess(images))

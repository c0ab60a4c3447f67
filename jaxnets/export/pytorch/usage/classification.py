"""Classes of pictures."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from jaxnets.export.pytorch.usage.images import preprocess

FLIP, SHIFT = False, 0


@torch.no_grad()
def predict(net: nn.Module, images: Tensor) -> Tensor:
    """Probabilities of the classes [N, classes] for uint8 images [N, C, H, W]."""
    x = preprocess(images)
    views = [(x, 1.0)]
    if SHIFT:  # As it is, and moved up and left, and down and right.
        padded, height, width = functional.pad(x, (SHIFT,) * 4, mode="reflect"), *x.shape[2:]
        moved = [padded[:, :, start : start + height, start : start + width] for start in (0, 2 * SHIFT)]
        views = [(x, 0.5), (moved[0], 0.25), (moved[1], 0.25)]
    both = lambda view: (net(view) + net(view.flip(3))) / 2 if FLIP else net(view)
    return torch.stack([weight * both(view) for view, weight in views]).sum(0).softmax(1)

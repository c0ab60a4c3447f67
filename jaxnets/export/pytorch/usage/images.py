"""Pictures as nets see them; jaxnets.pipeline.images without augmentation."""

import torch
from torch import Tensor

SHRINK, GRAY = 1, False
MEAN: tuple[float, ...] = (0.0,)
STD: tuple[float, ...] = (1.0,)


def preprocess(images: Tensor) -> Tensor:
    """What the net takes, for uint8 images [N, C, H, W]."""
    if SHRINK > 1:  # To the rounded mean of each block of pixels.
        blocks = images.long().unflatten(3, (-1, SHRINK)).unflatten(2, (-1, SHRINK))
        images = (blocks.sum((3, 5)) + SHRINK**2 // 2) // SHRINK**2
    if GRAY:
        luma = torch.tensor((0.299, 0.587, 0.114), device=images.device).view(1, 3, 1, 1)
        images = (images * luma).sum(1, keepdim=True).round()
    mean, std = (torch.tensor(values, device=images.device).view(1, -1, 1, 1) for values in (MEAN, STD))
    return (images / 255 - mean) / std

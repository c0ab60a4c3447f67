"""The config of the CNN that learns CIFAR-10 in a few epochs."""

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

from jaxnets.config.model import ModelConfig


@dataclasses.dataclass(frozen=True)
class FastCNNConfig(ModelConfig):
    """Blocks of 3×3 convolutions behind a layer that whitens patches of the training images (Jordan 2024)."""

    target: ClassVar[Any] = "jaxnets.models.fast_cnn:FastCNN"

    widths: tuple[int, ...] = (64, 256, 256)
    """Channels of each block, which halves the image."""
    depth: int = 2
    """Convolutions in each block, at least 1."""
    residual: bool = False
    """Add the output of a block's first convolution to that of its last, ahead of the activation. Requires depth of 2 or
    more."""
    patch: int = 2
    """Side of the patches that are whitened, in pixels. The layer has two channels for each of a patch's numbers."""
    norm_momentum: float = 0.6
    """Share of the old value in BatchNorm's running averages after a step, in [0, 1)."""
    logit_scale: float = 1 / 9
    """Factor of the logits, above 0."""

    def bad_fields(self) -> Iterator[tuple[str, Any]]:
        """Adds sizes and factors out of range."""
        yield from super().bad_fields()
        for name in ("depth", "patch"):
            if getattr(self, name) < 1:
                yield name, getattr(self, name)
        if self.residual and self.depth < 2:
            yield "residual", f"{self.residual} where depth is {self.depth}"
        if not 0 <= self.norm_momentum < 1:
            yield "norm_momentum", self.norm_momentum
        if not self.logit_scale > 0:
            yield "logit_scale", self.logit_scale

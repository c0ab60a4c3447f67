"""A CNN that learns CIFAR-10 in a few epochs (Jordan 2024)."""

from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Convolutions of which the first is followed by pooling: [N, C, H, W] -> [N, width, H // 2, W // 2]."""

    def __init__(self, channels: int, width: int, depth: int, residual: bool, momentum: float) -> None:
        super().__init__()
        inputs = [channels, *[width] * (depth - 1)]
        self.convs = nn.ModuleList(nn.Conv2d(count, width, 3, padding=1, bias=False) for count in inputs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, momentum=momentum) for _ in inputs)
        for norm in self.norms:
            norm.weight.requires_grad_(False)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        x = first = functional.gelu(self.norms[0](functional.max_pool2d(self.convs[0](x), 2)))
        for k in range(1, len(self.convs)):
            x = self.norms[k](self.convs[k](x))
            x = functional.gelu(x + first if self.residual and k == len(self.convs) - 1 else x)
        return x


class FastCNN(nn.Module):
    """Images [N, channels, H, W] -> logits [N, classes]."""

    def __init__(
        self,
        channels: int,
        classes: int,
        widths: tuple[int, ...],
        depth: int,
        residual: bool,
        patch: int,
        logit_scale: float,
        norm_momentum: float,
    ) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(channels, 2 * patch**2 * channels, patch)
        self.whiten.weight.requires_grad_(False)
        inputs = (2 * patch**2 * channels, *widths)
        self.blocks = nn.ModuleList(
            Block(before, width, depth, residual, norm_momentum) for before, width in zip(inputs, widths, strict=False)
        )
        self.fc, self.logit_scale = nn.Linear(inputs[-1], classes, bias=False), logit_scale

    def forward(self, images: Tensor) -> Tensor:
        x = functional.gelu(self.whiten(images))
        for block in self.blocks:
            x = block(x)
        return self.logit_scale * self.fc(x.amax((2, 3)))

"""PyTorch's side of a whole epoch: images stored as bytes, augmented, learned."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.torch import forms, twins, weights
from benchmarks.torch.forms import Form
from benchmarks.torch.twins import Twin
from benchmarks.workloads import Case
from jaxnets.config import Augment
from jaxnets.pipeline.augment import LUMA
from jaxnets.pipeline.images import Normalization


class Trainer:
    """A twin in training. `epoch()` is one pass over the images, `accuracy` a share of right answers."""

    def __init__(
        self, case: Case, normalization: Normalization, images: np.ndarray, labels: np.ndarray, form: Form, device: str
    ) -> None:
        self.twin: Twin = twins.build(case, device)
        self.case, self.device, self.form = case, device, form
        self.images, self.labels = stored(images, device), labels_of(labels, device)
        self.constants = [torch.tensor(x, device=device).view(1, -1, 1, 1) for x in normalization]
        if form.fused:
            self.twin.module.to(memory_format=torch.channels_last)
        prepare = lambda raw, config: normalize(augment(raw, config), *self.constants)
        self.prepare = torch.compile(prepare) if form.compile else prepare
        self.restart()

    def restart(self, params: Mapping | None = None, variables: Mapping | None = None) -> None:
        """Forgets the optimizer's state; with `params`, starts from them."""
        if params is not None:
            weights.copy_to_torch(params, variables or {}, self.twin.module)
        config, parameters = self.case.experiment.optim, list(self.twin.module.parameters())
        rule = forms.optimizer(config, parameters, self.form.fused)
        self.update = forms.updater(self.twin, rule, config.clip, self.form)

    def epoch(self) -> None:
        """One pass over the images in a new order, the last, partial batch left out."""
        size, config = self.case.experiment.data.batch_size, self.case.experiment.data.augment
        self.twin.module.train()
        order = torch.randperm(len(self.images), device=self.device)
        for i in range(0, len(order) - size + 1, size):
            chosen = order[i : i + size]
            self.update({"image": self.prepare(self.images[chosen], config), "label": self.labels[chosen]})
        forms.wait(self.device)

    def loaded_epoch(self, loader: DataLoader) -> None:
        """The same from a DataLoader, which augments image by image."""
        self.twin.module.train()
        for images, labels in loader:
            images = normalize(images.to(self.device, non_blocking=True), *self.constants)
            self.update({"image": images, "label": labels.to(self.device, non_blocking=True)})
        forms.wait(self.device)

    @torch.no_grad()
    def accuracy(self, images: Tensor, labels: Tensor, size: int = 1000) -> float:
        """The share of `images`, as `stored` makes them, that the net in evaluation mode gets right."""
        self.twin.module.eval()
        right = torch.zeros((), device=self.device)
        for i in range(0, len(images), size):
            logits = self.twin.module(normalize(to_unit(images[i : i + size]), *self.constants))
            right += (logits.argmax(1) == labels[i : i + size]).sum()
        return (right / len(images)).item()


def stored(images: np.ndarray, device: str) -> Tensor:
    """uint8 [N, H, W, C] as a tensor [N, C, H, W] on the device, channels last in memory."""
    return torch.tensor(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2)


def labels_of(labels: np.ndarray, device: str) -> Tensor:
    """Class numbers as cross entropy wants them."""
    return torch.tensor(np.asarray(labels), dtype=torch.long, device=device)


def to_unit(images: Tensor) -> Tensor:
    """Bytes to floats in [0, 1]."""
    return images.to(torch.float32) / 255


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Subtracts `mean` and divides by `std`."""
    return (images - mean) / std


def augment(raw: Tensor, config: Augment) -> Tensor:
    """jaxnets.pipeline.augment for bytes [N, C, H, W], all images of the batch at once; returns floats in [0, 1]."""
    n, _, height, width = raw.shape
    device = raw.device
    if config.crop_padding:
        pad = config.crop_padding
        padded = torch.nn.functional.pad(raw, (pad,) * 4)
        offsets = torch.randint(0, 2 * pad + 1, (2, n, 1), device=device)
        rows = (offsets[0] + torch.arange(height, device=device))[:, None, :, None]
        columns = (offsets[1] + torch.arange(width, device=device))[:, None, None, :]
        batch = torch.arange(n, device=device)[:, None, None, None]
        raw = padded[batch, torch.arange(raw.shape[1], device=device)[None, :, None, None], rows, columns]
    if config.flip:
        flipped = torch.rand(n, 1, 1, 1, device=device) < 0.5
        raw = torch.where(flipped, raw.flip(3), raw)
    x = to_unit(raw)
    luma = torch.tensor(LUMA, device=device).view(1, 3, 1, 1)
    gray: Callable[[Tensor], Tensor] = lambda x: x if x.shape[1] == 1 else (x * luma).sum(1, keepdim=True)
    others: tuple[tuple[float, Callable[[Tensor], Tensor]], ...] = (
        (config.brightness, torch.zeros_like),
        (config.contrast, lambda x: gray(x).mean((2, 3), keepdim=True)),
        (config.saturation, gray),
    )
    for strength, other in others:
        if strength:
            factor = 1 - strength + 2 * strength * torch.rand(n, 1, 1, 1, device=device)
            x = (factor * x + (1 - factor) * other(x)).clamp(0, 1)
    if config.cutout or config.crop_fill != "black":
        raise ValueError("PyTorch's side has no cutout, and crops from black borders alone")
    return x


class Augmented(Dataset):
    """Images one by one, as torchvision's transforms would make them: [C, H, W] in [0, 1], label."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, config: Augment) -> None:
        self.images, self.labels = stored(images, "cpu").share_memory_(), labels_of(labels, "cpu")
        self.config = config

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return augment(self.images[i : i + 1], self.config)[0], self.labels[i]


def loader(case: Case, images: np.ndarray, labels: np.ndarray, workers: int) -> DataLoader:
    """A plain DataLoader over the images. Workers are started afresh: a copy of a process that runs JAX can hang."""
    return DataLoader(
        Augmented(images, labels, case.experiment.data.augment),
        batch_size=case.experiment.data.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )

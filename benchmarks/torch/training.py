"""PyTorch's side of whole trainings: images stored as bytes, augmented, learned and evaluated."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.torch import forms, twins, weights
from benchmarks.torch.forms import Form
from benchmarks.torch.twins import Twin
from benchmarks.workloads import PreparedWorkload
from jaxnets.config import Augment, ImageData
from jaxnets.pipeline.augment import LUMA
from jaxnets.pipeline.images import Normalization

Split = Mapping[str, np.ndarray]
"""Images [N, H, W, C] of uint8 and their labels [N], as "image" and "label"."""
_AUGMENTATIONS = ("crop_padding", "flip", "brightness", "contrast", "saturation")
"""The fields of Augment that `make_augment` implements."""


class Trainer:
    """A twin in training. All images are on the device and augmented there, a batch at a time."""

    def __init__(
        self, workload: PreparedWorkload, normalization: Normalization, train: Split, form: Form, device: str
    ) -> None:
        self.twin: Twin = twins.build(workload, device)
        self.config, self.device, self.form = workload.experiment, device, form
        self.images, self.labels = self.stored(train)
        self.mean, self.std = (torch.tensor(x, device=device).view(1, -1, 1, 1) for x in normalization)
        if form.fused:
            self.twin.module.to(memory_format=torch.channels_last)
        augment = make_augment(self.config.data.augment)
        prepare = lambda raw: normalize(augment(raw), self.mean, self.std)
        self.prepare = torch.compile(prepare) if form.compile else prepare
        self.restart()

    def stored(self, split: Split) -> tuple[Tensor, Tensor]:
        """(images, labels) on the device, as `accuracy` takes them."""
        return image_tensor(split["image"], self.device), label_tensor(split["label"], self.device)

    def restart(self, params: Mapping | None = None, model_state: Mapping | None = None) -> None:
        """Resets the optimizer and, if `params` are given, the weights to them and the statistics to `model_state`."""
        if params is not None:
            weights.copy_to_torch(params, model_state or {}, self.twin.form, self.twin.module)
        optim = self.config.optim
        optimizer = forms.optimizer(optim, list(self.twin.module.parameters()), self.form.fused)
        self.update = forms.updater(self.twin, optimizer, optim.clip, self.form)

    def epoch(self) -> None:
        """One pass over the training images in a new order. The last, incomplete batch is dropped."""
        batch_size = self.config.data.batch_size
        self.twin.module.train()
        order = torch.randperm(len(self.images), device=self.device)
        for i in range(0, len(order) - batch_size + 1, batch_size):
            indices = order[i : i + batch_size]
            self.update({"image": self.prepare(self.images[indices]), "label": self.labels[indices]})
        forms.wait(self.device)

    def loaded_epoch(self, loader: DataLoader) -> None:
        """One pass over the images of a DataLoader, which augments them one by one."""
        self.twin.module.train()
        for images, labels in loader:
            images = normalize(images.to(self.device, non_blocking=True), self.mean, self.std)
            self.update({"image": images, "label": labels.to(self.device, non_blocking=True)})
        forms.wait(self.device)

    @torch.no_grad()
    def accuracy(self, images: Tensor, labels: Tensor, batch_size: int = 1000) -> float:
        """The share of `images`, as returned by `stored`, that the twin in evaluation mode classifies correctly."""
        self.twin.module.eval()
        correct = torch.zeros((), device=self.device)
        for i in range(0, len(images), batch_size):
            logits = self.twin.module(normalize(to_unit(images[i : i + batch_size]), self.mean, self.std))
            correct += (logits.argmax(1) == labels[i : i + batch_size]).sum()
        return (correct / len(images)).item()


def image_tensor(images: np.ndarray, device: str) -> Tensor:
    """uint8 [N, H, W, C] -> tensor [N, C, H, W] on the device, in channels-last memory."""
    return torch.tensor(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2)


def label_tensor(labels: np.ndarray, device: str) -> Tensor:
    """Class numbers [N] as the int64 tensor that cross entropy takes."""
    return torch.tensor(np.asarray(labels), dtype=torch.long, device=device)


def to_unit(images: Tensor) -> Tensor:
    """Bytes to floats in [0, 1]."""
    return images.to(torch.float32) / 255


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Subtracts `mean` and divides by `std`."""
    return (images - mean) / std


def make_augment(config: Augment) -> Callable[[Tensor], Tensor]:
    """The function (bytes [N, C, H, W]) -> floats in [0, 1] that augments all images of a batch at once.

    It does what jaxnets.pipeline.augment does for crops with black borders, flips and colors. Raises ValueError for any
    other field of `config` that is not at its default, so that the two sides never do different work.
    """
    default = type(config)()
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in _AUGMENTATIONS and value != getattr(default, field.name):
            raise ValueError(f"PyTorch's side does not implement augment.{field.name} = {value!r}")
    return functools.partial(_augment, config=config)  # Not a closure: the workers of a DataLoader get a pickled copy.


def _augment(raw: Tensor, config: Augment) -> Tensor:
    n, channels, height, width = raw.shape
    device = raw.device
    if config.crop_padding:
        padding = config.crop_padding
        padded = torch.nn.functional.pad(raw, (padding,) * 4)
        offsets = torch.randint(0, 2 * padding + 1, (2, n, 1), device=device)
        rows = (offsets[0] + torch.arange(height, device=device))[:, None, :, None]
        columns = (offsets[1] + torch.arange(width, device=device))[:, None, None, :]
        batch = torch.arange(n, device=device)[:, None, None, None]
        raw = padded[batch, torch.arange(channels, device=device)[None, :, None, None], rows, columns]
    if config.flip:
        flipped = torch.rand(n, 1, 1, 1, device=device) < 0.5
        raw = torch.where(flipped, raw.flip(3), raw)
    images = to_unit(raw)
    luma = torch.tensor(LUMA, device=device).view(1, 3, 1, 1)
    gray: Callable[[Tensor], Tensor] = lambda x: x if x.shape[1] == 1 else (x * luma).sum(1, keepdim=True)
    blends: tuple[tuple[float, Callable[[Tensor], Tensor]], ...] = (
        (config.brightness, torch.zeros_like),
        (config.contrast, lambda x: gray(x).mean((2, 3), keepdim=True)),
        (config.saturation, gray),
    )
    for strength, other in blends:
        if strength:
            factor = 1 - strength + 2 * strength * torch.rand(n, 1, 1, 1, device=device)
            images = (factor * images + (1 - factor) * other(images)).clamp(0, 1)
    return images


class AugmentedImages(Dataset):
    """Images augmented one by one, as torchvision's transforms do it: ([C, H, W] in [0, 1], label)."""

    def __init__(self, split: Split, config: Augment) -> None:
        self.images, self.labels = image_tensor(split["image"], "cpu").share_memory_(), label_tensor(split["label"], "cpu")
        self.augment = make_augment(config)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.augment(self.images[i : i + 1])[0], self.labels[i]


def loader(config: ImageData, split: Split, workers: int) -> DataLoader:
    """A plain DataLoader. Its workers are spawned, since a forked copy of a process that runs JAX can hang."""
    return DataLoader(
        AugmentedImages(split, config.augment),
        batch_size=config.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )

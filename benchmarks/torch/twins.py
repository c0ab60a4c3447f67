"""The PyTorch twin of a workload: its module, its batch as tensors, and its loss.

Twins are looked up by name: modules by the Linen class that a model's config names as `target`, batches and losses by the
task. A new model with a twin needs one entry here.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.torch import convnets, dense, recurrent, resnet50
from benchmarks.workloads import PreparedWorkload
from jaxnets.config import ModelConfig

Tensors = dict[str, Tensor]
Arrays = Mapping[str, np.ndarray]
State = Any
_IGNORED = -100  # A label that functional.cross_entropy leaves out.

MODULES: Mapping[str, Callable[..., nn.Module]] = {
    "LeNet": convnets.lenet,
    "TutorialNet": convnets.tutorial_net,
    "SmallCNN": convnets.small_cnn,
    "CNN": convnets.cnn,
    "ResNet": convnets.resnet,
    "ResNet50": resnet50.ResNet50,
    "MLP": dense.mlp,
    "Autoencoder": dense.autoencoder,
    "RowRNN": recurrent.RowRNN,
    "CharRNN": recurrent.CharRNN,
    "LanguageModel": recurrent.LanguageModel,
    "SentimentRNN": recurrent.SentimentRNN,
    "Translator": recurrent.Translator,
}
"""Functions (config, **sizes) -> module, by the name of the Linen class. Those of images also take `image_shape`."""


class Twin(NamedTuple):
    """What all forms of a PyTorch step share."""

    module: nn.Module
    batch: Tensors
    loss: Callable[[Tensors, State], tuple[Tensor, State]]
    """(batch, state after the batch before) -> (mean loss, state for the next batch)."""


def build(workload: PreparedWorkload, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Twin:
    """A new twin in training mode, whose floats have the type `dtype`.

    Raises ValueError for a model, or one of its options, that has no twin.
    """
    image_shape = workload.batch["image"].shape[1:] if "image" in workload.batch else None
    module = build_module(workload.experiment.model, workload.task.sizes, image_shape).to(device, dtype)
    to_arrays, loss = _TASKS[_last_name(workload.experiment.task)]
    batch = {name: torch.tensor(array) for name, array in to_arrays(workload.batch).items()}
    cast = lambda x: x.to(device, dtype) if x.is_floating_point() else x.to(device)
    return Twin(module, {name: cast(x) for name, x in batch.items()}, lambda batch, state: loss(module, batch, state))


def build_module(
    config: ModelConfig, sizes: Mapping[str, int], image_shape: tuple[int, int, int] | None = None
) -> nn.Module:
    """The twin of `jaxnets.models.build(config, sizes)`, with PyTorch's default initialization.

    Args:
      config: the model's.
      sizes: what the data determines, such as {"classes": 10}.
      image_shape: (height, width, channels), if the inputs are images.

    Raises ValueError for a model, or one of its options, that has no twin.
    """
    name = _last_name(config.target)
    if name not in MODULES:
        raise ValueError(f"{name} has no PyTorch twin: add one to MODULES in benchmarks/torch/twins.py")
    return MODULES[name](config, **sizes, **({} if image_shape is None else {"image_shape": image_shape}))


def _last_name(target: Any) -> str:
    """The last part of "package.module:Name" or "package.module", or of the name of a class or module itself."""
    return re.split(r"[.:]", target if isinstance(target, str) else target.__name__)[-1]


def _images(batch: Arrays) -> dict[str, np.ndarray]:
    return {"image": batch["image"].transpose(0, 3, 1, 2).copy(), "label": batch["label"].astype("int64")}


def _int64(*fields: str, target: str = "") -> Callable[[Arrays], dict[str, np.ndarray]]:
    """Converts the fields to int64. With `target`, adds "label": that field where the mask counts it, ignored elsewhere."""

    def convert(batch: Arrays) -> dict[str, np.ndarray]:
        arrays = {field: batch[field].astype("int64") for field in fields}
        if target:
            arrays["label"] = np.where(batch["mask"] == 0, _IGNORED, batch[target].astype("int64"))
        return arrays

    return convert


def _classification(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    return functional.cross_entropy(module(batch["image"]), batch["label"]), state


def _autoencoding(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    return (module(batch["image"]) - batch["image"]).square().sum() / len(batch["image"]), state


def _char_lm(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    logits = module(batch["letter"], batch["category"])
    return functional.cross_entropy(logits.flatten(0, 1), batch["label"].flatten()), state


def _language_model(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    logits, state = module(batch["token"], state)
    state = tuple(x.detach() for x in state) if isinstance(state, tuple) else state.detach()
    return functional.cross_entropy(logits, batch["label"].flatten()), state


def _sentiment(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    logits = module(batch["token"], batch["length"])
    return functional.binary_cross_entropy_with_logits(logits, batch["label"].to(logits.dtype)), state


def _translation(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    logits = module(batch["source"], batch["source_length"], batch["before"])
    return functional.cross_entropy(logits.flatten(0, 1), batch["label"].flatten()), state


_TASKS: Mapping[str, tuple[Callable[[Arrays], dict[str, np.ndarray]], Callable]] = {
    "classification": (_images, _classification),
    "autoencoding": (_images, _autoencoding),
    "char_lm": (_int64("letter", "category", target="next"), _char_lm),
    "language_model": (_int64("token", target="next"), _language_model),
    "sentiment": (_int64("token", "length", "label"), _sentiment),
    "translation": (_int64("source", "source_length", "before", target="target"), _translation),
}
"""(our batch -> arrays for PyTorch, (module, batch, state) -> (loss, state)), by the name of the task's module."""

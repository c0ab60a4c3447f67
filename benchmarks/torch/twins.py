"""The PyTorch twin of a workload: its module, its batch as tensors, and its loss.

Modules are the models' PyTorch forms (see jaxnets.export.pytorch). Batches and losses are looked up by the task.
"""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.workloads import PreparedWorkload
from jaxnets import models
from jaxnets.config import ModelConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm

Tensors = dict[str, Tensor]
Arrays = Mapping[str, np.ndarray]
State = Any
IGNORED = -100
"""A label that functional.cross_entropy leaves out."""


class Twin(NamedTuple):
    """What all forms of a PyTorch step share."""

    form: TorchForm
    module: nn.Module
    batch: Tensors
    loss: Callable[[Tensors, State], tuple[Tensor, State]]
    """(batch, state after the batch before) -> (mean loss, state for the next batch)."""


def build(workload: PreparedWorkload, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Twin:
    """A new twin in training mode, whose floats have the type `dtype`. Raises UserError for a model that has none."""
    shape = workload.task.sample_inputs[0].shape[1:]
    form, module = build_module(workload.experiment.model, workload.task.sizes, shape)
    module = module.to(device, dtype)
    to_arrays, loss = _TASKS[_last_name(workload.experiment.task)]
    batch = {name: torch.tensor(array) for name, array in to_arrays(workload.batch).items()}
    cast = lambda x: x.to(device, dtype) if x.is_floating_point() else x.to(device)
    return Twin(form, module, {name: cast(x) for name, x in batch.items()}, lambda batch, state: loss(module, batch, state))


def build_module(config: ModelConfig, sizes: Mapping[str, int], shape: Sequence[int]) -> tuple[TorchForm, nn.Module]:
    """The twin of `jaxnets.models.build(config, sizes)`, with PyTorch's default initialization.

    Args:
      config: the model's.
      sizes: what the data determines, such as {"classes": 10}.
      shape: of one of the model's inputs, [H, W, C] of an image.

    Returns:
      Which layers are which, and the module.

    Raises:
      UserError: the model has no PyTorch form.
    """
    model = models.build(config, sizes)
    form = torch_form.of(model, shape)
    return form, torch_class(type(model))(**form.arguments)


def torch_class(linen: type) -> type[nn.Module]:
    """The PyTorch class of a Linen module."""
    module = importlib.import_module(f"jaxnets.export.pytorch.{_last_name(linen.__module__)}")
    return getattr(module, linen.__name__)


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
            arrays["label"] = np.where(batch["mask"] == 0, IGNORED, batch[target].astype("int64"))
        return arrays

    return convert


def _classification(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    return functional.cross_entropy(module(batch["image"]), batch["label"]), state


def _autoencoding(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    return (module(batch["image"]) - batch["image"]).square().sum() / len(batch["image"]), state


def _char_lm(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    logits, _ = module(batch["letter"], batch["category"])
    return functional.cross_entropy(logits.flatten(0, 1), batch["label"].flatten()), state


def _language_model(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    logits, state = module(batch["token"], state)
    state = tuple(x.detach() for x in state) if isinstance(state, tuple) else state.detach()
    return functional.cross_entropy(logits.flatten(0, 1), batch["label"].flatten()), state


def _sentiment(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    units = module.units(batch["token"], batch["length"])
    if units.shape[1] > 1:
        return functional.cross_entropy(units, batch["label"]), state
    return functional.binary_cross_entropy_with_logits(units[:, 0], batch["label"].to(units.dtype)), state


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

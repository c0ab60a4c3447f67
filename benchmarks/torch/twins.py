"""The twin of a workload: its module, its batch as tensors, and its loss."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.torch import convnets, dense, recurrent
from benchmarks.workloads import Case
from jaxnets.config import Experiment, ImageData, NameData, PairData, ReviewData, TextData
from jaxnets.config import model as model_config

Tensors = dict[str, Tensor]
State = Any
_IGNORED = -100  # A label that functional.cross_entropy leaves out.


class Twin(NamedTuple):
    """What the forms of a PyTorch step share."""

    module: nn.Module
    batch: Tensors
    loss: Callable[[Tensors, State], tuple[Tensor, State]]
    """(batch, what the batch before left) -> (mean loss, what the next batch takes over)."""


def build(case: Case, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Twin:
    """A new twin in training mode, its floats of type `dtype`. Raises ValueError for a model without one."""
    convert, loss = _KINDS[type(case.experiment.data)]
    loss = _rebuilt if isinstance(case.experiment.model, model_config.AutoencoderConfig) else loss
    batch = {name: torch.tensor(array) for name, array in convert(case.batch).items()}
    channels = batch["image"].shape[1] if "image" in batch else 0
    module = module_for(case.experiment, case.task.sizes, channels).to(device, dtype)
    cast = lambda x: x.to(device, dtype) if x.is_floating_point() else x.to(device)
    return Twin(module, {name: cast(x) for name, x in batch.items()}, lambda batch, state: loss(module, batch, state))


def module_for(experiment: Experiment, sizes: Mapping[str, int], channels: int) -> nn.Module:
    """The module alone; `channels` are those of images."""
    config = experiment.model
    if type(config) in _SIZED:
        return _SIZED[type(config)](config, **sizes)
    return convnets.build(config, sizes["classes"], channels)


_SIZED: dict[type, Callable[..., nn.Module]] = {
    model_config.MLPConfig: dense.mlp,
    model_config.AutoencoderConfig: dense.autoencoder,
    model_config.RowRNNConfig: recurrent.RowRNN,
    model_config.CharRNNConfig: recurrent.CharRNN,
    model_config.LanguageModelConfig: recurrent.LanguageModel,
    model_config.SentimentRNNConfig: recurrent.SentimentRNN,
    model_config.TranslatorConfig: recurrent.Translator,
}


def _images(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {"image": batch["image"].transpose(0, 3, 1, 2).copy(), "label": batch["label"].astype("int64")}


def _classified(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    return functional.cross_entropy(module(batch["image"]), batch["label"]), state


def _rebuilt(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    return (module(batch["image"]) - batch["image"]).square().sum() / len(batch["image"]), state


def _numbers(*fields: str, target: str = "") -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The fields as 64-bit numbers, and "label": the target where the mask counts it."""

    def convert(batch: Mapping[str, Any]) -> dict[str, Any]:
        found = {field: batch[field].astype("int64") for field in fields}
        if target:
            labels = batch[target].astype("int64")
            labels[batch["mask"] == 0] = _IGNORED
            found["label"] = labels
        return found

    return convert


def _spelled(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    logits = module(batch["letter"], batch["category"])
    return functional.cross_entropy(logits.flatten(0, 1), batch["label"].flatten()), state


def _read_on(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    logits, state = module(batch["token"], state)
    state = tuple(x.detach() for x in state) if isinstance(state, tuple) else state.detach()
    return functional.cross_entropy(logits, batch["label"].flatten()), state


def _judged(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    logits = module(batch["token"], batch["length"])
    return functional.binary_cross_entropy_with_logits(logits, batch["label"].to(logits.dtype)), state


def _translated(module: nn.Module, batch: Tensors, state: State) -> tuple[Tensor, State]:
    logits = module(batch["source"], batch["source_length"], batch["before"])
    return functional.cross_entropy(logits.flatten(0, 1), batch["label"].flatten()), state


_KINDS: dict[type, tuple[Callable, Callable]] = {
    ImageData: (_images, _classified),
    NameData: (_numbers("letter", "category", target="next"), _spelled),
    TextData: (_numbers("token", target="next"), _read_on),
    ReviewData: (_numbers("token", "length", "label"), _judged),
    PairData: (_numbers("source", "source_length", "before", target="target"), _translated),
}

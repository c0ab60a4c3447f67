"""PyTorch's side of training parity: an experiment as it would be written in PyTorch, with random numbers of its own.

Of jaxnets it uses the prepared arrays and the model's form in PyTorch. Batches, initialization, dropout, augmentation,
schedules, the loss and what is measured are PyTorch's or written here.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.torch import forms, twins
from benchmarks.torch.training import image_tensor, make_augment, normalize, to_unit
from benchmarks.torch.twins import IGNORED, Tensors
from jaxnets.config import Experiment, Loss, Optim
from jaxnets.config.model import LanguageModelConfig, ModelConfig
from jaxnets.data import pairs
from jaxnets.data.store import Dataset
from jaxnets.tasks import task as tasks

State = Any
Arrays = Mapping[str, np.ndarray]


class Batches(NamedTuple):
    """The batches of one pass."""

    train: Callable[[], Iterable[Tensors]]
    """In a new random order at each call."""
    evaluate: Callable[[], Iterable[Tensors]]
    """Every example of the test split once."""
    steps: int
    """In a pass over the training split."""


def train(experiment: Experiment, dataset: Dataset, seed: int) -> dict[str, Any]:
    """One training from random weights, in one thread.

    Args:
      experiment: what to train; the last weights are measured.
      dataset: on what; its test split is measured after training.
      seed: of all random numbers.

    Returns:
      "train_loss", by epoch, and of the test split "loss", and "accuracy" or "psnr".

    Raises:
      ValueError: a setting that is not implemented here.
    """
    torch.set_num_threads(1)  # Threads that wait for each other spin where other processes need the cores.
    torch.manual_seed(seed)
    task = experiment.task.rpartition(".")[2]
    _refuse_what_is_missing(experiment)
    ours = tasks.build(experiment, dataset)
    _, module = twins.build_module(experiment.model, ours.sizes, ours.sample_inputs[0].shape[1:])
    initialize(module, experiment.model)
    batches = _BATCHES[task](experiment, dataset)
    optim = experiment.optim
    rule = forms.optimizer(optim, list(module.parameters()), fused=False)
    rates = torch.optim.lr_scheduler.LambdaLR(rule, rate(optim, experiment.epochs * batches.steps, batches.steps))
    losses = []
    for _ in range(experiment.epochs):
        module.train()
        total, weight, state = 0.0, 0, None
        for batch in batches.train():
            rule.zero_grad()
            loss, count, _, state = _MEASURES[task](module, batch, state)
            loss.backward()
            if optim.clip:
                nn.utils.clip_grad_norm_(module.parameters(), optim.clip)
            rule.step()
            rates.step()
            total, weight = total + count * loss.item(), weight + count
        losses.append(total / weight)
    return {"train_loss": losses, **evaluate(module, batches.evaluate(), task)}


@torch.no_grad()
def evaluate(module: nn.Module, batches: Iterable[Tensors], task: str) -> dict[str, float]:
    """The mean loss in evaluation mode, and the mean accuracy or PSNR."""
    module.eval()
    total, quality, weight, state = 0.0, 0.0, 0, None
    for batch in batches:
        loss, count, of_batch, state = _MEASURES[task](module, batch, state)
        total, quality, weight = total + count * loss.item(), quality + of_batch, weight + count
    return {"loss": total / weight, "psnr" if task == "autoencoding" else "accuracy": quality / weight}


def _refuse_what_is_missing(experiment: Experiment) -> None:
    data, optim = experiment.data, experiment.optim
    missing = {
        "loss": experiment.loss != Loss(),
        "steps": experiment.steps is not None,
        "optim.ema": optim.ema,
        "optim.trainable": optim.trainable != "all",
        "optim.bias_rate": optim.bias_rate != 1,
        "model.init.identity": experiment.model.init.identity,
        "optim.schedule": optim.schedule == "linear",
        "data.drop_last": not getattr(data, "drop_last", True),
        "data.shrink": getattr(data, "shrink", 1) > 1,
        "data.eval_flip": getattr(data, "eval_flip", False),
        "data.eval_shift": getattr(data, "eval_shift", 0),
        "data.teacher_forcing": getattr(data, "teacher_forcing", (1.0, 1.0)) != (1.0, 1.0),
    }
    if found := [name for name, is_missing in missing.items() if is_missing]:
        raise ValueError(f"{experiment.id}: PyTorch's side does not implement {found[0]} as it is set")


def initialize(module: nn.Module, config: ModelConfig) -> None:
    """Initial values other than PyTorch's own, by torch.nn.init, of all dense layers and convolutions.

    The embeddings of language models are those of PyTorch's word model example, as ours are.
    """
    init = config.init
    if isinstance(config, LanguageModelConfig):
        nn.init.uniform_(module.embed.weight, -0.1, 0.1)
    for layer in module.modules():
        if init.scheme == "torch" or not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        assert layer.bias is not None
        nn.init.constant_(layer.bias, init.bias or 0.0)
        if init.dense_std is not None and isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=init.dense_std)
        elif init.scheme == "normal":
            nn.init.normal_(layer.weight, std=init.std)
        elif init.scheme == "kaiming_normal" and math.isclose(init.gain, math.sqrt(2)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        elif init.scheme == "xavier_uniform":
            nn.init.xavier_uniform_(layer.weight, gain=init.gain)
        else:
            raise ValueError(f"PyTorch's side does not implement {init}")


def rate(config: Optim, steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    """The function (number of updates made) -> share of the highest learning rate."""
    warmup = round(config.warmup_epochs * steps_per_epoch)

    def share(step: int) -> float:
        if step < warmup:
            return step / warmup
        if config.schedule == "constant":
            return 1.0
        return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(1, steps - warmup))

    return share


def _images(experiment: Experiment, dataset: Dataset) -> Batches:
    config: Any = experiment.data
    train, measured = ({**dataset.splits[name]} for name in ("train", "test"))
    for fields in (train, measured):
        fields["image"] = gray(np.asarray(fields["image"])) if config.gray else np.asarray(fields["image"])
    mean, std = (torch.tensor(x).view(1, -1, 1, 1) for x in _normalization(config.normalize, train["image"]))
    augment = make_augment(config.augment)
    prepared = [
        {"image": image_tensor(fields["image"], "cpu"), "label": torch.tensor(np.asarray(fields["label"]), dtype=torch.long)}
        for fields in (train, measured)
    ]

    def finish(pixels: Callable[[Tensor], Tensor], batch: Tensors) -> Tensors:
        return {"image": normalize(pixels(batch["image"]), mean, std).contiguous(), "label": batch["label"]}

    plain = _examples(*prepared, experiment)
    return Batches(
        lambda: (finish(augment, batch) for batch in plain.train()),
        lambda: (finish(to_unit, batch) for batch in plain.evaluate()),
        plain.steps,
    )


def gray(images: np.ndarray) -> np.ndarray:
    """Gray versions [N, H, W, 1] of uint8 images [N, H, W, 3], by PIL's integer arithmetic."""
    weighted = sum(images[..., c].astype(np.int32) * weight for c, weight in enumerate((19595, 38470, 7471)))
    return ((weighted + 0x8000) >> 16).astype(np.uint8)[..., None]


def _normalization(kind: str, images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and deviation to normalize with, by channel; images are uint8 [N, H, W, C]."""
    channels = images.shape[-1]
    if kind != "standard":
        half = {"unit": 0.0, "symmetric": 0.5}[kind]
        return [half] * channels, [half or 1.0] * channels
    values = np.arange(256) / 255
    shares = [np.bincount(images[..., c].ravel(), minlength=256) / images[..., c].size for c in range(channels)]
    means = [float(share @ values) for share in shares]
    return means, [math.sqrt(float(share @ (values - mean) ** 2)) for share, mean in zip(shares, means, strict=True)]


def _examples(train: Tensors, measured: Tensors, experiment: Experiment) -> Batches:
    """Batches of independent examples [N, …]. The last, incomplete batch of a training pass is dropped."""
    count, size = len(next(iter(train.values()))), experiment.data.batch_size
    steps = count // size

    def shuffled() -> Iterator[Tensors]:
        for chosen in torch.randperm(count)[: steps * size].view(steps, size):
            yield {name: x[chosen] for name, x in train.items()}

    def in_order() -> Iterator[Tensors]:
        for first in range(0, len(next(iter(measured.values()))), experiment.eval_batch_size):
            yield {name: x[first : first + experiment.eval_batch_size] for name, x in measured.items()}

    return Batches(shuffled, in_order, steps)


def _int64(array: Any) -> Tensor:
    return torch.tensor(np.asarray(array).astype(np.int64))


def _labels(targets: Tensor, lengths: Tensor) -> Tensor:
    """The targets [N, T], ignored after each row's length."""
    return targets.masked_fill(torch.arange(targets.shape[1]) >= lengths[:, None], IGNORED)


def _names(experiment: Experiment, dataset: Dataset) -> Batches:
    def tensors(fields: Arrays) -> Tensors:
        token, length = _int64(fields["token"]), _int64(fields["length"])
        conditional = getattr(experiment.model, "conditional", False)
        category = _int64(fields["category"]) if conditional else torch.zeros(len(token), dtype=torch.long)
        return {"letter": token[:, :-1], "label": _labels(token[:, 1:], length), "category": category}

    return _examples(tensors(dataset.splits["train"]), tensors(dataset.splits["test"]), experiment)


def _reviews(experiment: Experiment, dataset: Dataset) -> Batches:
    config: Any = experiment.data

    def tensors(fields: Arrays) -> Tensors:
        tokens = np.asarray(fields["token"]).astype(np.int64)
        kept = np.zeros((len(tokens), config.max_length), np.int64)
        lengths = np.zeros(len(tokens), np.int64)
        for i, review in enumerate(tokens):
            words = [word for word in review.tolist() if 1 <= word <= config.vocab_size][-config.max_length :]
            kept[i, : len(words)], lengths[i] = words, len(words)
        return {"token": torch.tensor(kept), "length": torch.tensor(lengths), "label": _int64(fields["label"])}

    return _examples(tensors(dataset.splits["train"]), tensors(dataset.splits["test"]), experiment)


def _pairs(experiment: Experiment, dataset: Dataset) -> Batches:
    def tensors(fields: Arrays) -> Tensors:
        target = _int64(fields["target"])
        before = functional.pad(target[:, :-1], (1, 0), value=pairs.START_NUMBER)
        label = _labels(target, _int64(fields["target_length"]))
        source = {name: _int64(fields[name]) for name in ("source", "source_length")}
        return {**source, "before": before, "label": label}

    return _examples(tensors(dataset.splits["train"]), tensors(dataset.splits["test"]), experiment)


def _text(experiment: Experiment, dataset: Dataset) -> Batches:
    config: Any = experiment.data
    window, streams = config.window, config.batch_size
    train, measured = (_int64(dataset.splits[name]["token"]) for name in ("train", "test"))
    steps = (len(train) - 1 - window) // streams // window
    length = steps * window

    def windows(token: Tensor, label: Tensor) -> Iterator[Tensors]:
        for first in range(0, token.shape[1], window):
            yield {"token": token[:, first : first + window], "label": label[:, first : first + window]}

    def continued() -> Iterator[Tensors]:
        offset = int(torch.randint(window, ()))
        read = train[offset : offset + streams * length + 1]
        return windows(read[:-1].view(streams, length), read[1:].view(streams, length))

    def once() -> Iterator[Tensors]:
        side_by_side = experiment.eval_batch_size
        padding = -(len(measured) - 1) % side_by_side
        token = functional.pad(measured[:-1], (0, padding)).view(side_by_side, -1)
        return windows(token, functional.pad(measured[1:], (0, padding), value=IGNORED).view(side_by_side, -1))

    return Batches(continued, once, steps)


_BATCHES: Mapping[str, Callable[[Experiment, Dataset], Batches]] = {
    "classification": _images,
    "autoencoding": _images,
    "char_lm": _names,
    "language_model": _text,
    "sentiment": _reviews,
    "translation": _pairs,
}


Measured = tuple[Tensor, int, float, State]
"""(mean loss, number of examples or tokens, sum of what is judged, state for the next batch)."""


def _judge(logits: Tensor, labels: Tensor, state: State = None) -> Measured:
    logits, labels = logits.flatten(0, -2), labels.flatten()
    correct = (logits.argmax(-1) == labels).sum()  # An ignored label is no class.
    return functional.cross_entropy(logits, labels), int((labels != IGNORED).sum()), float(correct), state


def _autoencoding(module: nn.Module, batch: Tensors, state: State) -> Measured:
    error = (module(batch["image"]) - batch["image"]).square().flatten(1)
    psnr = -10 * torch.log10(error.detach().mean(1))
    return error.sum(1).mean(), len(error), float(psnr.sum()), state


def _language_model(module: nn.Module, batch: Tensors, state: State) -> Measured:
    logits, state = module(batch["token"], state)
    return _judge(logits, batch["label"], tuple(x.detach() for x in state) if isinstance(state, tuple) else state.detach())


_MEASURES: Mapping[str, Callable[[nn.Module, Tensors, State], Measured]] = {
    "classification": lambda module, batch, state: _judge(module(batch["image"]), batch["label"]),
    "autoencoding": _autoencoding,
    "char_lm": lambda module, batch, state: _judge(module(batch["letter"], batch["category"])[0], batch["label"]),
    "language_model": _language_model,
    "sentiment": lambda module, batch, state: _judge(module(batch["token"], batch["length"]), batch["label"]),
    "translation": lambda module, batch, state: _judge(
        module(batch["source"], batch["source_length"], batch["before"]), batch["label"]
    ),
}

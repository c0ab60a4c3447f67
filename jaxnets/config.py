"""What an experiment is: frozen dataclasses, their checks, and their JSON form.

A config file yields `Experiment`s; the command line overrides any field by its dotted path; the result is checked,
saved beside the run, and handed on in parts: the data pipeline sees `data`, the model builder `model`, the optimiser
`optim`. Nothing here imports jax, so listing experiments is quick.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

import tyro

from jaxnets.errors import UserError
from jaxnets.fields import field_at
from jaxnets.model_config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Augment:
    """Random changes to training images, made on the device in the order of the fields."""

    crop_padding: int = 0
    """Pixels added on every side before a crop of the original size is taken at random."""
    crop_fill: Literal["black", "edge"] = "black"
    """What those pixels are: 0, or as the nearest of the image."""
    flip: bool = False
    """Mirror left to right with probability one half."""
    brightness: float = 0.0
    """Multiply by a factor drawn from [1 - x, 1 + x]."""
    contrast: float = 0.0
    """Blend with the image's mean grey by a factor drawn from [1 - x, 1 + x]."""
    saturation: float = 0.0
    """Blend with the image's grey version by a factor drawn from [1 - x, 1 + x]."""
    cutout: int = 0
    """Side of a square of pixels, centred anywhere, that is made black."""


@dataclasses.dataclass(frozen=True)
class _Data:
    source: str
    """Name of a prepared data set, or "embedded" for the stand-in that needs no download."""
    embedded: str = ""
    """The stand-in that "embedded" means here."""
    batch_size: int = 64


@dataclasses.dataclass(frozen=True)
class ImageData(_Data):
    """Labelled images: where they come from and how they become batches."""

    embedded: str = "shapes10"
    batch_size: int = 128
    drop_last: bool = True
    """Leave out the last, partial batch of an epoch. Otherwise it is filled up from the epoch's first examples."""
    normalize: Literal["unit", "symmetric", "standard", "imagenet"] = "unit"
    """Pixel range: unit [0, 1], symmetric [-1, 1], standard (per channel: mean 0 and std 1 over the training split), or
    imagenet (by ImageNet's mean and std, as weights trained there expect)."""
    shrink: int = 1
    """Take the means of squares of so many pixels a side: 2 makes 32×32 of 64×64."""
    grey: bool = False
    """Take the luma of colour images."""
    augment: Augment = Augment()


@dataclasses.dataclass(frozen=True)
class NameData(_Data):
    """Names, a row each, spelled in letters."""

    embedded: str = "toy_names"


@dataclasses.dataclass(frozen=True)
class TextData(_Data):
    """Running text, read on from batch to batch."""

    embedded: str = "toy_words"
    batch_size: int = 20
    """Places of the text that are read at once."""
    window: int = 35
    """Tokens of each place in a batch. Gradients go back to its start, the state comes from the window before."""


@dataclasses.dataclass(frozen=True)
class ReviewData(_Data):
    """Labelled texts."""

    embedded: str = "toy_reviews"
    batch_size: int = 50
    vocabulary: int = 1000
    """The most frequent words, which alone are read."""
    longest: int = 200
    """Words of a review that are read: its last ones, where opinions are summed up."""


@dataclasses.dataclass(frozen=True)
class PairData(_Data):
    """Sentences in two languages."""

    embedded: str = "toy_pairs"
    teacher_forcing: tuple[float, float] = (1.0, 1.0)
    """Share of the true words among those that the decoder sees, in the first epoch and in the last; in between, along a
    line. The others are its own predictions."""


@dataclasses.dataclass(frozen=True)
class BowData(_Data):
    """Labelled images, of which the visual words are counted in the regions of a pyramid (see jaxnets.scenes)."""

    embedded: str = "shapes10"
    words: int = 200
    """Size of the dictionary."""
    levels: int = 3
    """Of the pyramid; the finest has 2^(levels - 1) regions along each side."""
    cells: tuple[int, ...] = (4, 6, 8)
    """Sides, in pixels, of a descriptor's 4×4 cells: one descriptor of each size at every place, where it fits."""
    spacing: int = 8
    """Pixels between neighbouring places."""
    colour: float = 0.5
    """Weight of a place's mean colour against the directions of its edges."""
    sample: int = 40_000
    """Descriptors that the dictionary is learnt from."""
    iterations: int = 15
    """Of k-means."""


DataConfig = ImageData | BowData | NameData | TextData | ReviewData | PairData


@dataclasses.dataclass(frozen=True)
class Spsa:
    """Gains of simultaneous perturbation stochastic approximation, in Spall's notation (see jaxnets.spsa)."""

    a: float = 0.05
    big_a: float = 100.0
    c: float = 0.01
    alpha: float = 0.602
    gamma: float = 0.101
    directions: int = 1
    """Perturbations averaged in one gradient estimate; each costs two evaluations of the loss."""
    rule: Literal["sgd", "adam"] = "sgd"
    """What the estimate is given to: Spall's falling steps, or Adam at optim.lr, which a, big_a and alpha do not touch."""


@dataclasses.dataclass(frozen=True)
class Optim:
    """The update rule."""

    name: Literal["sgd", "adam", "adamw", "rmsprop", "spsa"] = "adam"
    lr: float = 1e-3
    """Peak learning rate. SPSA has its own gains instead."""
    momentum: float = 0.0
    weight_decay: float = 0.0
    """L2 penalty, added to the gradient before the update rule as torch.optim does; adamw decays the weights directly."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """How the rate changes from its peak to the end of training: not at all, or down to 0 along a curve."""
    warmup_epochs: float = 0.0
    """Linear rise from 0 to the peak rate."""
    clip: float = 0.0
    """Longest gradient, as a norm over all trained parameters: longer ones are shortened to it. 0: as they come."""
    trainable: Literal["all", "head"] = "all"
    """"head" trains the last dense layer alone. The rest is a fixed map to features, in evaluation mode: BatchNorm keeps its
    statistics and nothing is dropped."""
    spsa: Spsa = Spsa()

    @property
    def evaluations_per_step(self) -> int:
        """How often the update rule evaluates the loss: twice for each of SPSA's directions; a gradient counts as one."""
        return 2 * self.spsa.directions if self.name == "spsa" else 1


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One row of a report: a model, its data, its update rule and how long to train."""

    id: tyro.conf.Suppress[str]
    source: tyro.conf.Suppress[str]
    """Report and section."""
    summary: tyro.conf.Suppress[str]
    data: DataConfig
    model: ModelConfig
    optim: Optim = Optim()
    epochs: int = 200
    steps: int | None = None
    """Length of training in steps; overrides epochs when given."""
    seeds: int = 3
    """Independent replicas trained at once, each with its own initial weights, data order and dropout."""
    seed: int = 0
    """The root of all randomness. Replica i is the same whatever the number of replicas."""
    eval_batch_size: int = 1000
    eval_examples: int | None = None
    """For a quick look: evaluates at most so many examples of each split, in equal steps over it; of running text its first
    tokens. Tables say so."""
    accumulate: int = 1
    """Parts of a batch that are worked off one after the other, their gradients summed: less memory for the same step."""
    select: Literal["best", "last"] = "best"
    """Which weights are tested: those of the best epoch by validation, or the last."""
    grid: tyro.conf.Suppress[Mapping[str, tuple[float, ...]]] = dataclasses.field(default_factory=dict)
    """Values that replicas differ in, one for each seed, by the dotted path of a field in TRACED; see jaxnets.sweep."""
    reported: tyro.conf.Suppress[Mapping[str, float]] = dataclasses.field(default_factory=dict)
    """What the report measured. Accuracies in percent, times in seconds, memory in GB."""

    @property
    def dataset(self) -> str:
        """The data set in use, with "embedded" resolved."""
        return self.data.embedded if self.data.source == "embedded" else self.data.source


TRACED = ("lr", "momentum", "weight_decay", "clip", "spsa.a", "spsa.big_a", "spsa.c", "spsa.alpha", "spsa.gamma")
"""Fields of `optim` that a compiled step takes as values, so that replicas of one program may differ in them."""

# Field rules: dotted path -> (what must hold, in words; the test). Paths that an experiment lacks are skipped.
_Rule = tuple[str, Callable[[Any], bool]]
_POSITIVE: _Rule = ("must be at least 1", lambda value: value >= 1)
_RATE: _Rule = ("must be a finite number above 0", lambda value: 0 < value < math.inf)
_NOT_NEGATIVE: _Rule = ("must be a finite number, 0 or more", lambda value: 0 <= value < math.inf)
_FRACTION: _Rule = ("must lie in [0, 1)", lambda value: 0 <= value < 1)
_RULES: Mapping[str, _Rule] = {
    "epochs": _POSITIVE,
    "steps": ("must be at least 1", lambda value: value is None or value >= 1),
    "seeds": _POSITIVE,
    "seed": ("must lie in [0, 2**32)", lambda value: 0 <= value < 2**32),
    "eval_batch_size": _POSITIVE,
    "eval_examples": ("must be at least 1", lambda value: value is None or value >= 1),
    "accumulate": _POSITIVE,
    "data.batch_size": _POSITIVE,
    "data.window": _POSITIVE,
    "data.vocabulary": _POSITIVE,
    "data.words": _POSITIVE,
    "data.levels": ("must lie in [1, 6]", lambda value: 1 <= value <= 6),
    "data.cells": ("must be one size or more, each at least 1", lambda value: len(value) > 0 and min(value) >= 1),
    "data.spacing": _POSITIVE,
    "data.colour": _NOT_NEGATIVE,
    "data.sample": _POSITIVE,
    "data.iterations": _POSITIVE,
    "data.longest": _POSITIVE,
    "data.teacher_forcing": ("must be two shares in [0, 1]", lambda value: all(0 <= share <= 1 for share in value)),
    "data.shrink": _POSITIVE,
    "data.augment.crop_padding": _NOT_NEGATIVE,
    "data.augment.cutout": _NOT_NEGATIVE,
    "data.augment.brightness": _FRACTION,
    "data.augment.contrast": _FRACTION,
    "data.augment.saturation": _FRACTION,
    "optim.lr": _RATE,
    "optim.momentum": _FRACTION,
    "optim.weight_decay": _NOT_NEGATIVE,
    "optim.warmup_epochs": _NOT_NEGATIVE,
    "optim.clip": _NOT_NEGATIVE,
    "optim.spsa.a": _RATE,
    "optim.spsa.big_a": _NOT_NEGATIVE,
    "optim.spsa.c": _RATE,
    "optim.spsa.alpha": ("must lie in (0, 1]", lambda value: 0 < value <= 1),
    "optim.spsa.gamma": ("must lie in (0, 1/2]", lambda value: 0 < value <= 0.5),
    "optim.spsa.directions": _POSITIVE,
}


def validate(experiment: Experiment) -> Experiment:
    """Returns the experiment, or raises UserError naming the first field whose value cannot work."""
    for path, (words, holds) in _RULES.items():
        try:
            value = field_at(experiment, path)
        except AttributeError:
            continue
        if not holds(value):
            raise UserError(f"{experiment.id}: {path} {words}, got {value}")
    if experiment.data.batch_size % experiment.accumulate:
        sizes = f"accumulate {experiment.accumulate} does not divide data.batch_size {experiment.data.batch_size}"
        raise UserError(f"{experiment.id}: {sizes}")
    if experiment.accumulate > 1 and isinstance(experiment.data, TextData):
        raise UserError(f"{experiment.id}: accumulate cannot split running text; lower data.batch_size")
    for path, value in experiment.model.bad_fields():
        raise UserError(f"{experiment.id}: model.{path} cannot be {value!r}")
    return experiment


def to_json(config: Any) -> Any:
    """Plain dicts, lists and numbers. A dataclass that is one of several choices names itself under "type"."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        fields = {field.name: to_json(getattr(config, field.name)) for field in dataclasses.fields(config)}
        return {"type": type(config).__name__, **fields}
    if isinstance(config, Mapping):
        return {key: to_json(value) for key, value in config.items()}
    if isinstance(config, tuple | list):
        return [to_json(value) for value in config]
    return config


def from_json(kind: Any, value: Any) -> Any:
    """The inverse of `to_json` for a dataclass, a union of dataclasses, a tuple or a plain value of type `kind`."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if not isinstance(value, dict):
            return value
        kind = next(choice for choice in typing.get_args(kind) if choice.__name__ == value["type"])
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        known = {field.name for field in dataclasses.fields(kind)}
        return kind(  # type: ignore[operator]
            **{name: from_json(hints[name], item) for name, item in value.items() if name in known}
        )
    if isinstance(value, list):
        inner = typing.get_args(kind)
        return tuple(from_json(inner[0] if inner else Any, item) for item in value)
    return value


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two JSON forms differ, one readable item each: "optim.lr (0.001 there, 0.01 here)"."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted(ours.keys() | theirs.keys())
        return [
            item for key in keys for item in differences(ours.get(key), theirs.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if ours == theirs else [f"{path} ({theirs} there, {ours} here)"]

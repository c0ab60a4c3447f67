"""What an experiment is: one frozen dataclass of parts, and the checks that its values must pass."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import tyro

from jaxnets.config.data import DataConfig
from jaxnets.config.fields import field_at
from jaxnets.config.model import ModelConfig
from jaxnets.config.optim import Optim
from jaxnets.errors import UserError


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One row of a report: a model, its data, its update rule and how long to train."""

    id: tyro.conf.Suppress[str]
    source: tyro.conf.Suppress[str]
    """Report and section."""
    summary: tyro.conf.Suppress[str]
    data: DataConfig
    model: ModelConfig
    optim: Optim = dataclasses.field(default_factory=Optim)
    epochs: int = 200
    steps: int | None = None
    """Length of training in steps; overrides epochs when given."""
    seeds: int = 3
    """Independent replicas trained at once, each with its own initial weights, data order and dropout."""
    seed: int = 0
    """The root of all randomness. Replica i is the same whatever the number of replicas."""
    eval_batch_size: int = 1000
    eval_examples: int | None = None
    """For a quick look: evaluate at most this many examples of each split, evenly spaced; of running text, its first tokens.
    Tables say so."""
    grad_accumulation_steps: int = 1
    """Equal microbatches that a batch is split into. Their gradients are summed: the same step with less memory."""
    select: Literal["best", "last"] = "best"
    """Which weights are tested: those of the best epoch by validation, or the last."""
    grid: tyro.conf.Suppress[Mapping[str, tuple[float, ...]]] = dataclasses.field(default_factory=dict)
    """Values that replicas differ in, one for each seed, by the dotted path of a field in TRACED; see jaxnets.runs.sweep."""
    reported: tyro.conf.Suppress[Mapping[str, float]] = dataclasses.field(default_factory=dict)
    """What the report measured. Accuracies in percent, times in seconds, memory in GB."""

    @property
    def task(self) -> str:
        """The module of the task: the model's own, or else the data's."""
        return self.model.task or self.data.task

    @property
    def dataset(self) -> str:
        """The data set in use, with "synthetic" resolved."""
        return self.data.synthetic if self.data.source == "synthetic" else self.data.source


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
    "grad_accumulation_steps": _POSITIVE,
    "data.batch_size": _POSITIVE,
    "data.window": _POSITIVE,
    "data.vocab_size": _POSITIVE,
    "data.dictionary_size": _POSITIVE,
    "data.levels": ("must lie in [1, 6]", lambda value: 1 <= value <= 6),
    "data.cell_sizes": ("must be one size or more, each at least 1", lambda value: len(value) > 0 and min(value) >= 1),
    "data.spacing": _POSITIVE,
    "data.color_weight": _NOT_NEGATIVE,
    "data.dictionary_samples": _POSITIVE,
    "data.kmeans_iterations": _POSITIVE,
    "data.max_length": _POSITIVE,
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
    "optim.spsa.num_perturbations": _POSITIVE,
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
    if experiment.data.batch_size % experiment.grad_accumulation_steps:
        raise UserError(
            f"{experiment.id}: grad_accumulation_steps {experiment.grad_accumulation_steps} does not divide "
            f"data.batch_size {experiment.data.batch_size}"
        )
    if experiment.grad_accumulation_steps > 1 and not experiment.data.independent:
        raise UserError(f"{experiment.id}: grad_accumulation_steps cannot split running text; lower data.batch_size")
    for path, value in experiment.model.bad_fields():
        raise UserError(f"{experiment.id}: model.{path} cannot be {value!r}")
    return experiment

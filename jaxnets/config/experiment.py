"""The definition of an experiment, and the checks that its values must pass."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import tyro

from jaxnets.config.data import DataConfig
from jaxnets.config.fields import can_exist, check_types, check_values, field_at
from jaxnets.config.loss import Loss
from jaxnets.config.model import ModelConfig
from jaxnets.config.optim import UPDATE_RULES, Optim
from jaxnets.errors import UserError, naming


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One row of a report: a model, its data, its optimizer and the length of training."""

    id: tyro.conf.Suppress[str]
    """family/variant, by which the command line finds it."""
    source: tyro.conf.Suppress[str]
    """Report and section, such as "S4 §2.4"."""
    summary: tyro.conf.Suppress[str]
    """One line for `jaxnets list`."""
    data: DataConfig
    model: ModelConfig
    optim: Optim = dataclasses.field(default_factory=Optim)
    epochs: int = 200
    """Length of training in epochs, at least 1."""
    steps: int | None = None
    """Length of training in steps, at least 1. Overrides `epochs` if given."""
    seeds: int = 3
    """Independent replicas to train at once, each with its own initial weights, data order and dropout masks."""
    seed: int = 0
    """Root of all randomness, in [0, 2^32). Replica i does not depend on the number of replicas."""
    eval_batch_size: int = 1000
    """Examples in an evaluation batch; for running text the number of parallel streams. Does not change the results of
    independent examples."""
    eval_examples: int | None = None
    """For a quick look: evaluate at most this many examples of each split, evenly spaced, or first tokens of running text.
    Tables mark such results."""
    grad_accumulation_steps: int = 1
    """Split each batch into this many equal microbatches and add up their gradients: the same step with less memory. Must
    divide data.batch_size."""
    select: Literal["best", "last"] = "best"
    """Which weights are tested: those of the epoch with the best validation result, or the last ones."""
    loss: Loss = dataclasses.field(default_factory=Loss)
    """What classifiers minimize."""
    grid: tyro.conf.Suppress[Mapping[str, tuple[float, ...]]] = dataclasses.field(default_factory=dict)
    """Hyper-parameters in which replicas differ: dotted path of a field in TRACED -> one value a seed (see
    jaxnets.runs.sweep)."""
    reported: tyro.conf.Suppress[Mapping[str, float]] = dataclasses.field(default_factory=dict)
    """What the report measured, by name. Accuracies in percent, times in seconds, memory in GB."""
    fitted: tyro.conf.Suppress[Mapping[str, tuple[str, ...]]] = dataclasses.field(default_factory=dict)
    """Settings that the report leaves open and that were chosen because they give its figures: dotted path -> names in
    `reported`. That these figures agree explains the report; it does not reproduce it independently."""

    @property
    def task(self) -> str:
        """The task's module: that of the model if it names one, otherwise that of the data."""
        return self.model.task or self.data.task

    def fitted_to(self, measure: str) -> tuple[str, ...]:
        """The settings that were fitted to a reported figure, by dotted path."""
        return tuple(path for path, measures in self.fitted.items() if measure in measures)

    def total_steps(self, steps_per_epoch: int) -> int:
        """Length of training in steps."""
        return self.steps or self.epochs * steps_per_epoch

    @property
    def dataset(self) -> str:
        """The data set in use: its name, or its path if it is the user's own."""
        return self.data.dataset


# Limits of fields: dotted path -> (what must hold, in words; the test). Paths that an experiment lacks are skipped.
_Limit = tuple[str, Callable[[Any], bool]]
_POSITIVE: _Limit = ("must be at least 1", lambda value: value >= 1)
_RATE: _Limit = ("must be a finite number above 0", lambda value: 0 < value < math.inf)
_NOT_NEGATIVE: _Limit = ("must be a finite number, 0 or more", lambda value: 0 <= value < math.inf)
_FRACTION: _Limit = ("must lie in [0, 1)", lambda value: 0 <= value < 1)
_LIMITS: Mapping[str, _Limit] = {
    "id": (
        "must be family/variant, which a folder can be called",
        lambda value: value.isprintable() and can_exist(value) and not {"", "..", "."} & set(value.split("/")),
    ),
    "epochs": _POSITIVE,
    "steps": ("must be at least 1", lambda value: value is None or value >= 1),
    "seeds": ("must lie in [1, 10000]", lambda value: 1 <= value <= 10_000),
    "seed": ("must lie in [0, 2**32)", lambda value: 0 <= value < 2**32),
    "eval_batch_size": _POSITIVE,
    "eval_examples": ("must be at least 1", lambda value: value is None or value >= 1),
    "grad_accumulation_steps": _POSITIVE,
    "data.batch_size": _POSITIVE,
    "data.source": ("must be a name or a path that a file can have", can_exist),
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
    "data.size": ("must be at least 1", lambda value: value is None or value >= 1),
    "data.eval_shift": _NOT_NEGATIVE,
    "data.augment.crop_padding": _NOT_NEGATIVE,
    "data.augment.cutout": _NOT_NEGATIVE,
    "data.augment.function": ("must be module:function", lambda value: value == "" or ":" in value),
    "data.augment.mixup": _NOT_NEGATIVE,
    "data.augment.cutmix": _NOT_NEGATIVE,
    "data.augment.brightness": _FRACTION,
    "data.augment.contrast": _FRACTION,
    "data.augment.saturation": _FRACTION,
    "loss.name": ("must be cross_entropy or module:function", lambda value: value == "cross_entropy" or ":" in value),
    "loss.label_smoothing": _FRACTION,
    "loss.temperature": _RATE,
    "loss.teacher_share": ("must lie in [0, 1]", lambda value: 0 <= value <= 1),
    "optim.name": (
        f"must be {', '.join(UPDATE_RULES)}, an optax factory such as optax.lion, or module:function",
        lambda value: value in UPDATE_RULES or "." in value or ":" in value,
    ),
    "optim.lr": _RATE,
    "optim.momentum": _FRACTION,
    "optim.weight_decay": _NOT_NEGATIVE,
    "optim.warmup_epochs": _NOT_NEGATIVE,
    "optim.clip": _NOT_NEGATIVE,
    "optim.bias_rate": _RATE,
    "optim.ema": _FRACTION,
    "optim.spsa.a": _RATE,
    "optim.spsa.big_a": _NOT_NEGATIVE,
    "optim.spsa.c": _RATE,
    "optim.spsa.alpha": ("must lie in [0, 1]", lambda value: 0 <= value <= 1),
    "optim.spsa.gamma": ("must lie in [0, 1/2]", lambda value: 0 <= value <= 0.5),
    "optim.spsa.num_perturbations": _POSITIVE,
    "optim.spsa.at_once": _NOT_NEGATIVE,
    "optim.spsa.calibrate": _NOT_NEGATIVE,
    "optim.spsa.trust_region": _NOT_NEGATIVE,
    "optim.spsa.blocking": _NOT_NEGATIVE,
}


def without_description(experiment: Experiment) -> Experiment:
    """The experiment without the fields that only describe it: equal ones train alike."""
    return dataclasses.replace(experiment, source="", summary="", reported={}, fitted={})


def validate_optim(config: Optim) -> Optim:
    """Returns an optimizer's config unchanged. Raises UserError that names the first field with an invalid value."""
    check_types(config, "optim.")
    _check_limits(config, "optim.")
    return config


def _check_limits(config: Any, prefix: str = "") -> None:
    """Raises UserError for the first field beyond its limits; `config` is the part of an experiment at `prefix`."""
    for path, (words, holds) in _LIMITS.items():
        if not path.startswith(prefix):
            continue
        try:
            value = field_at(config, path.removeprefix(prefix))
        except AttributeError:
            continue
        try:
            is_valid = holds(value)
        except TypeError:
            is_valid = False
        if not is_valid:
            raise UserError(f"{path} {words}, got {value}")


def validate(experiment: Experiment) -> Experiment:
    """Returns the experiment unchanged. Raises UserError that names the first field with an invalid value."""
    with naming(str(experiment.id)):
        check_types(experiment)
        _check_limits(experiment)
        check_values(experiment)
    if experiment.data.batch_size % experiment.grad_accumulation_steps:
        raise UserError(
            f"{experiment.id}: grad_accumulation_steps {experiment.grad_accumulation_steps} does not divide "
            f"data.batch_size {experiment.data.batch_size}"
        )
    if experiment.grad_accumulation_steps > 1 and not experiment.data.independent:
        raise UserError(f"{experiment.id}: grad_accumulation_steps cannot split running text; lower data.batch_size")
    if experiment.optim.name == "spsa" and experiment.optim.spsa.directions == "layerwise":
        # It looks into the model where the loss is evaluated, once for all examples.
        for path, value in (("grad_accumulation_steps", 1), ("model.dtype", "float32"), ("model.remat", False)):
            try:
                given = field_at(experiment, path)
            except AttributeError:
                continue
            if given != value:
                raise UserError(f"{experiment.id}: optim.spsa.directions layerwise needs {path} {value}, got {given}")
    for path, value in experiment.model.bad_fields():
        raise UserError(f"{experiment.id}: model.{path} cannot be {value!r}")
    return experiment

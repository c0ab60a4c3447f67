"""Configs of update rules."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Spsa:
    """Gains of simultaneous perturbation stochastic approximation, in Spall's notation (see jaxnets.optim.spsa)."""

    a: float = 0.05
    big_a: float = 100.0
    c: float = 0.01
    alpha: float = 0.602
    gamma: float = 0.101
    num_perturbations: int = 1
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
        return 2 * self.spsa.num_perturbations if self.name == "spsa" else 1


TRACED = ("lr", "momentum", "weight_decay", "clip", "spsa.a", "spsa.big_a", "spsa.c", "spsa.alpha", "spsa.gamma")
"""Fields that a compiled step takes as values, so that replicas of one program may differ in them (see
jaxnets.runs.sweep)."""

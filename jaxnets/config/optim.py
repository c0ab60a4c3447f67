"""Optimizer configs."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import tyro

from jaxnets.config.fields import freeze, name_of

UPDATE_RULES = ("sgd", "adam", "adamw", "rmsprop", "spsa")
"""The update rules with torch.optim's conventions, and SPSA."""


@dataclasses.dataclass(frozen=True)
class Spsa:
    """Hyper-parameters of simultaneous perturbation stochastic approximation (SPSA), in Spall's notation.

    At step k = 1, 2, … the step size is a / (k + A)^alpha and the perturbation size c / k^gamma (see jaxnets.optim.spsa).
    """

    a: float = 0.05
    """Scale of the step size, above 0."""
    big_a: float = 100.0
    """Stability constant A of the step size, 0 or more: about a tenth of the number of steps."""
    c: float = 0.01
    """Initial size of the perturbation of each parameter, above 0."""
    alpha: float = 0.602
    """Decay exponent of the step size, in [0, 1]; 0: constant steps."""
    gamma: float = 0.101
    """Decay exponent of the perturbation size, in [0, 1/2]; 0: constant perturbations."""
    num_perturbations: int = 1
    """Perturbations averaged in one gradient estimate, at least 1. Each costs two evaluations of the loss, or one."""
    directions: Literal["rademacher", "gaussian", "orthogonal", "coordinates", "low_rank", "layerwise"] = "rademacher"
    """Perturbations: random signs; normal numbers; signs orthogonal to each other; one parameter at a time, by c times the
    root of their number; for matrices, products of two normal vectors (see jaxnets.optim.directions); or every parameter in
    turn, by c, from its layer on, for which num_perturbations and at_once have no effect (see jaxnets.optim.layerwise)."""
    difference: Literal["two_sided", "one_sided"] = "two_sided"
    """Evaluates both sides of a perturbation, or one side and, once for all perturbations of a step, the middle."""
    at_once: int = 0
    """Evaluations made together, 0 or more: fewer need less memory; directions are drawn again then. 0: all of a step."""
    hessian: Literal["none", "diagonal", "full"] = "none"
    """Divides the estimate by an estimated Hessian (2-SPSA), for four more evaluations; a full one needs few parameters."""
    calibrate: float = 0.0
    """Size of each parameter's first move, 0 or more: a is then chosen accordingly from the estimates of the first 25 steps,
    which move nothing. 0: a is used."""
    trust_region: float = 0.0
    """Largest norm of a step, 0 or more; longer ones are scaled down to it. 0: no limit."""
    blocking: float = 0.0
    """Refuses steps after which the batch's loss is worse by more than this many standard deviations of its noise, 0 or
    more, for one more evaluation. 0: none is refused, unless a loss is not finite."""
    rule: Literal["sgd", "adam"] = "sgd"
    """What uses the estimate: gradient descent with Spall's decaying step sizes, or Adam at the rate optim.lr, for which a,
    big_a and alpha have no effect."""


@dataclasses.dataclass(frozen=True)
class Optim:
    """The optimizer, with the conventions of torch.optim. SPSA uses no momentum, weight_decay or clip."""

    name: str = "adam"
    """Update rule: sgd, adam, adamw, rmsprop; spsa, which estimates gradients from evaluations of the loss alone; an optax
    factory such as optax.lion; or a function "module:name" from a learning rate to an optax transform; in a config file,
    the function itself. --optim.args.b1 0.95 sets the argument b1 of its factory."""
    args: tyro.conf.Suppress[Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    """Further arguments of the rule's factory, by name. The others have the factory's defaults."""
    lr: float = 1e-3
    """Peak learning rate, above 0. SPSA has its own step sizes instead."""
    momentum: float = 0.0
    """Momentum of sgd and rmsprop, in [0, 1)."""
    weight_decay: float = 0.0
    """L2 penalty, 0 or more: times the weights, it is added to the gradient before the update rule. adamw decays the weights
    directly instead."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """Learning rate after the warm-up: constant, or decaying to 0 at the end of training along a cosine or a line."""
    warmup_epochs: float = 0.0
    """Epochs in which the learning rate rises linearly from 0 to its peak, 0 or more; fractions are allowed."""
    clip: float = 0.0
    """Largest norm of the gradient over all trained parameters; larger gradients are scaled down to it. 0: no clipping."""
    trainable: Literal["all", "head", "scales"] = "all"
    """Parameters to train: all; only the last layer (head) on fixed features; or only the scales of normalization layers.
    Unless all are trained, the model is in evaluation mode: BatchNorm keeps its statistics and dropout is off."""
    bias_rate: float = 1.0
    """Factor of the learning rate of biases, and of whatever else has one axis, above 0. Their weight_decay is divided by
    it, so that the penalty pulls at them as at weights (Jordan 2024)."""
    ema: float = 0.0
    """Decay, in [0, 1), of an exponential moving average of the weights, which is evaluated and saved in their place.
    BatchNorm has its last statistics. 0: no average."""
    record: bool = False
    """Also record the norm of the gradient over all trained parameters, before clipping, and the learning rate, among the
    training metrics: gradient_norm and learning_rate, means over an epoch's steps. SPSA computes no gradient."""
    spsa: Spsa = Spsa()
    """Hyper-parameters of spsa; the other rules ignore them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_of(self.name))
        object.__setattr__(self, "args", freeze(self.args))

    def evaluations_per_step(self, parameters: int) -> int:
        """Loss evaluations in a step of this many parameters: for SPSA's estimates and blocking. A gradient is one."""
        if self.name != "spsa":
            return 1
        m = parameters if self.spsa.directions == "layerwise" else self.spsa.num_perturbations
        gradient = 2 * m if self.spsa.difference == "two_sided" else m + 1
        return gradient + 4 * (self.spsa.hessian != "none") + (self.spsa.blocking > 0)


TRACED = ("lr", "momentum", "weight_decay", "clip", "ema", "spsa.a", "spsa.big_a", "spsa.c", "spsa.alpha", "spsa.gamma")
"""Fields that a compiled step takes as values and not as constants, so that the replicas of one program can differ in them
(see jaxnets.runs.sweep)."""

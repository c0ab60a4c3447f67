"""Hyper-parameters of each architecture. The Linen modules that read them stand in jaxnets.models."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal


@dataclasses.dataclass(frozen=True)
class Init:
    """How weights and biases start (formulas in jaxnets.init)."""

    scheme: Literal["torch", "xavier_normal", "xavier_uniform", "kaiming_normal", "normal"] = "torch"
    """"torch" is what torch.nn layers do by default: weights and biases uniform in ±1/sqrt(fan_in)."""
    gain: float = 1.0
    """Factor of the Xavier and Kaiming schemes, by the activation: sqrt(2) for ReLU."""
    std: float = 1.0
    """Standard deviation of the "normal" scheme."""
    dense_std: float | None = None
    """Standard deviation of dense layers' weights, normal, in place of the scheme; None: as the scheme says."""
    bias: float | None = None
    """A constant for every bias. None: 0, or the torch rule under the "torch" scheme."""


@dataclasses.dataclass(frozen=True)
class _Architecture:
    init: Init = Init()

    def bad_fields(self) -> Iterator[tuple[str, Any]]:
        """Fields whose values cannot work, with the value."""
        if not self.init.std > 0:
            yield "init.std", self.init.std
        if self.init.dense_std is not None and not self.init.dense_std > 0:
            yield "init.dense_std", self.init.dense_std
        if not self.init.gain > 0:
            yield "init.gain", self.init.gain
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            values = value if isinstance(value, tuple) else (value,)
            if "dropout" in field.name and not all(0 <= rate < 1 for rate in values):
                yield field.name, value
            if field.name in ("filters", "dense") and not all(width >= 1 for width in values):
                yield field.name, value


@dataclasses.dataclass(frozen=True)
class LeNetConfig(_Architecture):
    """Two 5×5 convolutions with average pooling, then dense layers (report S4 §2.4)."""

    activation: Literal["tanh", "leaky_relu"] = "tanh"
    batch_norm: bool = False
    """BatchNorm after each activation, also in the dense part."""
    dropout_input: float = 0.0
    dropout_conv: tuple[float, float] = (0.0, 0.0)
    """Rates after each convolution's activation (and BatchNorm)."""
    dropout_dense: float = 0.0
    dense: tuple[int, ...] = (120, 84)


@dataclasses.dataclass(frozen=True)
class TutorialNetConfig(_Architecture):
    """The PyTorch tutorial's CIFAR-10 net: LeNet's shape with ReLU and max-pooling (report S0 §1)."""


@dataclasses.dataclass(frozen=True)
class SmallCnnConfig(_Architecture):
    """Three padded convolutions with BatchNorm, under 50,000 parameters (report S1 Q1)."""

    filters: tuple[int, int, int] = (16, 32, 64)
    dense: int = 16


ModelConfig = LeNetConfig | TutorialNetConfig | SmallCnnConfig

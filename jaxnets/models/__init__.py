"""The models, as Linen modules, and `build`, which makes one from its configuration."""

from typing import Any

from flax import linen as nn

from jaxnets.model_config import LeNetConfig, ModelConfig, SmallCnnConfig, TutorialNetConfig
from jaxnets.models.lenet import LeNet, TutorialNet
from jaxnets.models.small_cnn import SmallCnn

_MODULES: dict[type, Any] = {LeNetConfig: LeNet, TutorialNetConfig: TutorialNet, SmallCnnConfig: SmallCnn}


def build(config: ModelConfig, outputs: int, axis_name: str | None = None) -> nn.Module:
    """The module for `config` with `outputs` classes; `axis_name` as in jaxnets.nn.layers.BatchNorm."""
    return _MODULES[type(config)](config, outputs, axis_name)

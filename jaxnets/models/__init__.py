"""The models, as Linen modules, and `build`, which makes one from its configuration."""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from jaxnets.model_config import LeNetConfig, ModelConfig, SmallCnnConfig, TutorialNetConfig
from jaxnets.models.lenet import LeNet, TutorialNet
from jaxnets.models.small_cnn import SmallCnn

_MODULES: dict[type, Any] = {LeNetConfig: LeNet, TutorialNetConfig: TutorialNet, SmallCnnConfig: SmallCnn}


def build(config: ModelConfig, sizes: Mapping[str, int], axis_name: str | None = None) -> nn.Module:
    """The module for `config`.

    `sizes` are the data's, such as {"classes": 10}; a module takes them by these names. `axis_name` is for layers that
    share statistics over the batch (see jaxnets.nn.layers.BatchNorm).
    """
    return _MODULES[type(config)](config=config, axis_name=axis_name, **sizes)

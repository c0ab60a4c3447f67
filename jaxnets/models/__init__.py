"""The models: Linen modules, one file a model. `build` makes one from its config."""

from collections.abc import Mapping
from typing import Any

from jaxnets import registry
from jaxnets.config import ModelConfig


def build(config: ModelConfig, sizes: Mapping[str, int], axis_name: str | None = None) -> Any:
    """The Linen module that `config.target` names.

    Args:
      config: hyper-parameters, which the module gets as `config`.
      sizes: what the data determines, such as {"classes": 10}; keyword arguments of the module.
      axis_name: for layers that share statistics over the batch (see jaxnets.nn.layers.BatchNorm).
    """
    return registry.resolve(config.target)(config=config, axis_name=axis_name, **sizes)

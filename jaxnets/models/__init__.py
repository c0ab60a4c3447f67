"""The models: Linen modules, one file a model. `build` makes one from its config.

A model is a Linen module with the fields `config` (its hyper-parameters, a ModelConfig whose `target` names the module), the
sizes that its task's data determines (such as `classes` or `vocab_size`) and `axis_name` (the mesh axis over which BatchNorm
shares its statistics). Its last layer is named "head". Nothing else lists the models: a new one is a file here, or anywhere,
and a config.
"""

from collections.abc import Mapping
from typing import Any

import jax

from jaxnets import registry
from jaxnets.config import ModelConfig


def build(config: ModelConfig, sizes: Mapping[str, int], axis_name: str | None = None) -> Any:
    """Makes the Linen module that `config.target` names.

    >>> from jaxnets.config.model import MLPConfig
    >>> model = build(MLPConfig(hidden=(64,)), {"classes": 36})
    >>> type(model).__name__, model.config.hidden, model.classes
    ('MLP', (64,), 36)

    Args:
      config: the hyper-parameters, passed to the module as `config`.
      sizes: what the data determines, such as {"classes": 10}: further keyword arguments of the module.
      axis_name: the mesh axis over which layers share batch statistics (see jaxnets.nn.BatchNorm), or None.

    Returns:
      The module, without parameters.

    Raises:
      UserError: `config.target` cannot be imported.
    """
    return registry.resolve(config.target)(config=config, axis_name=axis_name, **sizes)


def variable_shapes(model: Any, inputs: tuple[Any, ...]) -> dict[str, Any]:
    """Shapes and types of a model's variables, without making them; of the sample `inputs` only the shapes matter."""
    return dict(jax.eval_shape(lambda key: model.init(key, *inputs, train=False), jax.random.key(0)))

"""jaxnets: the classic small-network experiments of five PyTorch reports, re-run in JAX with error bars over seeds.

    result = jaxnets.train("cifar10/lenet/super", seeds=8, epochs=10)
    net = jaxnets.load(result.folder)
    probabilities = net(images)

Names are imported when they are first used, so that `import jaxnets` is quick and changes nothing outside the package.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnets import nn
    from jaxnets.api import Result, experiments, load, load_dataset, train
    from jaxnets.errors import UserError
    from jaxnets.optim.spsa import spsa, spsa_gradient

__version__ = "0.2.0"
__all__ = ["Result", "UserError", "experiments", "load", "load_dataset", "nn", "spsa", "spsa_gradient", "train"]

_HOMES = {
    **dict.fromkeys(("Result", "experiments", "load", "load_dataset", "train"), "jaxnets.api"),
    **dict.fromkeys(("spsa", "spsa_gradient"), "jaxnets.optim.spsa"),
    "UserError": "jaxnets.errors",
}


def __getattr__(name: str) -> Any:
    if name == "nn":
        return importlib.import_module("jaxnets.nn")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'jaxnets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Weights trained elsewhere: from a file, or downloaded once from where they are published."""

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import safetensors
from safetensors import numpy as safetensors_numpy

from jaxnets import registry
from jaxnets.config import ModelConfig
from jaxnets.data import store
from jaxnets.errors import UserError, first_line

HUB, NONE = "hub", "none"
"""Values of a config's `weights` other than a path: the published weights, and none."""
_URL = "https://huggingface.co/timm/resnet50.tv_in1k/resolve/main/model.safetensors"
"""torchvision's first ImageNet weights (76.13 % top-1), as timm publishes them. The publisher gives no permanent checksum;
the file's header and the name and shape of every tensor show whether it is complete and of the right net."""
_TIMEOUT = 30.0


def load(config: ModelConfig, like: dict[str, Any]) -> dict[str, Any] | None:
    """Loads the pretrained variables that a model's config names.

    >>> from jaxnets.config.model import LeNetConfig
    >>> load(LeNetConfig(), like={}) is None
    True

    Args:
      config: of the model. Its `weights` is "hub", "none" or the path of a safetensors file; a config without that field has
        no pretrained weights. `config.from_torch` names the function that converts the file's tensors.
      like: the model's variables, or their shapes.

    Returns:
      Variables to use in place of randomly initialized ones, perhaps only some of those in `like`; None if there are none.

    Raises:
      UserError: the file cannot be downloaded or read, or holds another net.
    """
    weights = getattr(config, "weights", NONE)
    if weights == NONE:
        return None
    path = fetch() if weights == HUB else Path(weights)
    try:
        tensors = safetensors_numpy.load_file(path)
    except FileNotFoundError:
        raise UserError(f"model.weights {path}: no such file") from None
    except (OSError, safetensors.SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"model.weights {path} is not a whole safetensors file ({first_line(error)})") from None
    return registry.resolve(config.from_torch)(config, tensors, like, str(path))


def fetch() -> Path:
    """Downloads ResNet-50's published ImageNet weights on first use.

    Returns:
      The path of the safetensors file, in the data folder.

    Raises:
      UserError: the download failed; the message says what to do.
    """
    path = store.root() / "weights" / "resnet50.tv_in1k.safetensors"
    if path.exists():
        return path
    part = path.with_suffix(".part")
    try:
        with urllib.request.urlopen(_URL, timeout=_TIMEOUT) as response:
            content = response.read()
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except (urllib.error.URLError, OSError) as error:
        reason = first_line(getattr(error, "reason", None) or error)
        raise UserError(
            f"the ImageNet weights cannot be downloaded ({reason}): fetch {_URL} by hand and give `--model.weights FILE`, "
            "or start from random ones with `--model.weights none`"
        ) from None
    return path

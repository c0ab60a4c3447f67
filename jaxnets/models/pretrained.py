"""Weights that were trained elsewhere: from a file, or fetched once from where they are published."""

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
"""Values of a config's `weights` beside a path: what is published, and none."""
_URL = "https://huggingface.co/timm/resnet50.tv_in1k/resolve/main/model.safetensors"
"""torchvision's first ImageNet weights (76.13 % top-1), as timm publishes them. The publisher gives no lasting sum to pin;
that the file is whole, and of the right net, is seen from its header and from every tensor's name and shape."""
_TIMEOUT = 30.0


def load(config: ModelConfig, like: dict[str, Any]) -> dict[str, Any] | None:
    """Variables to start from instead of random ones, as far as there are some; None for a config that asks for none.

    `like` are the model's variables or their shapes. Raises UserError for a file that cannot be had, read or used.
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
    """The published weights, downloaded on first use. Raises UserError, which says what to do, where there is no network."""
    path = store.root() / "weights" / "resnet50.tv_in1k.safetensors"
    if path.exists():
        return path
    part = path.with_suffix(".part")
    try:
        with urllib.request.urlopen(_URL, timeout=_TIMEOUT) as answer:
            content = answer.read()
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

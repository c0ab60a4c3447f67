"""Weights to start from: of a run of jaxnets, of a file in PyTorch's layout, or downloaded from where they are published."""

import http.client
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
from safetensors import numpy as safetensors_numpy

from jaxnets.config.fields import user_path
from jaxnets.config.model import HUB, NO_WEIGHTS
from jaxnets.data import store
from jaxnets.errors import UserError, first_line
from jaxnets.models import torch_form
from jaxnets.models.named import as_tree, by_name

_URL = "https://huggingface.co/timm/resnet50.tv_in1k/resolve/main/model.safetensors"
"""torchvision's first ImageNet weights (76.13 % top-1), as timm publishes them. The publisher gives no permanent checksum;
the file's header and the name and shape of every tensor show whether it is complete and of the right net."""
_TIMEOUT = 30.0


class Pretrained(NamedTuple):
    """Variables to use in place of randomly initialized ones, perhaps only some of them."""

    by_seed: Mapping[str, Any]
    """With a leading seed axis; empty where all seeds start from the same ones."""
    shared: Mapping[str, Any]


def load(model: Any, like: Mapping[str, Any], shape: Sequence[int], seeds: int) -> Pretrained:
    """Loads the pretrained variables that a model's config names.

    >>> from jaxnets import models
    >>> from jaxnets.config.model import LeNetConfig
    >>> load(models.build(LeNetConfig(), {"classes": 10}), like={}, shape=(32, 32, 3), seeds=1)
    Pretrained(by_seed={}, shared={})

    A run's file has the weights of several seeds: each seed starts from its own, or all from the one of a file of one. A
    file in PyTorch's layout has one set of weights. A last layer for another number of classes is left out.

    Args:
      model: whose config's `weights` is "hub", "none" or the path of a safetensors file.
      like: the model's variables, or their shapes.
      shape: of one of the model's inputs.
      seeds: of the run to come.

    Returns:
      The variables, in the structure and types of `like`.

    Raises:
      UserError: the file cannot be downloaded or read, holds another net, or too few seeds.
    """
    weights = getattr(model.config, "weights", NO_WEIGHTS)
    if weights == NO_WEIGHTS:
        return Pretrained({}, {})
    path = fetch() if weights == HUB else user_path(weights)
    if path.is_dir():
        raise UserError(f"model.weights {path} is a folder; name the weights.safetensors in it")
    try:
        given = safetensors_numpy.load_file(path)
    except FileNotFoundError:
        raise UserError(f"model.weights {path}: no such file") from None
    except (OSError, safetensors.SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"model.weights {path} is not a whole safetensors file ({first_line(error)})") from None
    if any(name.startswith("params/") for name in given):
        return _from_run(given, like, seeds, str(path))
    return Pretrained({}, _from_torch(torch_form.of(model, shape), given, like, str(path)))


def _from_run(given: Mapping[str, np.ndarray], like: Mapping[str, Any], seeds: int, origin: str) -> Pretrained:
    """From tensors [S, ...] that are named by their places, as jaxnets.runs.weights writes them."""
    shapes = {name: leaf.shape for name, leaf in by_name(like).items()}
    found = min(tensor.shape[0] if tensor.ndim else 0 for tensor in given.values())
    one_seed = {name: np.broadcast_to(np.float32(0), tensor.shape[1:]) for name, tensor in given.items()}
    kept = _fitting(one_seed, shapes, [name for name in shapes if name.startswith("params/head/")], -1, origin)
    if 1 < found < seeds:
        raise UserError(
            f"model.weights: {origin} has the weights of {found} seeds, and this run {seeds} seeds; choose --seeds {found}"
        )
    types = {name: leaf.dtype for name, leaf in by_name(like).items()}  # The file's may be rounded to float16.
    tensors = {name: given[name].astype(types[name]) for name in kept}
    variables = as_tree({name: tensor[:seeds] if found > 1 else tensor[0] for name, tensor in tensors.items()})
    return Pretrained(variables, {}) if found > 1 else Pretrained({}, variables)


def _from_torch(
    form: torch_form.TorchForm, given: Mapping[str, np.ndarray], like: Mapping[str, Any], origin: str
) -> dict[str, Any]:
    """From a state dict of the model's PyTorch form. What PyTorch counts beside the weights is ignored."""
    expected = {tensor.name: tensor for tensor in torch_form.tensors(form, like)}
    given = {name: tensor for name, tensor in given.items() if not name.endswith("num_batches_tracked")}
    shapes = {
        name: jax.eval_shape(tensor.to_torch, torch_form.at(like, tensor.path)).shape for name, tensor in expected.items()
    }
    head = [name for name, tensor in expected.items() if tensor.path[1] == "head"]
    kept = [(expected[name], given[name]) for name in _fitting(given, shapes, head, 0, origin)]
    return as_tree({"/".join(tensor.path): np.asarray(tensor.from_torch(array), np.float32) for tensor, array in kept})


def _fitting(
    given: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    head: Sequence[str],
    output_axis: int,
    origin: str,
) -> list[str]:
    """The names of the tensors to use: all, or all but the head's if that is for another number of classes.

    Raises UserError where names or shapes are not those of `shapes`, which it names, the first ones of many.
    """
    without_outputs = lambda shape: np.delete(shape, output_axis).tolist()
    missing, unknown = ([name for name in one if name not in other] for one, other in ((shapes, given), (given, shapes)))
    wrong = [name for name, shape in shapes.items() if name in given and given[name].shape != shape]
    is_other_head = bool(wrong) and not missing and set(wrong) <= set(head)
    is_other_head &= all(without_outputs(given[name].shape) == without_outputs(shapes[name]) for name in wrong)
    problems = [f"it has no {_first(missing)}"] if missing else []
    problems += [f"this net has no {_first(unknown)}"] if unknown else []
    if wrong and not is_other_head:
        problems.append(_first([f"{name} is {list(given[name].shape)}, not {list(shapes[name])}" for name in wrong]))
    if problems:
        raise UserError(f"model.weights: {origin} holds another net: {'; '.join(problems)}")
    return [name for name in shapes if not (is_other_head and name in head)]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def fetch() -> Path:
    """Downloads ResNet-50's published ImageNet weights on first use; one process at a time does so.

    Returns:
      The path of the safetensors file, in the data folder.

    Raises:
      UserError: the download failed; the message says what to do.
    """
    path = store.root() / "weights" / "resnet50.tv_in1k.safetensors"
    if not path.exists():
        with store.lock(path.name):
            if not path.exists():  # No other process has fetched it meanwhile.
                _download(path)
    return path


def _download(path: Path) -> None:
    part = path.with_suffix(".part")
    try:
        with urllib.request.urlopen(_URL, timeout=_TIMEOUT) as response:
            content = response.read()
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except (OSError, http.client.HTTPException) as error:  # The latter where the connection breaks off.
        reason = first_line(getattr(error, "reason", None) or error)
        raise UserError(
            f"the ImageNet weights cannot be downloaded ({reason}): fetch {_URL} by hand and give `--model.weights FILE`, "
            "or start from random ones with `--model.weights none`"
        ) from None
    finally:
        part.unlink(missing_ok=True)

"""A trained net as it travels: two files of a run's folder that are all that is needed to use it.

weights.safetensors   the selected weights of all seeds: each tensor has the seed axis first and is named by its place in the
                      tree, "params/conv1/kernel"
net.json              what the data set tells about itself: class names, vocabulary, normalization, shapes
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import load as deserialize
from safetensors.numpy import save as serialize

from jaxnets.data import store
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError, first_line
from jaxnets.models.named import as_tree, by_name
from jaxnets.runs import files
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.shape import ABSENT
from jaxnets.training import parallel

WEIGHTS, NET = "weights.safetensors", "net.json"
_FACTS = {
    **dict.fromkeys(("class_names", "categories", "tokens", "source_tokens", "target_tokens"), ([str], ABSENT)),
    **dict.fromkeys(("mean", "std"), ([(int, float)], ABSENT)),
    "tokenizer": (str, ABSENT),
    "spelled_out": (bool, ABSENT),
}
_DESCRIPTION = {"name": str, "splits": {str: {str: {"dtype": str, "shape": [int]}}}, "meta": _FACTS}


def save(folder: Path, variables: Mapping[str, Any], dataset: Dataset) -> None:
    """Writes both files.

    Args:
      folder: of the run.
      variables: as Flax's `apply` takes them, with a leading seed axis.
      dataset: what the net was trained on. Of its arrays only the shapes are written.

    Raises:
      UserError: the folder cannot be written.
    """
    # safetensors writes memory as it lies, whatever the array's strides.
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in by_name(parallel.fetch(variables)).items()}
    with files.writing(folder):
        files.write_json(folder / NET, store.describe(dataset))
        files.replace(folder / WEIGHTS, serialize(tensors))


def load(folder: Path) -> tuple[dict[str, Any], Dataset]:
    """(variables with a leading seed axis, the data set without its content).

    Raises UserError for files that are missing or damaged.
    """
    if not (folder / WEIGHTS).exists():
        if RunFolder(folder).finished:
            raise UserError(f"{folder}: {WEIGHTS}, which its run wrote, is gone; copy it from where the run was made")
        raise UserError(
            f"{folder} has no weights yet: they are written when its run ends or is interrupted; train it, or choose another"
        )
    try:
        tensors = deserialize(files.content(folder, WEIGHTS))
        dataset = store.undescribe(files.read_json(folder, NET, _DESCRIPTION))
    except (ValueError, TypeError, safetensors.SafetensorError) as error:
        raise UserError(f"{folder}: {WEIGHTS} or {NET} cannot be read ({first_line(error)})") from None
    return as_tree(tensors), dataset

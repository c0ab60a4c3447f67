"""Pictures that TFDS has prepared on this machine: data.source tfds:NAME, such as tfds:fashion_mnist or tfds:my_set/config.

The folder is TFDS's own, $TFDS_DATA_DIR or ~/tensorflow_datasets. It is read without TensorFlow, which needs files in
array_record format.
"""

import contextlib
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data.own import splits
from jaxnets.data.own.arrays import LabeledImages, to_uint8
from jaxnets.data.own.content import refuse
from jaxnets.data.phrases import count, left_out
from jaxnets.data.progress import Report
from jaxnets.errors import first_line

PREFIX = "tfds:"
_BLOCK = 1_000
"""Examples that are read at once."""


def folder(source: str) -> Path:
    """Where TFDS has the set. Raises UserError, which says how to get it, if it has not."""
    return Path(str(_builder(source).data_dir))


def read(source: str, report: Report) -> LabeledImages:
    """Reads "image" and "label" of the splits train, validation and test; others are left out.

    Raises UserError for a set that is not prepared, is not in array_record format, or has no such features, and for
    images of different sizes.
    """
    builder = _builder(source)
    features = dict(builder.info.features or {})
    if not {"image", "label"} <= set(features):
        raise refuse(source, f"its features are {', '.join(sorted(features))}; image and label are needed")
    by_split = {split: name for name in builder.info.splits if (split := splits.split_of(name))}
    if "train" not in by_split:
        raise refuse(source, f"its splits are {', '.join(builder.info.splits)}; train is needed")
    given = {split: _read_split(source, builder, name, report) for split, name in by_split.items()}
    others = [name for name in builder.info.splits if name not in by_split.values()]
    label = features["label"]
    class_names = getattr(label, "names", None) or [str(i) for i in range(1 + max(int(n.max()) for _, n in given.values()))]
    return LabeledImages(given, class_names, left_out({"other splits": others}))


def _builder(source: str) -> Any:
    name = source.removeprefix(PREFIX)
    data_dir = os.environ.get("TFDS_DATA_DIR")
    try:
        with _quiet():
            return tfds.core.read_only_builder.builder_from_files(name, data_dir=data_dir)
    except Exception as error:
        if type(error).__name__ not in ("DatasetNotFoundError", "NotFoundError", "ValueError", "FileNotFoundError"):
            raise
        raise refuse(
            source,
            f'not prepared in {data_dir or "~/tensorflow_datasets"}; where TensorFlow is installed: python -c "import '
            f"tensorflow_datasets as t; t.builder('{name}', file_format='array_record').download_and_prepare()\"; or set "
            "TFDS_DATA_DIR",
        ) from None


def _read_split(source: str, builder: Any, split: str, report: Report) -> tuple[np.ndarray, np.ndarray]:
    images: list[np.ndarray] = []
    labels: list[int] = []
    try:
        with _quiet():
            examples = builder.as_data_source(split=split)
    except (NotImplementedError, ValueError) as error:
        raise refuse(
            source, f"cannot be read without TensorFlow ({first_line(error)}); prepare it with file_format='array_record'"
        ) from None
    while len(images) < len(examples):
        with _quiet():
            block = examples.__getitems__(range(len(images), min(len(images) + _BLOCK, len(examples))))
        images += [example["image"] for example in block]
        labels += [int(example["label"]) for example in block]
        report(f"reading {split}", len(images), len(examples))
    if len(shapes := {image.shape for image in images}) != 1:
        raise refuse(source, f"images of {split} have {count(len(shapes), 'shape')}; only sets of one size can be read")
    return to_uint8(source, split, np.stack(images)), np.array(labels, np.int32)


@contextlib.contextmanager
def _quiet() -> Any:
    """Hides what TFDS logs, such as its recommendation of OpenCV."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

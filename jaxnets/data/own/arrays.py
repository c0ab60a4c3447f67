"""Own pictures as arrays in an .npz file.

The file has image and label, or those of each split: train_image and train_label, validation_…, test_…. Keras' x_train and
y_train do as well. Images are [N, H, W] or [N, H, W, C] with 1 or 3 channels: uint8 or other integers in [0, 255], or floats
in [0, 1]. Labels are [N], numbers or texts. "class_names", if there, names the classes 0, 1, ….
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnets.data.own import splits
from jaxnets.data.own.content import refuse
from jaxnets.data.phrases import some
from jaxnets.errors import first_line

_KEYS = {  # Field -> its names; {} stands for the split.
    "image": ("{}_image", "{}_images", "x_{}"),
    "label": ("{}_label", "{}_labels", "y_{}"),
}


class LabeledImages(NamedTuple):
    """Images of one size as they are given, before missing splits are drawn."""

    splits: Mapping[str, tuple[np.ndarray, np.ndarray]]
    """(images uint8 [N, H, W, C], labels int32 [N])."""
    class_names: Sequence[str]
    left_out: Sequence[str] = ()


def read(path: Path) -> LabeledImages:
    """Reads the file. Raises UserError, which names the array, for what is missing or of another form."""
    content = _load(path)
    given = _splits(path, content)
    labels = {split: _labels(path, split, *pair) for split, pair in given.items()}
    if "class_names" in content:
        if content["class_names"].ndim != 1:
            raise refuse(path, f"class_names have shape {list(content['class_names'].shape)}; a list of names is needed")
        class_names = [str(name) for name in content["class_names"].tolist()]
        numbers = {str(i): i for i in range(len(class_names))} | {name: i for i, name in enumerate(class_names)}
    else:
        class_names = splits.class_order(labels["train"])
        numbers = {name: i for i, name in enumerate(class_names)}
    if len(class_names) < 2:
        raise refuse(path, f"there is only one class, {some(class_names)}; at least two are needed")
    for split, texts in labels.items():
        if strange := sorted(set(texts) - set(numbers)):
            raise refuse(path, f"the label {some(strange)} of {split} is not among those of train or class_names")
    images = {split: to_uint8(path, split, pair[0]) for split, pair in given.items()}
    if len(shapes := {split: array.shape[1:] for split, array in images.items()}) and len(set(shapes.values())) > 1:
        raise refuse(path, f"the splits' images differ in shape: {', '.join(f'{s} {list(v)}' for s, v in shapes.items())}")
    return LabeledImages(
        {split: (images[split], np.array([numbers[t] for t in labels[split]], np.int32)) for split in given}, class_names
    )


def to_uint8(path: Path | str, split: str, images: np.ndarray) -> np.ndarray:
    """Images [N, H, W, C] in [0, 255] of any of the forms above. Raises UserError for others."""
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise refuse(path, f"images of {split} have shape {list(images.shape)}; [N, H, W] or [N, H, W, 1 or 3] is needed")
    if images.dtype == np.uint8:
        return images
    if images.dtype == bool:
        return images.astype(np.uint8) * 255
    if not np.issubdtype(images.dtype, np.number) or np.iscomplexobj(images):
        raise refuse(path, f"images of {split} are {images.dtype}; numbers are needed")
    low, high = float(images.min()), float(images.max())
    if np.issubdtype(images.dtype, np.floating) and low >= 0 and high <= 1:
        return np.round(images * 255).astype(np.uint8)
    if np.issubdtype(images.dtype, np.integer) and low >= 0 and high <= 255:
        return images.astype(np.uint8)
    raise refuse(
        path,
        f"images of {split} are {images.dtype} in [{low:g}, {high:g}]; give integers in [0, 255] or floats in [0, 1]",
    )


def _load(path: Path) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(path):
        raise refuse(path, "cannot be read as .npz: the file is no zip archive; write it with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: array for name in file.files if isinstance(array := file[name], np.ndarray)}
    except Exception as error:  # NumPy passes on any error of zip archives and headers.
        if "allow_pickle" in str(error):
            raise refuse(
                path, "an array is ragged or holds Python objects; store images of one size as one uint8 array [N, H, W, C]"
            ) from None
        raise refuse(path, f"cannot be read as .npz ({first_line(error)}); write it with numpy.savez") from None


def _splits(path: Path, content: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(images, labels) as they are stored, by split."""
    pairs: dict[str, dict[str, Any]] = {}
    for split, names in splits.NAMES.items():
        for field, forms in _KEYS.items():
            keys = [form.format(name) for name in names for form in forms] + ([field] if split == "train" else [])
            if key := next((key for key in keys if key in content), None):
                pairs.setdefault(split, {})[field] = content[key]
    if "train" not in pairs or any(len(pair) < 2 for pair in pairs.values()):
        raise refuse(
            path,
            f"the arrays are {some(list(content))}; image and label are needed, or train_image, train_label, …",
        )
    return {split: (pair["image"], pair["label"]) for split, pair in pairs.items()}


def _labels(path: Path, split: str, images: np.ndarray, labels: np.ndarray) -> list[str]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not images.ndim or len(labels) != len(images) or np.issubdtype(labels.dtype, np.inexact):
        raise refuse(
            path,
            f"images {list(images.shape)} of {split}, but labels {labels.dtype} {list(labels.shape)}; each needs one value",
        )
    return [str(label) for label in labels.tolist()]

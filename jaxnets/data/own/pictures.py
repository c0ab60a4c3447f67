"""Own pictures: a folder of them by class, an .npz file of arrays, or a set that TFDS has prepared.

Pictures are turned upright by their EXIF data. With `data.size` the middle square of each is resized to that many pixels a
side. They are stored in gray if all of them are gray, otherwise all in RGB. Splits that are missing are drawn as
jaxnets.data.own.splits says.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets.data import image_io, store
from jaxnets.data.own import arrays, folders, splits, tfds_sets
from jaxnets.data.own.content import Content, refuse
from jaxnets.data.phrases import left_out
from jaxnets.data.progress import Report, track

OPTIONS = ("size",)
Pixels = np.ndarray
"""uint8 [H, W] or [H, W, 3]."""


def read(config: Any, path: Path | str, report: Report) -> Content:
    """Reads labeled pictures; `path` is that of a folder or an .npz file, or tfds:NAME.

    Raises UserError for a source of another form, fewer than two classes, classes that are too small to split, and pictures
    of different sizes where `config.size` is None.
    """
    if isinstance(path, str):
        given = tfds_sets.read(path, report)
    elif path.is_dir():
        return _from_folder(path, config.size, report)
    elif path.suffix.lower() == ".npz":
        given = arrays.read(path)
    else:
        raise refuse(path, "for an experiment on pictures give a folder with a folder for each class, or an .npz file")
    resized = {
        split: (_fit(path, images, config.size, f"resizing {split}", report), labels)
        for split, (images, labels) in given.splits.items()
    }
    return _content(path, resized, given.class_names, given.left_out)


def _from_folder(path: Path, size: int | None, report: Report) -> Content:
    classes = folders.by_class(path, "picture")
    class_names = list(classes["train"])
    unreadable: list[str] = []
    decoded: dict[str, tuple[list[Pixels], np.ndarray]] = {}
    for split, by_class in classes.items():
        files = [(file, class_names.index(name)) for name, members in by_class.items() for file in members]
        pictures = _decode([file for file, _ in files], size, f"reading {split}", report)
        unreadable += [str(file.relative_to(path)) for (file, _), p in zip(files, pictures, strict=True) if p is None]
        labels = np.array([label for (_, label), p in zip(files, pictures, strict=True) if p is not None], np.int32)
        decoded[split] = [p for p in pictures if p is not None], labels
        if split == "train" and (empty := [n for i, n in enumerate(class_names) if i not in labels]):
            raise refuse(path, f"class {empty[0]!r} has no picture that can be read, for example {unreadable[0]}")
    if size is None:
        readable = (p for pictures, _ in decoded.values() for p in pictures)
        _check_sizes(path, readable)
    gray = all(p.ndim == 2 for pictures, _ in decoded.values() for p in pictures)
    stacked = {split: (_stack(pictures, gray), labels) for split, (pictures, labels) in decoded.items()}
    return _content(path, stacked, class_names, left_out({"unreadable files": unreadable}))


def _decode(files: Sequence[Path], size: int | None, stage: str, report: Report) -> list[Pixels | None]:
    """The pictures of files, None for those that cannot be read. Threads help: Pillow decodes outside Python's lock."""

    def one(file: Path) -> Pixels | None:
        try:
            pixels = image_io.decode_oriented(file.read_bytes())
        except OSError:
            return None
        return pixels if pixels is None or size is None else image_io.center_square(pixels, size, size)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        results = threads.map(one, files)
        return [next(results) for _ in track(files, stage, report)]


def _check_sizes(path: Path, pictures: Iterable[Pixels]) -> None:
    sizes = sorted({(p.shape[1], p.shape[0]) for p in pictures})
    if len(sizes) > 1:
        (width, height), (other_width, other_height) = sizes[0], sizes[-1]
        raise refuse(
            path,
            f"the pictures differ in size, from {width}×{height} to {other_width}×{other_height}; give --data.size, the "
            "side in pixels to which they are cut and resized, for example --data.size 32",
        )


def _stack(pictures: Sequence[Pixels], gray: bool) -> np.ndarray:
    if gray:
        return np.stack(pictures)[..., None]
    return np.stack([p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=-1) for p in pictures])


def _fit(path: Path | str, images: np.ndarray, size: int | None, stage: str, report: Report) -> np.ndarray:
    """Images [N, H, W, C] at the size asked for."""
    if size is None or images.shape[1:3] == (size, size):
        return images
    squeezed = images[..., 0] if images.shape[-1] == 1 else images
    fitted = np.stack([image_io.center_square(p, size, size) for p in track(list(squeezed), stage, report)])
    return fitted.reshape(len(images), size, size, images.shape[-1])


def _content(
    path: Path | str,
    given: Mapping[str, tuple[np.ndarray, np.ndarray]],
    class_names: Sequence[str],
    dropped: Sequence[str],
) -> Content:
    """The content with all splits, from (images, labels) of those that are given."""
    images, labels = given["train"]
    drawn = splits.stratified(path, labels, class_names, list(given), "picture")
    parts = {split: {"image": images[indices], "label": labels[indices]} for split, indices in drawn.items()}
    parts |= {split: {"image": i, "label": n} for split, (i, n) in given.items() if split != "train"}
    for split, fields in parts.items():
        if not len(fields["label"]):
            raise refuse(path, f"the {split} split has no picture that can be read")
    ordered = {split: parts[split] for split in splits.NAMES if split in parts}
    meta = {"class_names": tuple(class_names), **store.image_statistics(ordered["train"]["image"])}
    return Content(ordered, meta, splits.rule(list(given), "pictures of each class"), dropped)

"""TFDS builders without TensorFlow, and the way from a builder to arrays.

A builder of ours names its files, their sizes and sha256 sums in `downloads`; TFDS fetches, verifies, and writes the
examples as array_record files; `to_arrays` stacks those into NumPy arrays.
"""

import contextlib
import io
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, store
from jaxnets.errors import UserError, first_line


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Base of our builders: pinned downloads, or files of a manual directory."""

    VERSION = tfds.core.Version("1.0.0")
    downloads: ClassVar[Mapping[str, tfds.download.checksums.UrlInfo]] = {}
    """URL -> size and sha256 of the file behind it."""

    def __init__(self, manual_dir: Path | None, **kwargs: Any) -> None:
        self.manual = manual_dir
        super().__init__(file_format="array_record", **kwargs)

    @property
    def url_infos(self) -> Mapping[str, tfds.download.checksums.UrlInfo]:
        """Where TFDS looks for checksums."""
        return self.downloads

    def describe(self, features: Mapping[str, Any], about: str) -> tfds.core.DatasetInfo:
        """The DatasetInfo that `_info` has to return."""
        features = tfds.features.FeaturesDict(features)
        # Examples keep the order in which they are generated.
        return tfds.core.DatasetInfo(builder=self, description=about, features=features, disable_shuffling=True)

    def locate(self, dl_manager: tfds.download.DownloadManager, url: str, *places: str) -> Path:
        """The file behind `url`: in the manual directory, if there is one, at the first of `places` that exists."""
        if self.manual is not None:
            return archives.find(self.name, self.manual, places, url)
        return Path(dl_manager.download(url))


class LabeledImages(Builder, skip_registration=True):  # type: ignore[call-arg]
    """Base of builders whose splits are (images, labels): uint8 images of `shape`; gray ones may lack the last axis."""

    about: ClassVar[str]
    shape: ClassVar[tuple[int, int, int]]
    class_names: ClassVar[tuple[str, ...]]

    def _info(self) -> tfds.core.DatasetInfo:
        label = tfds.features.ClassLabel(names=self.class_names)
        return self.describe({"image": image_feature(*self.shape), "label": label}, self.about)

    def _generate_examples(self, images: Iterable[np.ndarray], labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": image.reshape(self.shape), "label": int(label)}


def image_feature(*shape: int) -> tfds.features.Tensor:
    """Raw uint8 pixels: TFDS's image feature needs TensorFlow to decode."""
    return tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")


def file_feature() -> tfds.features.Tensor:
    """The content of a file. TFDS shuffles up to 1 GB in memory and needs TensorFlow for more, so much stays encoded."""
    return tfds.features.Tensor(shape=(), dtype=np.object_)


def to_arrays(builder_class: type[Builder], manual_dir: Path | None) -> dict[str, dict[str, np.ndarray]]:
    """Prepares a builder under the store's folder and reads every split back: {split: {field: [N, ...]}}.

    The intermediate array_record files are removed afterwards. Raises UserError for files that cannot be had or read.
    """
    if manual_dir is not None and not manual_dir.is_dir():
        raise UserError(f"--manual-dir {manual_dir}: no such folder")
    work = store.root() / "tfds"
    try:
        builder = builder_class(manual_dir, data_dir=work)
        config = tfds.download.DownloadConfig(force_checksums_validation=True)
        with _quiet():
            builder.download_and_prepare(download_config=config)
        return {split: _stack(builder, split) for split in builder.info.splits}
    except UserError:
        raise
    except Exception as error:
        cause = _root_cause(error)
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(_explain(builder_class, cause)) from error
    finally:
        shutil.rmtree(work / builder_class.name, ignore_errors=True)


def _stack(builder: Builder, split: str) -> dict[str, np.ndarray]:
    source = builder.as_data_source(split=split)
    examples = source.__getitems__(range(len(source)))
    features = builder.info.features
    fields = {field: _column([example[field] for example in examples], features[field]) for field in features}
    return {field: a.astype(np.int32) if a.dtype == np.int64 else a for field, a in fields.items()}


def _column(values: list[Any], feature: Any) -> np.ndarray:
    if isinstance(values[0], bytes):  # Texts and files differ in length and stay apart.
        text = isinstance(feature, tfds.features.Text)
        return np.array([value.decode() if text else value for value in values], dtype=object)
    return np.stack(values)


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _explain(builder_class: type[Builder], error: BaseException) -> str:
    name, urls = builder_class.name, ", ".join(builder_class.downloads)
    advice = f"fetch {urls} by hand and use `jaxnets data prepare {name} --manual-dir DIR`"
    kind = type(error).__name__
    if kind == "NonMatchingChecksumError":
        return f"{name}: the file downloaded from {urls} does not have the expected sha256; {advice}"
    if kind in ("ConnectionError", "MaxRetryError", "NameResolutionError", "ConnectTimeout", "ReadTimeout", "ProxyError"):
        return f"{name}: no network ({kind} for {urls}); {advice}"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: cannot write under {store.root()}: {error.strerror}; set JAXNETS_DATA to another folder"
    return f"{name}: could not be prepared: {kind}: {first_line(error)}; {advice}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """TFDS draws progress bars of its own and logs; ours is one line by the caller."""
    tfds.disable_progress_bar()
    logging.getLogger("absl").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        yield

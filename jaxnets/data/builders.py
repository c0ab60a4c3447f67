"""TFDS builders without TensorFlow, and the way from a builder to arrays.

A builder names its downloads with their sizes and sha256 sums. TFDS fetches and verifies them and writes the examples as
array_record files; `to_arrays` reads those back as NumPy arrays.
"""

import contextlib
import functools
import io
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from jaxnets.data import archives, progress, store
from jaxnets.data.progress import Report
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError, first_line

Columns = Mapping[str, Sequence[Any] | np.ndarray]
"""The examples of a split by field, all of the same number."""
PINNED = "with the pinned sha256"
"""Meta data "files" of a set whose files are, byte for byte, those that are published."""
_RETRIES = 3
"""Of a connection that fails, within seconds."""
_TIMEOUT = 20.0
"""Seconds without a byte after which a connection has failed."""
_SCRATCH = ".tfds"
"""The folder in the store where TFDS works. It is emptied, so no data of the user's own may be called so."""
_BLOCK = 1_000
"""Examples that are read back at once."""


class Read(NamedTuple):
    """What `to_arrays` read."""

    splits: dict[str, dict[str, np.ndarray]]
    """{split: {field: [N, ...]}}, integers as int32."""
    left_out: list[str]
    """What was not read, in the words of `phrases.left_out`."""
    pinned: bool = False
    """Whether every file had its pinned sha256."""

    def complete(self, content: Prepared) -> Prepared:
        """The content with "files" in its meta data, PINNED or a hash of the splits, and with what was left out."""
        meta = {**content.meta, "left_out": self.left_out} if self.left_out else content.meta
        return content._replace(meta={**meta, "files": PINNED if self.pinned else store.digest(self.splits)})


class _Info(tfds.core.DatasetInfo):
    """A DatasetInfo that TFDS does not look up online: ours are not there, and each search leaves a folder in /tmp."""

    def initialize_from_bucket(self) -> None:
        """Does nothing."""


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Base of our builders: pinned downloads, or files of a manual directory."""

    VERSION = tfds.core.Version("1.0.0")
    downloads: ClassVar[Mapping[str, tfds.download.checksums.UrlInfo]] = {}
    """URL -> size and sha256 of its file."""
    features: ClassVar[Mapping[str, Any]]
    """Field of an example -> its TFDS feature."""

    def __init__(self, manual_dir: Path | None, report: Report = progress.silent, **kwargs: Any) -> None:
        self.manual_dir = manual_dir
        self.report = report
        self.left_out: list[str] = []
        self.pinned: dict[str, bool] = {}
        super().__init__(file_format="array_record", **kwargs)

    def read(self) -> Mapping[str, Columns]:
        """The examples of every split, from the files that `locate` finds. Raises UserError for files that are not right."""
        raise NotImplementedError

    def locate(self, url: str, *places: str) -> Path:
        """The file of `url`: downloaded, or the first of `places` that exists in the manual directory, if there is one.

        Raises UserError if none exists.
        """
        if self.manual_dir is None:
            self.pinned[url] = True  # TFDS accepts no other.
            return Path(self._dl_manager.download(url))
        path = archives.find(self.name, self.manual_dir, places, url)
        self.pinned[url] = url in self.downloads and archives.sha256(path) == self.downloads[url].checksum
        return path

    # What TFDS asks of a builder.

    @property
    def url_infos(self) -> Mapping[str, tfds.download.checksums.UrlInfo]:
        """Where TFDS looks for checksums."""
        return self.downloads

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(self.features)
        # Examples keep the order in which they are generated.
        return _Info(builder=self, description=self.__doc__, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        self._dl_manager = dl_manager
        read = self.read()
        for split, columns in read.items():
            if not all(map(len, columns.values())):
                raise UserError(f"{self.name}: none of the {split} examples can be used; fetch the files again")
        return {split: self._generate_examples(split, columns) for split, columns in read.items()}

    def _generate_examples(self, split: str, columns: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
        rows = list(zip(*columns.values(), strict=True))
        for i, row in enumerate(progress.track(rows, f"storing {split}", self.report)):
            yield i, dict(zip(columns, row, strict=True))


def image_features(shape: tuple[int, int, int], class_names: Sequence[str]) -> dict[str, Any]:
    """Features of labeled images, uint8 [H, W, C]. Raw pixels: TFDS's image feature needs TensorFlow to decode."""
    image = tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")
    return {"image": image, "label": tfds.features.ClassLabel(names=class_names)}


def file_feature() -> tfds.features.Tensor:
    """The content of a file. TFDS shuffles up to 1 GB in memory and needs TensorFlow for more, so pictures stay encoded."""
    return tfds.features.Tensor(shape=(), dtype=np.object_)


def to_arrays(builder_class: type[Builder], manual_dir: Path | None, report: Report = progress.silent) -> Read:
    """Prepares a builder in the store's folder and reads every split.

    One process at a time does so, in a folder that is empty before and afterwards; whole downloads are kept. Raises
    UserError for files that cannot be fetched or read.
    """
    if manual_dir is not None and not manual_dir.is_dir():
        raise UserError(f"--manual-dir {manual_dir}: no such folder")
    with store.preparing("tfds", report):
        return _to_arrays(builder_class, manual_dir, report)


def _to_arrays(builder_class: type[Builder], manual_dir: Path | None, report: Report) -> Read:
    work = store.root() / _SCRATCH
    _clear(work)  # TFDS takes what a killed preparation left for its own, whatever files it was made of.
    try:
        builder = builder_class(manual_dir, report, data_dir=work)
        config = tfds.download.DownloadConfig(force_checksums_validation=True)
        with _quiet(), _download_progress(builder, work / "downloads"):
            builder.download_and_prepare(download_config=config)
        splits = {split: _read_split(builder, split) for split in builder.info.splits}
        return Read(splits, builder.left_out, pinned=bool(builder.pinned) and all(builder.pinned.values()))
    except UserError:
        raise
    except Exception as error:
        cause = _root_cause(error)
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(_explain(builder_class, cause)) from error
    finally:
        _clear(work)


def _clear(work: Path) -> None:
    """Removes all but whole downloads."""
    for path in [*work.glob("*"), *work.glob("downloads/*")]:
        if path.is_dir() and path.name != "downloads":
            shutil.rmtree(path, ignore_errors=True)


def _read_split(builder: Builder, split: str) -> dict[str, np.ndarray]:
    source = builder.as_data_source(split=split)
    examples: list[Any] = []
    while len(examples) < len(source):
        examples += source.__getitems__(range(len(examples), min(len(examples) + _BLOCK, len(source))))
        builder.report(f"loading {split}", len(examples), len(source))
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
    if "timed out" in str(error):  # requests wraps the error of a socket in several of its own.
        return f"{name}: the server did not respond for {_TIMEOUT:g} s; try again, or {advice}"
    if kind in ("ConnectionError", "MaxRetryError", "NameResolutionError", "ConnectTimeout", "ProxyError"):
        return f"{name}: no network ({kind}); {advice}"
    if isinstance(error, OSError) and error.strerror:
        path = Path(error.filename or store.root())
        if path.is_relative_to(store.root()):
            return f"{name}: {store.cannot_write(path, error)}"
        return f"{name}: {path} cannot be read: {error.strerror}"
    return f"{name}: could not be prepared: {kind}: {first_line(error)}; {advice}"


def _download_progress(builder: Builder, folder: Path) -> contextlib.AbstractContextManager[None]:
    """Reports how many megabytes of the builder's downloads have arrived in `folder`."""
    if builder.manual_dir is not None or not builder.downloads:
        return contextlib.nullcontext()
    megabytes = lambda size: size // 1_000_000
    total = megabytes(sum(int(info.size) for info in builder.downloads.values()))
    before = _size(folder)
    return progress.watch(lambda: megabytes(_size(folder) - before), total, "downloading, MB", builder.report)


def _size(folder: Path) -> int:
    """Bytes of all files in a folder, which may change meanwhile."""
    size = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += (Path(path) / name).stat().st_size
    return size


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """TFDS draws progress bars and logs, where ours is the progress that the caller shows, and retries for minutes."""
    tfds.disable_progress_bar()
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    downloader.MAX_RETRIES = _RETRIES
    logging.getLogger("absl").setLevel(logging.ERROR)
    opened = downloader._open_url
    downloader._open_url = functools.partial(opened, timeout=_TIMEOUT)  # TFDS waits for ever.
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        downloader._open_url = opened

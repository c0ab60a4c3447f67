"""Finding and reading the files that publishers ship: folders, .zip and .tar.gz archives, plain text.

Archives are read in memory and never unpacked to disk, so that names and links in them lead nowhere. What they may grow to
is bounded.
"""

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, cast

from jaxnets.data.progress import Report, silent, track
from jaxnets.errors import UserError, first_line

_MOST = 2_000_000_000
"""Bytes that a file may unpack to, several times what any of the published ones does."""


def find(name: str, manual_dir: Path, places: tuple[str, ...], url: str) -> Path:
    """The first of `places` that exists below `manual_dir`.

    Raises UserError, which starts with the data set's `name` and asks to fetch `url`, if none does.
    """
    for place in places:
        if (manual_dir / place).exists():
            return manual_dir / place
    raise UserError(f"{name}: {manual_dir} holds none of {', '.join(places)}; fetch {url} into it")


def sha256(path: Path) -> str:
    """The hash of a file in hexadecimal digits; empty for a folder and for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def members(name: str, path: Path, select: Callable[[str], bool], report: Report = silent) -> dict[str, bytes]:
    """The contents of those files of a folder or an archive that `select` accepts, by their path inside it.

    Hidden files are passed over, such as the halves that macOS adds, ._NAME.

    Raises UserError, which starts with the data set's `name`, for an archive that is truncated, damaged, neither .zip nor
    .tar.gz, or larger inside than any published one.
    """
    visible = lambda inside: not any(part.startswith(".") for part in PurePosixPath(inside).parts)
    try:
        return dict(_members(path, lambda inside: visible(inside) and select(inside), report))
    except Exception as error:  # Readers of archives pass on any error of their parsers.
        raise UserError(f"{name}: {path} is truncated or damaged ({first_line(error)}); fetch it again") from None


def gunzip(content: bytes) -> bytes:
    """What a .gz file holds. Raises OSError, EOFError or zlib.error if it is damaged, and ValueError if it is too large."""
    with gzip.open(io.BytesIO(content)) as packed:
        return _Bounded(packed).read()


class _Bounded:
    """A stream that ends in a ValueError where it goes on for too long."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._left = _MOST

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(content)
        _check_size(_MOST - self._left)
        return content


def _check_size(size: int) -> None:
    if size > _MOST:
        raise ValueError(f"it unpacks to more than {_MOST / 1e9:g} GB")


def _members(path: Path, select: Callable[[str], bool], report: Report) -> Iterator[tuple[str, bytes]]:
    stage = "reading files"
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in sorted(path.rglob("*"))]
        for inside in track([inside for inside in names if select(inside)], stage, report):
            if (path / inside).is_file():
                yield inside, (path / inside).read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [inside for inside in archive.namelist() if select(inside) and not inside.endswith("/")]
            _check_size(sum(archive.getinfo(inside).file_size for inside in names))
            for inside in track(names, stage, report):
                yield inside, archive.read(inside)
    else:
        size = path.stat().st_size // 1_000_000
        with path.open("rb") as compressed, gzip.open(compressed) as packed:
            tar = tarfile.open(fileobj=cast(Any, _Bounded(packed)), mode="r|")  # noqa: SIM115
            for i, member in enumerate(tar):
                if select(member.name) and member.isfile():
                    yield member.name, tar.extractfile(member).read()  # type: ignore[union-attr]
                if i % 100 == 0:
                    report("reading the archive, MB", compressed.tell() // 1_000_000, size)

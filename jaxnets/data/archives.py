"""Finding and reading the files that publishers ship: folders, .zip and .tar.gz archives, plain text."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxnets.errors import UserError


def find(name: str, manual: Path, places: tuple[str, ...], url: str) -> Path:
    """The first of `places` that exists below `manual`. Raises UserError, which tells to fetch `url`, if none does."""
    for place in places:
        if (manual / place).exists():
            return manual / place
    raise UserError(f"{name}: {manual} holds none of {', '.join(places)}; fetch {url} into it")


def members(name: str, where: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The files of a folder or an archive whose path inside it is `wanted`, by that path.

    Raises UserError for an archive that is truncated, damaged or neither .zip nor .tar.gz.
    """
    try:
        return dict(_members(where, wanted))
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise UserError(f"{name}: {where} is truncated or damaged ({error}); fetch it again") from None


def _members(where: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    if where.is_dir():
        for path in sorted(where.rglob("*")):
            inside = path.relative_to(where).as_posix()
            if wanted(inside) and path.is_file():
                yield inside, path.read_bytes()
    elif zipfile.is_zipfile(where):
        with zipfile.ZipFile(where) as archive:
            for inside in archive.namelist():
                if wanted(inside) and not inside.endswith("/"):
                    yield inside, archive.read(inside)
    else:
        with tarfile.open(where, "r:gz") as archive:
            for member in archive:
                if wanted(member.name) and member.isfile():
                    yield member.name, archive.extractfile(member).read()  # type: ignore[union-attr]


def decode(name: str, where: str, content: bytes) -> str:
    """The text of a file in UTF-8. Raises UserError for another encoding and for a file without text."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: {where} is not UTF-8 text (byte {error.start}); convert it or fetch it again") from None
    if not text.strip():
        raise UserError(f"{name}: {where} is empty; fetch it again")
    return text


def lines(text: str) -> list[str]:
    """The lines of a text that hold anything. Only line feeds end them: sentences may contain Unicode's other line ends."""
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]

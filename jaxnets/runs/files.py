"""Files of a run: whole or absent when they are written, and checked when they are read."""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jaxnets.errors import UserError, first_line, remedy
from jaxnets.runs.shape import mismatch

SUMS = "SHA256SUMS"
"""The checksums of a run's files while nothing is trained, as `sha256sum` writes them."""


def content(folder: Path, name: str) -> bytes:
    """A file of a run. Raises UserError where it is missing, or is not what its checksum says."""
    with _reading(folder, name):
        found = (folder / name).read_bytes()
        _check(folder, name, hashlib.sha256(found).hexdigest())
    return found


def is_whole(folder: Path, name: str) -> bool:
    """Whether `content` would return a file, which is not held in memory."""
    try:
        with _reading(folder, name):
            _check(folder, name, checksum(folder / name))
    except UserError:
        return False
    return True


def checksum(path: Path) -> str:
    """The sha256 of a file, which is read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _reading(folder: Path, name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{folder} has no {name}; is it the folder of a finished run?") from None
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from None


def _check(folder: Path, name: str, found: str) -> None:
    sums = (folder / SUMS).read_text("ascii", "replace") if (folder / SUMS).exists() else ""
    expected = {file: digest for digest, _, file in (line.partition("  ") for line in sums.splitlines())}
    if expected and expected.get(name) != found:
        raise UserError(f"{folder / name} is damaged: it is not what the run wrote, by its checksum in {SUMS}")


def read_json(folder: Path, name: str, shape: Any, defaults: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """A JSON file, with `defaults` for fields that it lacks. Raises UserError as `content`, and for another shape."""
    try:
        value = json.loads(content(folder, name))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{folder / name} cannot be read: {first_line(error)}") from None
    value = {**defaults, **value} if isinstance(value, dict) else value
    if problem := mismatch(value, shape):
        raise UserError(f"{folder / name} does not hold what a run writes: {problem[:200]}")
    return value


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file."""
    replace(path, encode(value))


def replace(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name, then renames it: it is complete or absent, even after a power loss."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Surrounds work that writes to a run's folder. Raises UserError where the system refuses."""
    try:
        yield
    except OSError as error:
        raise cannot_write(folder, error) from error


def cannot_write(folder: Path, error: OSError) -> UserError:
    """The error to raise where a run cannot write."""
    return UserError(
        f"cannot write to {folder}: {error.strerror or error}; {remedy(error)} to resume from its last checkpoint"
    )


def encode(value: Any) -> bytes:
    """A JSON value as the content of a file."""
    return (json.dumps(finite(value), indent=1) + "\n").encode()


def finite(value: Any) -> Any:
    """JSON has no NaN or infinity: they become null."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

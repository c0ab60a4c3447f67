"""What readers of own data return, and the words of their errors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets.data import text_files
from jaxnets.data.store import Splits
from jaxnets.errors import UserError


class Content(NamedTuple):
    """A data set as it is read from own files."""

    splits: Splits
    meta: Mapping[str, Any]
    split_rule: str
    """How the splits came about, in a sentence for the record."""
    left_out: Sequence[str] = ()
    """What is not in the splits, an item for each reason: "unreadable files: 3 (a.txt, b.png, …)"."""


def refuse(path: Path | str, problem: str) -> UserError:
    """The error to raise for a source; `problem` says what is wrong and what to do."""
    return UserError(f"data.source {path}: {problem}")


def read_text(path: Path) -> str:
    """The text of a file, as `text_files.decode` returns it, without the byte order marks that `cat` leaves inside.

    Raises UserError for one that cannot be read.
    """
    return text_files.read("data.source", path).replace("\ufeff", "")

"""What readers of own data return, and the words of their errors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets.data import archives
from jaxnets.data.store import Splits
from jaxnets.errors import UserError

_NAMED = 3
"""Names of files or lines in a message, at most."""


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


def count(number: int, thing: str) -> str:
    """A number with its noun.

    >>> count(1, "picture"), count(2_000, "picture")
    ('1 picture', '2,000 pictures')
    """
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def some(names: Sequence[Any]) -> str:
    """The first few of several names.

    >>> some(["a", "b", "c", "d"])
    'a, b, c, …'
    """
    return ", ".join(map(str, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")


def left_out(groups: Mapping[str, Sequence[Any]]) -> list[str]:
    """`Content.left_out` for {reason: names}; reasons without names are dropped.

    >>> left_out({"empty lines": [3, 7], "unreadable files": []})
    ['empty lines: 2 (3, 7)']
    """
    return [f"{reason}: {len(names):,} ({some(names)})" for reason, names in groups.items() if names]


def read_text(path: Path) -> str:
    """The text of a file. Raises UserError for one that cannot be read, is empty, or is not UTF-8."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise refuse(path, f"cannot be read: {error.strerror}") from None
    return archives.decode("data.source", str(path), content)

"""The words of messages about data: numbers of things, the first few of many, what was left out."""

from collections.abc import Mapping, Sequence
from typing import Any

_NAMED = 3
"""Names of files or lines in a message, at most."""


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

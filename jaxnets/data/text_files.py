"""Text files as users and publishers have them, read in one way: UTF-8, byte order mark and kinds of line ends dropped."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxnets.errors import UserError


def read(name: str, path: Path) -> str:
    """The text of a file, as `decode` returns it. Raises UserError, which starts with `name`, if it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{name}: {path} cannot be read: {error.strerror}") from None
    return decode(name, str(path), content)


def decode(name: str, path: str, content: bytes) -> str:
    """The text of a file in UTF-8, without a byte order mark; lines end with a line feed, whatever ends them in the file.

    Raises UserError, which starts with the data set's or option's `name`, for another encoding and a file without text.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: {path} is not UTF-8 text (byte {error.start}); convert it or fetch it again") from None
    if not text.strip():
        raise UserError(f"{name}: {path} is empty; fetch it again")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def lines(text: str) -> list[str]:
    """The lines of a text that are not blank. Only line feeds end a line: texts may contain Unicode's other separators."""
    return [line for line in text.split("\n") if line.strip()]


LONGER = "further columns of lines"
"""What is left out of the lines of `Table.longer`, for `phrases.left_out`."""


class Table(NamedTuple):
    """The lines of a delimited text that are not blank."""

    rows: list[tuple[str, ...]]
    """The columns asked for, without spaces around them."""
    numbers: list[int]
    """Of the lines, counted from 1."""
    longer: list[int]
    """Numbers of the lines that have more columns, which are left out."""


def table(name: str, path: str, text: str, columns: Sequence[str]) -> Table:
    """Reads the first columns of a text that are separated by tabs; `columns` says what they hold.

    Raises UserError, which starts with `name` and names the first line and what it lacks, for a line with fewer.
    """
    numbered = [(number, line.split("\t")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, cells in numbered:
        if len(cells) < len(columns):
            lacking = columns[len(cells)]
            raise UserError(f"{name}: {path}, line {number}: no tab and no {lacking} after {cells[-1].strip()[:40]!r}")
    return Table(
        rows=[tuple(cell.strip() for cell in cells[: len(columns)]) for _, cells in numbered],
        numbers=[number for number, _ in numbered],
        longer=[number for number, cells in numbered if len(cells) > len(columns)],
    )

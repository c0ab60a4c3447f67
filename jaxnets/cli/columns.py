"""Rows of texts as lines of a terminal."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """The rows, all columns but the last padded to equal widths.

    >>> print(aligned([("SET", "FOR"), ("mnist", "digits")]))
    SET    FOR
    mnist  digits
    """
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    lines = [[*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]] for row in rows]
    return "\n".join("  ".join(line) for line in lines)

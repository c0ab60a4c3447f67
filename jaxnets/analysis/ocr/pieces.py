"""Pieces of ink on a page."""

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Box(NamedTuple):
    """Pixels in rows [top, bottom) and columns [left, right)."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def longer(self) -> int:
        """The longer side."""
        return max(self.height, self.width)


class Letter(NamedTuple):
    """The ink of one letter, without that of its neighbors."""

    box: Box
    ink: Array
    """bool [height, width]."""

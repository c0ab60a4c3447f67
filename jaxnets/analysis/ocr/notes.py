"""What the reader of a page's text should know about it."""

from jaxnets.analysis.ocr.binarize import Page
from jaxnets.analysis.ocr.read import DOUBTFUL, Reading
from jaxnets.data.phrases import count

_MANY = 1 / 3
"""Share of doubtful characters that is worth a word."""
_MUCH = 0.1
"""Share of ink left out that is worth a word."""
_TURNS = {1: "90 degrees counterclockwise", 2: "180 degrees", 3: "90 degrees clockwise"}


def notes(page: Page, reading: Reading) -> list[str]:
    """A line each for a page that lies the wrong way, many doubtful characters, ink that was not read, further sheets."""
    lines = []
    characters = list(reading.characters())
    doubtful = sum(one.probability < DOUBTFUL for one in characters)
    if reading.turn:
        lines.append(f"the page seems to lie the wrong way up; turn it by {_TURNS[reading.turn]}")
    elif doubtful > _MANY * len(characters):
        lines.append(f"{doubtful} of {len(characters)} characters are doubtful; letters may touch or be unknown")
    if reading.left_over:
        box, (height, width) = reading.left_over[0], page.ink.shape
        lines.append(
            f"not read, because no letter looks so: {count(len(reading.left_over), 'piece')} of ink"
            f"{_share(page, reading)}, the largest "
            f"{box.width}×{box.height} pixels at column {box.left} and row {box.top} of {width}×{height}"
        )
    if page.at_edge > _MUCH:
        lines.append(
            f"not read, because it touches the border of the picture: {100 * page.at_edge:.0f} % of what is dark; "
            "if letters are missing, cut the picture closer or leave more room around them"
        )
    if page.sheets > 1:
        lines.append(f"the file has {page.sheets} sheets; choose with --sheet")
    return lines


def _share(page: Page, reading: Reading) -> str:
    boxes = [page.ink[box.top : box.bottom, box.left : box.right].sum() for box in reading.left_over]
    return f", {100 * min(1.0, sum(boxes) / page.ink.sum()):.0f} % of all"

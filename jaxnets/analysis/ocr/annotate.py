"""An image of the page with each letter framed and labeled as it was read."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxnets.analysis.ocr.read import DOUBTFUL, Character, Reading

_SURE, _DOUBTFUL = "#0072B2", "#D55E00"  # Of Okabe and Ito's palette, which color-blind readers can tell apart.


def annotate(picture: np.ndarray, reading: Reading) -> Image.Image:
    """The page, uint8 [H, W, 3], with a frame around each letter, the character read above it, and a legend below."""
    characters = list(reading.characters())
    letter_height = np.median([one.box.height for one in characters]) if characters else 32
    label, small = max(12, min(48, round(0.4 * letter_height))), max(12, round(picture.shape[1] / 70))
    room, strip = round(1.4 * label), 2 * small
    height, width = picture.shape[:2]
    annotated = Image.new("RGB", (width, room + height + strip), "white")
    annotated.paste(Image.fromarray(picture), (0, room))  # Room above for the labels of the topmost line.
    draw = ImageDraw.Draw(annotated)
    for one in characters:
        _mark(draw, one, room, label)
    font, at = ImageFont.load_default(small), (small, room + height + strip / 2)
    for color, text in (
        (_SURE, f"{len(characters)} characters read"),
        (_DOUBTFUL, f"dashed: doubtful, below {100 * DOUBTFUL:.0f} %"),
    ):
        draw.text(at, text, color, font, anchor="lm")
        at = (draw.textbbox(at, text, font, anchor="lm")[2] + 2 * small, at[1])
    return annotated


def _mark(draw: ImageDraw.ImageDraw, one: Character, down: int, size: int) -> None:
    font, thick = ImageFont.load_default(size), max(2, round(size / 12))
    top, left, bottom, right = (side + shift for side, shift in zip(one.box, (down, 0, down, 0), strict=True))
    frame = (left - 2 * thick, top - 2 * thick, right + 2 * thick, bottom + 2 * thick)
    sure = one.probability >= DOUBTFUL
    if sure:
        draw.rectangle(frame, outline=_SURE, width=thick)
    else:
        _dashed(draw, frame, thick)
    at = ((left + right) / 2, frame[1] - thick)
    box = draw.textbbox(at, one.name, font, anchor="mb")
    draw.rectangle((box[0] - thick, box[1] - thick, box[2] + thick, box[3] + thick), fill="white")
    draw.text(at, one.name, _SURE if sure else _DOUBTFUL, font, anchor="mb")


def _dashed(draw: ImageDraw.ImageDraw, frame: tuple[int, int, int, int], thick: int) -> None:
    left, top, right, bottom = frame
    dash = 4 * thick
    for start in range(left, right, 2 * dash):
        for y in (top, bottom):
            draw.line((start, y, min(start + dash, right), y), _DOUBTFUL, thick)
    for start in range(top, bottom, 2 * dash):
        for x in (left, right):
            draw.line((x, start, x, min(start + dash, bottom)), _DOUBTFUL, thick)

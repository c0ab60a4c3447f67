"""Decoding and resizing of picture files, and the check for unreadable ones."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from jaxnets.config.fields import can_exist
from jaxnets.errors import UserError


def decode(content: bytes) -> np.ndarray | None:
    """The pixels of a picture file, uint8 [H, W, 3]; None if it cannot be read.

    The format follows from the content, not from the file's name. Gray pictures get three equal channels, palettes are
    resolved, and transparent pixels become white.
    """
    try:
        with Image.open(io.BytesIO(content)) as file:
            return np.asarray(on_white(file))
    except Exception:  # Pillow's readers of formats pass on any error.
        return None


def decode_oriented(content: bytes) -> np.ndarray | None:
    """The pixels of a photograph or scan, upright as its EXIF data say: uint8 [H, W, 3], or [H, W] for a gray one.

    None if it cannot be read. 16-bit grays keep their upper 8 bits.
    """
    try:
        with Image.open(io.BytesIO(content)) as file:
            upright = ImageOps.exif_transpose(file)
            if upright.mode in ("1", "L") and not upright.has_transparency_data:
                return np.asarray(upright.convert("L"))
            if upright.mode.startswith("I"):
                values = np.asarray(upright).astype(np.int64)
                return np.clip(values >> 8 if values.max() > 255 else values, 0, 255).astype(np.uint8)
            return np.asarray(on_white(upright))
    except Exception:  # Pillow's readers of formats pass on any error.
        return None


def on_white(picture: Image.Image) -> Image.Image:
    """A picture of any mode in RGB; transparent pixels become white."""
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return picture.convert("RGB")


def center_square(pixels: np.ndarray, shorter: int, side: int) -> np.ndarray:
    """Brings the shorter side to `shorter` pixels, then cuts out the middle: uint8 [H, W, 3] -> [side, side, 3].

    Gray pictures [H, W] become [side, side].

    Pillow's bilinear filter, which averages over all source pixels where the picture shrinks.
    """
    height, width = pixels.shape[:2]
    scale = shorter / min(height, width)
    size = max(side, round(width * scale)), max(side, round(height * scale))
    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    top, left = ((length - side) // 2 for length in resized.shape[:2])
    return resized[top : top + side, left : left + side]


def read_as(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """A picture file as a net of images takes it: its middle square at the net's size, gray or in color, uint8 `shape`.

    Raises UserError for a file that is not there or not a picture.
    """
    if not can_exist(path):
        raise UserError(f"cannot read the picture {str(path)[:200]}: no file can have this path")
    try:
        pixels = decode_oriented(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read the picture {path}: {error.strerror}") from error
    if pixels is None:
        raise UserError(f"{path} is not a picture, or it is damaged")
    height, width, channels = shape
    fitted = ImageOps.fit(
        Image.fromarray(pixels).convert("L" if channels == 1 else "RGB"), (width, height), Image.Resampling.BILINEAR
    )
    return np.asarray(fitted).reshape(shape)


def check_broken(name: str, broken: Sequence[str], total: int, max_share: float, advice: str) -> None:
    """Raises UserError, which names some of the `broken` files, if they are more than `max_share` of `total`."""
    if len(broken) > max_share * total:
        some = ", ".join(broken[:3]) + (", …" if len(broken) > 3 else "")
        raise UserError(f"{name}: {len(broken):,} of {total:,} images are truncated or damaged ({some}); {advice}")

"""Picture files to pixels, and what is done about files that cannot be read."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from jaxnets.errors import UserError


def decode(content: bytes) -> np.ndarray | None:
    """The pixels of a picture file, uint8 [H, W, 3]; None if it cannot be read.

    The content decides what format it is, whatever the file is called. Gray pictures get three equal channels, palettes are
    looked up, and what is transparent is seen on white.
    """
    try:
        with Image.open(io.BytesIO(content)) as file:
            return np.asarray(on_white(file))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def on_white(picture: Image.Image) -> Image.Image:
    """A picture of any mode in colors; what is transparent becomes white."""
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return picture.convert("RGB")


def center_square(pixels: np.ndarray, shorter: int, side: int) -> np.ndarray:
    """Brings the shorter side to `shorter` pixels, then cuts out the middle: uint8 [H, W, 3] -> [side, side, 3].

    Bilinear, over as many pixels as fall together where the picture gets smaller.
    """
    height, width = pixels.shape[:2]
    scale = shorter / min(height, width)
    size = max(side, round(width * scale)), max(side, round(height * scale))
    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    top, left = ((have - side) // 2 for have in resized.shape[:2])
    return resized[top : top + side, left : left + side]


def check_broken(name: str, broken: Sequence[str], total: int, most: float, advice: str) -> None:
    """Raises UserError, which names some, if more than a share `most` of `total` pictures are broken."""
    if len(broken) > most * total:
        some = ", ".join(broken[:3]) + (", …" if len(broken) > 3 else "")
        raise UserError(f"{name}: {len(broken):,} of {total:,} images are truncated or damaged ({some}); {advice}")

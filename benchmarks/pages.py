"""Pages of print whose every letter is known, drawn from matplotlib's DejaVu fonts, to judge the reader of pages.

The pages of a seed are always the same. Their ranges were written down before any of them was read, and are not to be
fitted to what the reader can do; judge a change of it by a seed that was not looked at before.
"""

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Array = np.ndarray

_FONTS = {
    "sans": ("Sans", "Sans-Bold", "Sans-Oblique", "Sans-BoldOblique"),
    "mono": ("SansMono", "SansMono-Bold", "SansMono-Oblique", "SansMono-BoldOblique"),
    "serif": ("Serif", "Serif-Bold", "Serif-Italic", "Serif-BoldItalic"),
}
_SIZES = ((1240, 1754), (1754, 1240), (1000, 700), (2400, 1600))
_PAPERS = ("plain", "ruled", "squared", "margin")
_WORDS = (
    "A THE OF BOX JUMPS QUICK ZEBRA VIXEN LAZY DWARF PACK MY WITH FIVE DOZEN LIQUOR JUGS SPHINX BLACK QUARTZ JUDGE VOW "
    "HOW VEXINGLY DAFT AMAZED BRIGHT COPPER WINDOW YELLOW KAYAK MARGIN OXYGEN PUZZLE RHYTHM SILVER THUNDER UMBRELLA I IN TO"
).split()


class DrawnPage(NamedTuple):
    """A page and what is on it."""

    picture: Image.Image
    """RGB."""
    letters: Array
    """int32 [H, W]: the number of the letter whose ink a pixel is, from 1 in reading order; 0 elsewhere."""
    text: str
    """Its lines, with single spaces between words."""
    settings: dict[str, Any]
    """How it was drawn."""


def draw(seed: int, number: int) -> DrawnPage:
    """Page `number` of those of a seed."""
    rng = np.random.default_rng([seed, number])
    chosen = _settings(rng, number)
    width, height = chosen["size"]
    em = chosen["em"] * max(width, height)
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVu{chosen['font']}.ttf"
    font = ImageFont.truetype(str(path), round(em))
    pitch, left = chosen["line"] * em, 0.08 * width
    ink, letters, lines = np.zeros((height, width), np.float32), np.zeros((height, width), np.int32), []
    baseline = 0.09 * height + em
    while baseline < 0.92 * height and len(lines) < 12:
        words = _words(rng, font, chosen, 0.84 * width)
        first = 1 + sum(len(word) for line in lines for word in line)
        _draw_line(ink, letters, words, first, (left, baseline), font, chosen)
        lines.append(words)
        baseline += pitch
    rules = _rules(rng, (height, width), pitch, 0.09 * height + em, chosen)
    turned = [_turn(layer, chosen["rotation"], Image.Resampling.BICUBIC) for layer in (ink, rules)]
    picture = _photograph(rng, *turned, chosen)
    text = "\n".join(" ".join(words) for words in lines)
    return DrawnPage(picture, _turn(letters, chosen["rotation"], Image.Resampling.NEAREST), text, chosen)


def _settings(rng: np.random.Generator, number: int) -> dict[str, Any]:
    """Families and papers in turn, all else at random."""
    family, paper = list(_FONTS)[number % 3], _PAPERS[number // 3 % 4]
    return {
        "family": family,
        "font": str(rng.choice(_FONTS[family])),
        "paper": paper,
        "size": _SIZES[rng.integers(len(_SIZES))],
        "em": float(rng.uniform(0.018, 0.05)),  # Of the longer side: capitals of 16 to 73 pixels where it has 2000.
        "line": float(rng.uniform(1.35, 2.2)),  # In ems, as the next two.
        "tracking": float(rng.choice([0.0, rng.uniform(0, 0.15)])),
        "space": float(rng.uniform(0.32, 0.6)),
        "slant": float(rng.uniform(-0.2, 0.2)),
        "weight": int(rng.integers(-1, 3)),  # Pixels by which strokes are thicker, or thinner.
        "ink": float(rng.uniform(0.05, 0.45)),
        "ground": float(rng.uniform(0.75, 1.0)),
        "inverted": bool(rng.uniform() < 0.1),
        "rule": float(rng.uniform(0.1, 0.5)) if paper != "plain" else 0.0,  # Fraction by which rules are darker than paper.
        "rotation": float(rng.uniform(-2, 2)),
        "gradient": float(rng.uniform(0, 0.4)),
        "blur": float(rng.choice([0.0, rng.uniform(0.3, 1.5)])),
        "noise": float(rng.uniform(0, 0.05)),
        "specks": int(rng.choice([0, rng.integers(1, 30)])),
    }


def _words(rng: np.random.Generator, font: ImageFont.FreeTypeFont, chosen: dict[str, Any], room: float) -> list[str]:
    """Two to five words or numbers, as far as there is room; at least one."""
    words: list[str] = []
    for _ in range(rng.integers(2, 6)):
        word = str(rng.integers(0, 10 ** rng.integers(1, 5))) if rng.uniform() < 0.15 else str(rng.choice(_WORDS))
        if words and _advance(font, [*words, word], chosen) > room:
            break
        words.append(word)
    return words


def _advance(font: ImageFont.FreeTypeFont, words: list[str], chosen: dict[str, Any]) -> float:
    em = font.size
    within = sum(font.getlength(word) + chosen["tracking"] * em * len(word) for word in words)
    return within + chosen["space"] * em * max(0, len(words) - 1)


def _draw_line(
    ink: Array,
    letters: Array,
    words: list[str],
    first: int,
    at: tuple[float, float],
    font: ImageFont.FreeTypeFont,
    chosen: dict[str, Any],
) -> None:
    """Draws words on a baseline, letter by letter with the font's kerning."""
    em, (left, baseline), number = font.size, at, first
    for i, word in enumerate(words):
        start = left + _advance(font, words[:i], chosen) + (chosen["space"] * em if i else 0)
        for k, letter in enumerate(word):
            x = start + font.getlength(word[: k + 1]) - font.getlength(letter) + chosen["tracking"] * em * k
            _draw_letter(ink, letters, number, letter, (round(x), round(baseline)), font, chosen)
            number += 1


def _draw_letter(
    ink: Array,
    letters: Array,
    number: int,
    letter: str,
    at: tuple[int, int],
    font: ImageFont.FreeTypeFont,
    chosen: dict[str, Any],
) -> None:
    em = round(font.size)
    tile = Image.new("L", (3 * em, 2 * em))
    # The pen is at column em; the baseline is row 1.4 em, about which letters slant.
    base = round(1.4 * em)
    ImageDraw.Draw(tile).text((em, base), letter, 255, font, "ls", stroke_width=max(0, chosen["weight"]))
    if chosen["weight"] < 0 and em > 40:
        tile = tile.filter(ImageFilter.MinFilter(3))
    slant = chosen["slant"]
    tile = tile.transform(tile.size, Image.Transform.AFFINE, (1, slant, -slant * base, 0, 1, 0), Image.Resampling.BICUBIC)
    layer = np.asarray(tile, np.float32) / 255
    top, left = at[1] - base, at[0] - em
    rows, columns = slice(max(0, top), top + 2 * em), slice(max(0, left), left + 3 * em)
    part = layer[max(0, -top) :, max(0, -left) :][: ink[rows, columns].shape[0], : ink[rows, columns].shape[1]]
    own = (part > 0.5) & (part >= ink[rows, columns])
    letters[rows, columns][own] = number
    ink[rows, columns] = np.maximum(ink[rows, columns], part)


def _rules(rng: np.random.Generator, shape: tuple[int, int], pitch: float, baseline: float, chosen: dict[str, Any]) -> Array:
    """Lines of the paper [H, W] in 0..1, at the feet of the letters or anywhere."""
    height, width = shape
    rules, thick = np.zeros(shape, np.float32), max(1, round(max(shape) / 900))
    if chosen["paper"] == "plain":
        return rules
    step = pitch if chosen["paper"] != "squared" else pitch / 2
    offset = baseline if rng.uniform() < 0.5 else rng.uniform(0, step)
    for y in np.arange(offset % step, height - thick, step):
        rules[round(y) : round(y) + thick] = 1
    if chosen["paper"] == "squared":
        for x in np.arange(rng.uniform(0, step), width - thick, step):
            rules[:, round(x) : round(x) + thick] = 1
    if chosen["paper"] == "margin":
        x = round(0.06 * width)
        rules[:, x : x + thick] = 1
    return rules


def _turn(layer: Array, degrees: float, resampling: Image.Resampling) -> Array:
    return np.asarray(Image.fromarray(layer).rotate(degrees, resampling))


def _photograph(rng: np.random.Generator, ink: Array, rules: Array, chosen: dict[str, Any]) -> Image.Image:
    """Ink and rules on paper, under uneven light, out of focus and with noise."""
    height, width = ink.shape
    y, x = np.mgrid[:height, :width] / (max(height, width) - 1)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * x + np.sin(angle) * y
    light = 1 - chosen["gradient"] * (slope - slope.min()) / np.ptp(slope)
    ground, dark = chosen["ground"], chosen["ink"] * chosen["ground"]
    color = np.array([0.9, 1.0, 1.2]) if chosen["paper"] != "margin" else np.array([0.8, 1.2, 1.1])
    paper = ground * (1 - chosen["rule"] * np.clip(rules, 0, 1)[..., None] * color / color.max())
    cover = np.clip(ink, 0, 1)[..., None]
    page = paper * (1 - cover) + dark * cover
    page = (1.05 - page if chosen["inverted"] else page) * light[..., None]
    for _ in range(chosen["specks"]):
        row, column, side = rng.integers(height), rng.integers(width), rng.integers(1, 4)
        page[row : row + side, column : column + side] = 0.5 * page.mean()
    page = page + rng.normal(0, chosen["noise"], page.shape[:2])[..., None]
    picture = Image.fromarray((255 * page.clip(0, 1)).round().astype(np.uint8))
    return picture.filter(ImageFilter.GaussianBlur(chosen["blur"])) if chosen["blur"] else picture

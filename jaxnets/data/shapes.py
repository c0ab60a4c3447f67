"""shapes10 and shapes200: drawn shapes in color, stand-ins for CIFAR-10 and Tiny ImageNet that need no download.

Every image is one shape in one color on a shaded, textured background, at a random place, size and angle, partly covered by
a bar, with noise over all. A linear classifier does poorly on it; a small convolutional network does well. The ten classes
of shapes10 are shapes in any color. The 200 classes of shapes200 are shapes in one of twenty hues; its pixels are doubled,
to 64×64, and like Tiny ImageNet it has no test split. Drawing takes a few seconds.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from jaxnets.data import store
from jaxnets.data.dataset_builder import DatasetBuilder, labeled_images
from jaxnets.data.progress import Report, silent, track
from jaxnets.data.store import Prepared

Array = np.ndarray

_SIZE, _HUES = 32, 20
_SIZES_10 = {"train": 10_000, "validation": 2_000, "test": 2_000}
_SIZES_200 = {"train": 10_000, "validation": 2_000}


def prepare_10(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Draws shapes10; `manual_dir` is not needed."""
    del manual_dir
    return store.images(_draw_splits(10, _SIZES_10, report), CLASS_NAMES)


def prepare_200(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Draws shapes200; `manual_dir` is not needed."""
    del manual_dir
    splits = _draw_splits(200, _SIZES_200, report, hues=_HUES)
    for fields in splits.values():
        fields["image"] = fields["image"].repeat(2, axis=1).repeat(2, axis=2)
    return store.images(splits, CLASS_NAMES_200)


def _draw_splits(seed: int, sizes: Mapping[str, int], report: Report, hues: int = 0) -> dict[str, dict[str, Array]]:
    rng = np.random.default_rng(seed)
    return {split: draw(rng, sizes[split], hues) for split in track(list(sizes), "drawing splits", report, every=1)}


def draw(rng: np.random.Generator, examples: int, hues: int = 0) -> dict[str, Array]:
    """{"image": uint8 [examples, 32, 32, 3], "label": int32 [examples]}, classes in equal shares, in random order.

    With `hues`, a class is a shape in one of that many hues; without, a shape in any color.
    """
    labels = rng.permutation(np.arange(examples) % (len(_SHAPES) * max(1, hues))).astype(np.int32)
    angle = rng.uniform(-np.pi / 6, np.pi / 6, examples)
    radius = rng.uniform(9, 14, examples)
    x, y = _shape_frame(rng, angle, radius, examples)
    distance = np.empty_like(x)
    for label, shape in enumerate(_SHAPES.values()):
        chosen = labels % len(_SHAPES) == label
        distance[chosen] = shape(x[chosen], y[chosen])
    cover = _opacity(distance * radius[:, None, None])[..., None]

    background = _background(rng, examples)
    color = _hue(rng, labels // len(_SHAPES) / hues) if hues else _far_color(rng, background.mean((1, 2)))
    color = color[:, None, None]
    image = background * (1 - cover) + color * cover
    bar, bar_color = _bar(rng, examples)
    image = image * (1 - bar) + bar_color * bar
    image = image + rng.normal(0, 1, image.shape) * rng.uniform(0.02, 0.08, (examples, 1, 1, 1))
    return {"image": np.round(np.clip(image, 0, 1) * 255).astype(np.uint8), "label": labels}


# ----------------------------------------------------------------------------------------------------------------------
# Shapes: approximate signed distances to the outline, in units of the shape's radius; negative inside.


def _disc(x: Array, y: Array) -> Array:
    return np.hypot(x, y) - 0.85


def _ring(x: Array, y: Array) -> Array:
    return np.abs(np.hypot(x, y) - 0.7) - 0.2


def _half_disc(x: Array, y: Array) -> Array:
    return np.maximum(np.hypot(x, y + 0.4) - 1, -(y + 0.4))


def _crescent(x: Array, y: Array) -> Array:
    return np.maximum(np.hypot(x, y) - 0.95, 0.75 - np.hypot(x - 0.5, y))


def _polygon(sides: int, inradius: float) -> Callable[[Array, Array], Array]:
    normals = 2 * np.pi * np.arange(sides) / sides

    def distance(x: Array, y: Array) -> Array:
        return np.max([x * np.cos(t) + y * np.sin(t) for t in normals], axis=0) - inradius

    return distance


def _star(x: Array, y: Array) -> Array:
    # Five points: fold the plane onto one sector, then measure to the line from a tip to the notch beside it.
    sector = 2 * np.pi / 5
    angle = np.abs((np.arctan2(y, x) + sector / 2) % sector - sector / 2)
    along, across = np.hypot(x, y) * np.cos(angle), np.hypot(x, y) * np.sin(angle)
    tip, notch = np.array([1.05, 0.0]), 0.42 * np.array([np.cos(sector / 2), np.sin(sector / 2)])
    edge = notch - tip
    return ((along - tip[0]) * -edge[1] + (across - tip[1]) * edge[0]) / -np.hypot(*edge)


def _cross(x: Array, y: Array) -> Array:
    arm = lambda a, b: np.maximum(np.abs(a) - 0.95, np.abs(b) - 0.28)
    return np.minimum(arm(x, y), arm(y, x))


def _arrow(x: Array, y: Array) -> Array:
    shaft = np.maximum(np.abs(x + 0.35) - 0.6, np.abs(y) - 0.2)
    head = np.maximum(-x + 0.1, x + np.abs(y) - 1.0)
    return np.minimum(shaft, head)


def _two_bars(x: Array, y: Array) -> Array:
    return np.maximum(np.abs(np.abs(y) - 0.5) - 0.22, np.abs(x) - 0.9)


_SHAPES: dict[str, Callable[[Array, Array], Array]] = {
    "disc": _disc,
    "ring": _ring,
    "half disc": _half_disc,
    "crescent": _crescent,
    "triangle": _polygon(3, 0.5),
    "square": _polygon(4, 0.7),
    "star": _star,
    "cross": _cross,
    "arrow": _arrow,
    "two bars": _two_bars,
}
CLASS_NAMES = tuple(_SHAPES)
CLASS_NAMES_200 = tuple(f"{shape} {hue}" for hue in range(_HUES) for shape in CLASS_NAMES)

SETS = (
    DatasetBuilder(
        name="shapes10",
        description="14,000 color images of 32×32 pixels in 10 classes of shapes",
        prepare=prepare_10,
        sizes=_SIZES_10,
        contents=labeled_images(CLASS_NAMES, (_SIZE, _SIZE, 3)),
    ),
    DatasetBuilder(
        name="shapes200",
        description="12,000 color images of 64×64 pixels in 200 classes of shapes and hues",
        prepare=prepare_200,
        sizes=_SIZES_200,
        contents=labeled_images(CLASS_NAMES_200, (2 * _SIZE, 2 * _SIZE, 3)),
    ),
)


# ----------------------------------------------------------------------------------------------------------------------
# Scenery


def _shape_frame(rng: np.random.Generator, angle: Array, radius: Array, n: int) -> tuple[Array, Array]:
    """Pixel coordinates [n, 32, 32] turned into each shape's own frame."""
    room = (_SIZE / 2 - radius)[:, None]
    center = _SIZE / 2 - 0.5 + rng.uniform(-1, 1, (n, 2)) * room
    rows, columns = np.mgrid[:_SIZE, :_SIZE]
    dy, dx = (grid - at[:, None, None] for grid, at in zip((rows, columns), center.T, strict=True))
    sin, cos = (f(angle)[:, None, None] / radius[:, None, None] for f in (np.sin, np.cos))
    return dx * cos + dy * sin, dy * cos - dx * sin


def _opacity(distance: Array) -> Array:
    """1 inside, 0 outside, a ramp one pixel wide on the outline."""
    return np.clip(0.5 - distance, 0, 1)


def _background(rng: np.random.Generator, n: int) -> Array:
    """A color gradient plus blotches, which are noise on an 8×8 grid enlarged smoothly: [n, 32, 32, 3]."""
    corners = rng.uniform(0, 1, (n, 2, 2, 3))
    blotches = rng.normal(0, 1, (n, 8, 8, 1)) * rng.uniform(0, 0.12, (n, 1, 1, 1))
    return enlarge(corners * 0.4 + 0.6 * corners[:, :1, :1]) + enlarge(blotches)


def enlarge(grid: Array, size: int = _SIZE) -> Array:
    """Bilinear interpolation of [n, k, k, c] to [n, size, size, c]."""
    at = np.linspace(0, grid.shape[1] - 1, size)
    weights = np.clip(1 - np.abs(at[:, None] - np.arange(grid.shape[1])), 0, 1)
    return np.einsum("ik,nklc,jl->nijc", weights, grid, weights, optimize=True)


def _far_color(rng: np.random.Generator, other: Array) -> Array:
    """Random colors [n, 3] in 0..1 that differ enough from `other` [n, 3] to be seen."""
    candidates = rng.uniform(0, 1, (4, *other.shape))
    distance = np.linalg.norm(candidates - other, axis=-1)
    return candidates[distance.argmax(0), np.arange(len(other))]


def _hue(rng: np.random.Generator, hue: Array) -> Array:
    """Colors [n, 3] in 0..1 of given hues [n] in [0, 1), of random brightness and paleness."""
    n = len(hue)
    bright, pale = rng.uniform(0.6, 1, (n, 1)), rng.uniform(0, 0.4, (n, 1))
    pure = np.clip(np.abs((6 * hue[:, None] + [0, 4, 2]) % 6 - 3) - 1, 0, 1)
    return bright * (pale + (1 - pale) * pure)


def _bar(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """A straight bar across three quarters of the images: opacity [n, 32, 32, 1] and color [n, 1, 1, 3]."""
    rows, columns = np.mgrid[:_SIZE, :_SIZE]
    angle, offset = rng.uniform(0, np.pi, n), rng.uniform(-9, 9, n)
    width = rng.uniform(1, 3, n) * (rng.uniform(size=n) < 0.75)
    across = (columns - 15.5) * np.cos(angle)[:, None, None] + (rows - 15.5) * np.sin(angle)[:, None, None]
    opacity = _opacity(np.abs(across - offset[:, None, None]) - width[:, None, None] / 2)
    return (opacity * (width > 0)[:, None, None])[..., None], rng.uniform(0, 1, (n, 1, 1, 3))

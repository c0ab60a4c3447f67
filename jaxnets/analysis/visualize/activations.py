"""The distribution of each channel's activations over images and positions (report S3 Q1)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Features = Callable[[Array], dict[str, Array]]


class Statistics(NamedTuple):
    """The distribution of one layer's activations, over all images and positions."""

    mean: np.ndarray
    """By channel, [C]."""
    std: np.ndarray
    """By channel, [C]."""
    edges: np.ndarray
    """Edges of the histograms' bins, [bins + 1], from the layer's smallest value to its largest."""
    counts: np.ndarray
    """Histograms by channel, [C, bins]."""


def statistics(
    features: Features, layers: tuple[str, ...], images: Array, bins: int = 60, batch: int = 100
) -> dict[str, Statistics]:
    """Mean, standard deviation and histogram of each channel of some layers, over images [N, H, W, C] and positions.

    `features` maps images to outputs [N, …, channels] by layer. Each batch is computed twice, for the range and for the
    histograms, so that the outputs of only one batch are in memory.
    """

    @jax.jit
    def moments(images: Array) -> dict[str, tuple[Array, ...]]:
        return {name: _moments(features(images)[name]) for name in layers}

    @jax.jit
    def histograms(images: Array, ranges: dict[str, tuple[Array, Array]]) -> dict[str, Array]:
        maps = features(images)
        return {name: _histograms(maps[name], *ranges[name], bins) for name in layers}

    pieces = list(_batches(images, batch))
    weights = np.array([len(piece) for piece in pieces]) / len(images)
    parts = [jax.device_get(moments(piece)) for piece in pieces]
    means_stds, ranges = {}, {}
    for name in layers:
        means, variances, low, high = (np.array(column, float) for column in zip(*(p[name] for p in parts), strict=True))
        mean = weights @ means
        means_stds[name] = mean, np.sqrt(weights @ (variances + (means - mean) ** 2))
        ranges[name] = jnp.float32(low.min()), jnp.float32(high.max())
    counts = [jax.device_get(histograms(piece, ranges)) for piece in pieces]
    totals = {name: np.sum([part[name] for part in counts], axis=0) for name in layers}
    edges = {name: np.linspace(float(low), float(high), bins + 1) for name, (low, high) in ranges.items()}
    return {name: Statistics(*means_stds[name], edges[name], totals[name]) for name in layers}


def _batches(images: Array, size: int) -> Iterator[Array]:
    for start in range(0, len(images), size):
        yield images[start : start + size]


def _moments(maps: Array) -> tuple[Array, Array, Array, Array]:
    """(mean [C], variance [C], smallest value, largest value)."""
    flat = maps.reshape(-1, maps.shape[-1])
    return flat.mean(0), flat.var(0), flat.min(), flat.max()


def _histograms(maps: Array, low: Array, high: Array, bins: int) -> Array:
    """Counts [C, bins]; the last bin includes its right edge, as in NumPy."""
    columns = maps.reshape(-1, maps.shape[-1]).T
    width = jnp.where(high > low, high - low, 1.0)
    number = jnp.clip((bins * (columns - low) / width).astype(jnp.int32), 0, bins - 1)
    return jax.vmap(lambda values: jnp.bincount(values, length=bins))(number)

"""A dictionary of visual words: the centers that k-means finds among descriptors."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array


def nearest(points: Array, centers: Array) -> Array:
    """The number of the nearest center of each point: [..., D], [K, D] -> int32 [...]; the first where they tie."""
    # |p|² is the same for all centers.
    distance = jnp.sum(centers**2, axis=-1).reshape(1, -1) - 2 * (points.reshape(-1, points.shape[-1]) @ centers.T)
    return jnp.argmin(distance, axis=-1).reshape(points.shape[:-1]).astype(jnp.int32)


@functools.partial(jax.jit, static_argnames=("words", "iterations"))
def learn(key: Array, points: Array, words: int, iterations: int) -> Array:
    """Centers [words, D] for points [N, D], by Lloyd's algorithm from k-means++ seeds (Arthur and Vassilvitskii 2007).

    The sum of squared distances to the nearest center never rises from one iteration to the next. A center that is nearest
    to no point stays where it is.
    """

    def improve(centers: Array, _: None) -> tuple[Array, None]:
        numbers = nearest(points, centers)
        counts = jnp.zeros(words).at[numbers].add(1)
        sums = jnp.zeros_like(centers).at[numbers].add(points)
        means = sums / jnp.maximum(counts, 1).reshape(-1, 1)
        return jnp.where(counts.reshape(-1, 1) > 0, means, centers), None

    return lax.scan(improve, _seeds(key, points, words), None, length=iterations)[0]


def _seeds(key: Array, points: Array, words: int) -> Array:
    """Points [words, D], each drawn with a chance in proportion to its squared distance from those drawn before."""

    def draw(distance: Array, key: Array) -> tuple[Array, Array]:
        # Where every point is a seed already, distances are all 0, and any point is as good.
        seed = points[jax.random.categorical(key, jnp.log(distance + 1e-12))]
        return jnp.minimum(distance, jnp.sum((points - seed.reshape(1, -1)) ** 2, axis=-1)), seed

    # The first is drawn at an even chance.
    return lax.scan(draw, jnp.full(points.shape[0], 1e6), jax.random.split(key, words))[1]

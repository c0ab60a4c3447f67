"""Images that maximize a channel or a class: regularized gradient ascent in image space (Erhan et al. 2009)."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
Score = Callable[[Array, Array], Array]
"""(images [N, H, W, C] with pixels in [0, 1], a channel for each, [N]) -> activations [N]."""
_GRAY, _NOISE = 0.5, 0.05


class Ascent(NamedTuple):
    """The hyperparameters of gradient ascent. A step adds to each pixel

        rate · (g / rms(g) − decay · (x − 1/2) − variation · v),

    where g is the gradient of the activation and v that of half the squared differences of neighbors. Dividing g by its root
    mean square over the image makes the penalties comparable between layers. The rate decays linearly to 0.
    """

    steps: int = 200
    rate: float = 0.05
    decay: float = 1.0
    """Strength of the L2 penalty, which pulls pixels towards mid-gray."""
    variation: float = 1.0
    """Strength of the penalty on differences between neighboring pixels, which smooths the image."""
    jitter: int = 2
    """Before each step the image is shifted by up to this many pixels, cyclically, so that no pixel is special."""


class Maximum(NamedTuple):
    """The results of N ascents."""

    image: Array
    """[N, H, W, C], pixels in [0, 1]."""
    activation: Array
    """The activation of these images, without penalties and jitter, [N]."""
    start: Array
    """The activation of the initial noise, [N]."""


def mean_activation(layer: Callable[[Array], Array]) -> Score:
    """The mean of a channel over its map, or the value of a unit.

    `layer` maps images [N, H, W, C] to outputs [N, …, channels].
    """

    def score(images: Array, channels: Array) -> Array:
        outputs = layer(images)
        means = outputs.reshape(len(outputs), -1, outputs.shape[-1]).mean(1)
        return jnp.take_along_axis(means, channels.reshape(-1, 1), axis=1)[:, 0]

    return score


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def climb(score: Score, channels: Array, keys: Array, shape: tuple[int, int, int], ascent: Ascent) -> Maximum:
    """Runs N ascents at once, each from its own gray noise towards an image [H, W, C] = `shape` that maximizes its channel.

    `channels` and `keys` are [N]. The images are one batch instead of a vmap over single images. The result is the same,
    since `score` treats images independently, and several times faster on CPUs.
    """

    def draw(key: Array) -> tuple[Array, Array]:
        noise, moves = jax.random.split(key)
        first = jnp.clip(_GRAY + _NOISE * jax.random.normal(noise, shape), 0, 1)
        return first, jax.random.randint(moves, (ascent.steps, 2), -ascent.jitter, ascent.jitter + 1)

    first, moves = jax.vmap(draw, out_axes=(0, 1))(keys)
    rates = ascent.rate * (1 - jnp.arange(ascent.steps) / ascent.steps)
    roll = jax.vmap(lambda image, move: jnp.roll(image, move, (0, 1)))

    def step(images: Array, item: tuple[Array, Array]) -> tuple[Array, None]:
        moves, rate = item
        slope = jax.grad(lambda x: score(roll(x, moves), channels).sum())(images)
        slope = slope * lax.rsqrt(jnp.square(slope).mean((1, 2, 3), keepdims=True) + 1e-20)
        return jnp.clip(images + rate * (slope - jax.grad(_penalty)(images, ascent)), 0, 1), None

    last, _ = lax.scan(step, first, (moves, rates))
    return Maximum(last, score(last, channels), score(first, channels))


def _penalty(images: Array, ascent: Ascent) -> Array:
    variation = sum(jnp.square(jnp.diff(images, axis=axis)).sum() for axis in (1, 2))
    return ascent.decay / 2 * jnp.square(images - _GRAY).sum() + ascent.variation / 2 * variation

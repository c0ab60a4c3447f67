"""Mixing of examples within a batch, with their labels: mixup and CutMix.

The partner of the i-th example is the i-th from the end. Batches are shuffled, so it is a random one. Each random change has
a deterministic twin that takes the drawn values.
"""

import jax
import jax.numpy as jnp

Array = jax.Array


def mix(key: Array, images: Array, mixup: float, cutmix: float) -> tuple[Array, Array]:
    """Mixes each image with its partner by mixup, by CutMix, or if both are on, by either with probability 1/2.

    Args:
      key: a PRNG key.
      images: floats [N, H, W, C].
      mixup: parameter of the Beta distribution of mixup's share; 0 for none.
      cutmix: the same for CutMix.

    Returns:
      Images [N, H, W, C], and the share of each label that is the image's own [N], the same for all.
    """
    choice_key, share_key, center_key = jax.random.split(key, 3)
    # 1 is drawn, and not used, for what is off.
    blend_share, cut_share = (
        jax.random.beta(k, alpha or 1.0, alpha or 1.0)
        for k, alpha in zip(jax.random.split(share_key), (mixup, cutmix), strict=True)
    )
    center = jax.random.uniform(center_key, (2,))
    blended, pasted = (lambda: blend(images, blend_share)), (lambda: paste(images, center, cut_share))
    if not cutmix:
        return blended()
    if not mixup:
        return pasted()
    return jax.tree.map(lambda a, b: jnp.where(jax.random.bernoulli(choice_key), a, b), blended(), pasted())


def blend(images: Array, share: Array) -> tuple[Array, Array]:
    """Mixup: share · image + (1 - share) · partner.

    >>> import jax.numpy as jnp
    >>> mixed, shares = blend(jnp.asarray([0.0, 1.0]).reshape(2, 1, 1, 1), jnp.asarray(0.75))
    >>> mixed.ravel().tolist(), shares.tolist()
    ([0.25, 0.75], [0.75, 0.75])

    Args:
      images: floats [N, H, W, C].
      share: a number in [0, 1].

    Returns:
      Images [N, H, W, C], and the share [N].

    References:
      Zhang, H. et al. (2018), mixup: Beyond empirical risk minimization.
    """
    return share * images + (1 - share) * images[::-1], jnp.full(images.shape[0], share)


def paste(images: Array, center: Array, share: Array) -> tuple[Array, Array]:
    """CutMix: a rectangle, of the image's proportions and 1 - share of its area, is the partner's.

    >>> import jax.numpy as jnp
    >>> images = jnp.stack([jnp.zeros((4, 4, 1)), jnp.ones((4, 4, 1))])
    >>> mixed, shares = paste(images, jnp.asarray([0.5, 0.5]), jnp.asarray(0.75))  # Two by two pixels.
    >>> mixed[0, ..., 0].sum().tolist(), shares.tolist()
    (4.0, [0.75, 0.75])

    Args:
      images: [N, H, W, C].
      center: row and column of the rectangle's center, in units of the image's sides, [2] in [0, 1). What is outside the
        image is cut off.
      share: a number in [0, 1].

    Returns:
      Images [N, H, W, C], and the share of the pixels that are the image's own [N].

    References:
      Yun, S. et al. (2019), CutMix: Regularization strategy to train strong classifiers with localizable features.
    """
    inside = []
    for size, place in zip(images.shape[1:3], center, strict=True):
        half = jnp.floor(size * jnp.sqrt(1 - share)) // 2
        middle = jnp.floor(size * place)
        pixels = jnp.arange(size)
        inside.append((pixels >= middle - half) & (pixels < middle + half))
    rectangle = inside[0][:, None] & inside[1][None, :]
    mixed = jnp.where(rectangle[None, :, :, None], images[::-1], images)
    return mixed, jnp.full(images.shape[0], 1 - rectangle.mean())

"""Batches of labeled images: gather, shrink, augment and normalize, all on the device inside the jitted step."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.config import ImageData
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.pipeline import loaders
from jaxnets.pipeline.augment import LUMA, Extra, augment, normalize, shrink, to_gray, to_unit
from jaxnets.pipeline.loaders import Arrays, Batch, Loader
from jaxnets.pipeline.mixing import mix

Array = jax.Array
Gather = Callable[..., Batch]
"""As that of loaders, with a further argument: which images to mirror, bool [N], where that is not left to chance."""
_MIRROR = 2**32 - 1
"""Folded into the key that orders the epochs, which folds in their numbers."""


class Normalization(NamedTuple):
    """Per channel: subtract `mean`, divide by `std`, after scaling to [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of ImageNet's training images, as they are commonly rounded."""


def normalization(config: ImageData, meta: Mapping[str, Any]) -> Normalization:
    """The constants for `config.normalize`; `meta` is the data set's record of its training split.

    For grayscale versions of color images the mean is exact. The deviation is that of channels which rise and fall together,
    3 % above the true one for CIFAR-10. For shrunk images that of the stored ones is used, which is slightly larger.
    """
    mean, std = IMAGENET if config.normalize == "imagenet" else (meta["mean"], meta["std"])
    if len(mean) == 3 and (config.gray or len(meta["mean"]) == 1):
        mean, std = ([sum(share * value for share, value in zip(LUMA, values, strict=True))] for values in (mean, std))
    if config.normalize in ("standard", "imagenet"):
        return Normalization(tuple(mean), tuple(std))
    half = 0.5 if config.normalize == "symmetric" else 0.0
    return Normalization((half,) * len(mean), (half or 1.0,) * len(mean))


def train_loader(config: ImageData, examples: int, gather: Gather) -> Loader:
    """Training batches of a split of so many examples; they also say which images are mirrored, where epochs take turns."""
    loader = loaders.train_batches(config.batch_size, examples, gather, config.drop_last)
    if not (config.augment.flip and config.augment.alternate):
        return loader

    def epoch_indices(key: Array, epoch: Any) -> dict[str, Array]:
        index = loader.epoch_indices(key, epoch)
        first = jax.random.bernoulli(jax.random.fold_in(key, _MIRROR), 0.5, (examples,))
        return {"index": index, "mirrored": first[index] ^ (jnp.asarray(epoch) % 2 == 1)}

    def make_batch(arrays: Arrays, item: Mapping[str, Array], key: Array) -> Batch:
        batch = gather(arrays, item["index"], key, item["mirrored"])
        return {**batch, "mask": jnp.ones(item["index"].shape)}

    return Loader(loader.steps, epoch_indices, make_batch)


def image_batches(config: ImageData, constants: Normalization) -> Gather:
    """Makes batches of "image" [N, H, W, C], float32, and "label" [N]; augmented in training, unchanged in evaluation.

    Mixed batches also have the partners' labels "mix_label" [N], and the share of an image's own label, "mix_share" [N].
    Where the split has a teacher's probabilities "teacher" [N, classes], training batches have them too, mixed alike.
    """
    mixing = config.augment.mixup or config.augment.cutmix

    def gather(arrays: Arrays, indices: Array, key: Any, mirrored: Array | None = None) -> Mapping[str, Array]:
        raw = arrays["image"][indices]
        raw = shrink(raw, config.shrink) if config.shrink > 1 else raw
        raw = to_gray(raw) if config.gray else raw
        pixels = to_unit(raw) if key is None else augment(key, raw, config.augment, mirrored)
        label = arrays["label"][indices]
        if key is None:
            return {"image": normalize(pixels, *constants), "label": label}
        taught = {"teacher": arrays["teacher"][indices]} if "teacher" in arrays else {}
        if not mixing:
            return {"image": normalize(pixels, *constants), "label": label, **taught}
        mix_key = jax.random.fold_in(key, Extra.MIX)
        pixels, share = mix(mix_key, pixels, config.augment.mixup, config.augment.cutmix)
        taught = {name: share[:, None] * soft + (1 - share[:, None]) * soft[::-1] for name, soft in taught.items()}
        mixed = {"mix_label": label[::-1], "mix_share": share}
        return {"image": normalize(pixels, *constants), "label": label, **mixed, **taught}

    return gather


def averaged_views(apply: Callable[[Array], Array], pixels: Array, flip: bool, shift: int) -> Array:
    """Outputs averaged over views of each image, as `ImageData.eval_flip` and `eval_shift` say.

    >>> import jax.numpy as jnp
    >>> corner = lambda x: x[:, 0, 0, 0]
    >>> pixels = jnp.arange(9.0).reshape(1, 3, 3, 1)
    >>> averaged_views(corner, pixels, flip=False, shift=1).tolist()  # 0 / 2, and pixel 4 twice, reflected and moved to it.
    [2.0]

    Args:
      apply: from images to outputs.
      pixels: images [N, H, W, C].
      flip: whether each view is also asked from its mirror image.
      shift: pixels by which two further views are moved; 0: none.

    Returns:
      As `apply`.
    """

    def both(x: Array) -> Array:
        return (apply(x) + apply(x[:, :, ::-1])) / 2 if flip else apply(x)

    if not shift:
        return both(pixels)
    height, width = pixels.shape[1:3]
    padded = jnp.pad(pixels, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="reflect")
    moved = [both(padded[:, start : start + height, start : start + width]) for start in (0, 2 * shift)]
    return both(pixels) / 2 + (moved[0] + moved[1]) / 4


def for_evaluation(config: ImageData, constants: Normalization, pictures: Array) -> Array:
    """Images as evaluation sees them: uint8 [N, H, W, C] -> float32, shrunk and gray as `config` says, normalized."""
    arrays = {"image": pictures, "label": jnp.zeros(len(pictures), jnp.int32)}
    return image_batches(config, constants)(arrays, jnp.arange(len(pictures)), None)["image"]


def batch_shape(id_: str, config: ImageData, dataset: Dataset, gather: Gather) -> tuple[int, ...]:
    """Shape [1, H, W, C] of a batch of one. Raises UserError where `config.shrink` does not divide the images' sides."""
    height, width = dataset.splits["train"]["image"].shape[1:3]
    if height % config.shrink or width % config.shrink:
        raise UserError(f"{id_}: data.shrink {config.shrink} does not divide the {height}×{width} pixels of {dataset.name}")
    first = {field: array[:1] for field, array in dataset.splits["train"].items()}
    return jax.eval_shape(lambda arrays: gather(arrays, jnp.zeros(1, jnp.int32), None), first)["image"].shape

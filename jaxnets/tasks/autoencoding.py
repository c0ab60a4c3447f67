"""Reconstruction of images by an autoencoder (report S2 Q5)."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxnets.config import Experiment
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.pipeline import images
from jaxnets.pipeline.loaders import Gather
from jaxnets.tasks import losses, metrics
from jaxnets.tasks.task import ImageGrid, Objective, PredictorBase, Task, check_batch_size, check_fields, eval_loader

_SHOWN_CLASSES, _SHOWN_EACH = "AHOV2", 2
"""Classes whose reconstructions report S2 shows, and how many of each."""


def build(experiment: Experiment, dataset: Dataset) -> Task:
    """Batches of "image" [N, H, W, C] with pixels in [0, 1]."""
    config: Any = experiment.data
    check_fields(experiment, dataset, "image", "label")
    check_batch_size(experiment, dataset)
    if config.normalize != "unit":
        raise UserError(f"{experiment.id}: an autoencoder's pixels lie in [0, 1]: data.normalize must be unit")
    if config.augment.mixup or config.augment.cutmix or config.eval_flip or config.eval_shift:
        names = "data.augment.mixup, data.augment.cutmix, data.eval_flip and data.eval_shift"
        raise UserError(f"{experiment.id}: {names} are for classifiers")
    gather = images.image_batches(config, images.normalization(config, dataset.meta))
    return Task(
        objective=objective(),
        sizes={},
        sample_inputs=(jnp.zeros(images.batch_shape(experiment.id, config, dataset, gather)),),
        arrays=dataset.splits,
        train_loader=images.train_loader(config, dataset.examples("train"), gather),
        eval_loader=eval_loader(experiment, dataset, gather),
        examples_per_step=config.batch_size,
        visualize=lambda model, before, after: _reconstructions(model, after, dataset, gather),
    )


def objective() -> Objective:
    """The input itself: batches of "image" [N, H, W, C] in [0, 1], and "mask" [N]; the model returns images."""
    return Objective(
        inputs=lambda batch: (batch["image"],),
        metrics=lambda outputs, batch: {
            "loss": losses.squared_error(outputs, batch["image"], batch["mask"]),
            "psnr": metrics.psnr(outputs, batch["image"], batch["mask"]),
        },
        monitor="loss",
        higher_is_better=False,
    )


@dataclasses.dataclass(frozen=True)
class Predictor(PredictorBase):
    """Reconstructs images."""

    command: ClassVar[str] = "report"

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Reconstructions [N, H, W, C], float32 in [0, 1], of uint8 images, which are treated as in evaluation."""
        config: Any = self.experiment.data
        pixels = images.for_evaluation(config, images.normalization(config, self.meta), jnp.asarray(pictures))
        return np.asarray(self.model.apply(self.variables, pixels, train=False))


def _reconstructions(model: Any, variables: Any, dataset: Dataset, gather: Gather) -> Mapping[str, ImageGrid]:
    """Validation images of some classes above their reconstructions, with the PSNR of each."""
    split = dataset.splits["validation"]
    names = dataset.meta["class_names"]
    shown = [i for i, name in enumerate(names) if name in _SHOWN_CLASSES] or list(
        range(min(len(names), len(_SHOWN_CLASSES)))
    )
    chosen = np.concatenate([np.flatnonzero(split["label"] == label)[:_SHOWN_EACH] for label in shown])
    arrays = {field: jnp.asarray(array[chosen]) for field, array in split.items()}
    originals = gather(arrays, jnp.arange(len(chosen)), None)["image"]
    outputs = model.apply(variables, originals, train=False)
    decibels = [metrics.psnr(outputs[i : i + 1], originals[i : i + 1], jnp.ones(1)).value for i in range(len(chosen))]
    titles = [f"{names[label]}\n{psnr:.1f} dB" for label, psnr in zip(split["label"][chosen], decibels, strict=True)]
    grid = ImageGrid(np.stack([np.asarray(originals), np.asarray(outputs)]), titles)
    return {"Validation images and their reconstructions": grid}

"""Classification of images."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import registry
from jaxnets.config import Experiment, ImageData, Loss
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.pipeline import images
from jaxnets.pipeline.loaders import Batch
from jaxnets.tasks import losses, metrics
from jaxnets.tasks.metrics import Metrics
from jaxnets.tasks.task import (
    ImageGrid,
    Objective,
    PredictorBase,
    Task,
    apply_once,
    check_batch_size,
    check_fields,
    eval_loader,
)

Array = jax.Array

TAKES_LOSS = True
"""Whether `Experiment.loss` is this task's."""


def build(experiment: Experiment, dataset: Dataset) -> Task:
    """Batches of "image" [N, H, W, C] and "label" [N]. The weights of dense nets on pixels are drawn."""
    config: Any = experiment.data
    check_fields(experiment, dataset, "image", "label")
    check_batch_size(experiment, dataset)
    gather = images.image_batches(config, images.normalization(config, dataset.meta))
    shape = images.batch_shape(experiment.id, config, dataset, gather)
    class_names = tuple(dataset.meta["class_names"])

    def draw_weights(model: Any, before: Any, after: Any) -> Mapping[str, ImageGrid]:
        del model
        return {
            f"First-layer weights {when} training": _weights(variables["params"]["Dense_0"]["kernel"], shape[1:])
            for when, variables in (("before", before), ("after", after))
        }

    return Task(
        objective=objective("image", loss=experiment.loss, flip=config.eval_flip, shift=config.eval_shift),
        sizes={"classes": len(class_names)},
        sample_inputs=(jnp.zeros(shape),),
        arrays=dataset.splits,
        train_loader=images.train_loader(config, dataset.examples("train"), gather),
        eval_loader=eval_loader(experiment, dataset, gather),
        examples_per_step=config.batch_size,
        class_names=class_names,
        visualize=draw_weights if experiment.model.weights_are_images else None,
    )


def objective(
    *fields: str,
    loss: Loss = Loss(),  # noqa: B008  # It is frozen.
    flip: bool = False,
    shift: int = 0,
) -> Objective:
    """One label for each example: softmax cross entropy or another loss, judged by accuracy.

    Batches hold "label" [N], "mask" [N], and the `fields` that the model takes; it returns logits [N, classes]. Training
    batches may have mixed labels, "mix_label" [N] and "mix_share" [N], and those of `loss.teacher`, "teacher" [N, classes].
    With `flip` and `shift`, evaluation averages the logits of several views of an image (see
    jaxnets.pipeline.images.averaged_views).
    """

    def with_views(apply: Callable, inputs: tuple[Array, ...]) -> Array:
        [pixels] = inputs
        return images.averaged_views(apply, pixels, flip, shift)

    def measured(smoothing: float, logits: Array, batch: Batch) -> Metrics:
        labels, mask = batch["label"], batch["mask"]
        is_mixed = "mix_label" in batch
        if loss.name == "cross_entropy" and not smoothing and not is_mixed and "teacher" not in batch:
            return label_metrics(logits, labels, mask)
        targets, accuracy = jax.nn.one_hot(labels, logits.shape[-1]), metrics.accuracy(logits, labels, mask)
        if is_mixed:
            others, share = batch["mix_label"], batch["mix_share"]
            targets = share[:, None] * targets + (1 - share[:, None]) * jax.nn.one_hot(others, logits.shape[-1])
            # The prediction counts for either label by its share.
            accuracy = jax.tree.map(
                jnp.add,
                metrics.accuracy(logits, labels, mask * share),
                metrics.accuracy(logits, others, mask * (1 - share)),
            )
        targets = losses.smooth(targets, smoothing)
        total = _loss(loss, logits, targets, mask)
        if "teacher" in batch:
            by_example = losses.distillation(logits, batch["teacher"], loss.temperature)
            from_teacher = metrics.Mean((by_example * mask).sum(), mask.sum())
            shares = (1 - loss.teacher_share, loss.teacher_share)
            total = jax.tree.map(lambda own, taught: shares[0] * own + shares[1] * taught, total, from_teacher)
        return {"loss": total, "accuracy": accuracy}

    return Objective(
        inputs=lambda batch: tuple(batch[field] for field in fields),
        metrics=functools.partial(measured, 0.0),
        train_metrics=functools.partial(measured, loss.label_smoothing),
        predictions=lambda logits, batch: {"logits": logits, "label": batch["label"], "mask": batch["mask"]},
        monitor="accuracy",
        higher_is_better=True,
        predict=with_views if flip or shift else apply_once,
    )


def _loss(loss: Loss, logits: Array, targets: Array, mask: Array) -> metrics.Mean:
    """The loss by its name. Raises UserError for a function that does not give a number an example."""
    function = losses.soft_cross_entropy if loss.name == "cross_entropy" else registry.resolve(loss.name)
    by_example = function(logits.astype(jnp.float32), targets)
    if jnp.shape(by_example) != mask.shape:
        raise UserError(f"loss.name: {loss.name} must give losses {list(mask.shape)}, not {list(jnp.shape(by_example))}")
    return metrics.Mean((by_example * mask).sum(), mask.sum())


def label_metrics(logits: Array, labels: Array, mask: Array) -> Metrics:
    """Cross entropy and accuracy. Shapes [..., C], [...] (class indices), [...] (1 for what counts, 0 for padding)."""
    return {
        "loss": losses.cross_entropy(logits, labels, mask),
        "accuracy": metrics.accuracy(logits, labels, mask),
    }


@dataclasses.dataclass(frozen=True)
class Predictor(PredictorBase):
    """Classifies images."""

    command: ClassVar[str] = "classify"

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Probabilities [N, classes] for uint8 images [N, H, W, C], which are treated as in evaluation."""
        config: Any = self.experiment.data
        constants = images.normalization(config, self.meta)
        return np.asarray(_probabilities(self.model, config, constants, self.variables, jnp.asarray(pictures)))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _probabilities(model: Any, config: ImageData, constants: images.Normalization, variables: Any, pictures: Array) -> Array:
    pixels = images.for_evaluation(config, constants, pictures)
    apply = functools.partial(model.apply, variables, train=False)
    return jax.nn.softmax(objective("image", flip=config.eval_flip, shift=config.eval_shift).predict(apply, (pixels,)))


def _weights(kernel: Any, shape: tuple[int, ...]) -> ImageGrid:
    """The weights of each unit of a dense layer [H · W · C, units], as an image of `shape` [H, W, C]."""
    units = np.moveaxis(np.asarray(kernel).reshape(*shape, -1), -1, 0)
    columns = math.ceil(math.sqrt(2 * len(units)))
    rows = -(-len(units) // columns)
    padded = np.concatenate([units, np.zeros((rows * columns - len(units), *shape))])
    return ImageGrid(padded.reshape(rows, columns, *shape), signed=True)

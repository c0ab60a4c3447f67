"""Transfer learning: the features learned on one data set, used on another by retraining only the last layer."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxnets.config import Augment, Experiment, ImageData, Optim
from jaxnets.data import store
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.training import engine as engines
from jaxnets.training.engine import Engine
from jaxnets.training.loop import train_epoch
from jaxnets.training.state import TrainState

Json = dict[str, Any]


class Outcome(NamedTuple):
    """The result of one way of training."""

    parameters: int
    """The number of trained parameters."""
    seconds: float
    """Time of training and validation of all seeds, without compilation."""
    epochs: list[Json]
    """Validation after each epoch, as in a run's metrics.jsonl."""
    accuracy: list[float]
    """Accuracy of the last weights by seed, as a fraction, on the test split, or on validation data if there is none."""
    state: TrainState
    """The state after the last epoch."""


def experiment_on(experiment: Experiment, name: str, data: ImageData, epochs: int, seeds: int, rate: float) -> Experiment:
    """The experiment on another data set, with Adam at a constant rate, no augmentation, and the last weights tested."""
    return replace(
        experiment,
        id=f"{experiment.id} on {name}",
        data=replace(data, source=name, augment=Augment()),
        optim=Optim(lr=rate),
        epochs=epochs,
        steps=None,
        seeds=seeds,
        grad_accumulation_steps=1,
        select="last",
        grid={},
        reported={},
    )


def adapt_images(data: Dataset, config: ImageData, shape: tuple[int, ...]) -> tuple[Dataset, ImageData, str]:
    """Converts a data set to images of [H, W, C] = `shape`.

    Images that are larger by a whole factor are shrunk by it. Then larger ones are cropped to their center and smaller ones
    padded with zeros. Color becomes gray by its luma, gray becomes color by repetition.

    Returns:
      The data set, with mean and standard deviation of its new images; the configuration that completes the conversion; and
      a description of the changes.

    Raises:
      UserError: if the data set has no labeled images.
    """
    if "image" not in data.splits["train"] or "label" not in data.splits["train"]:
        raise UserError(f"data set {data.name} has no labeled images")
    height, width, channels = data.splits["train"]["image"].shape[1:]
    factor = max(1, min(height // shape[0], width // shape[1]))
    size = shape[0] * factor, shape[1] * factor
    done = []
    if (height, width) != size:
        change = "padded with zeros" if height <= size[0] and width <= size[1] else "cut to the middle"
        done.append(f"{change}, {height}×{width} to {size[0]}×{size[1]}")
    if factor > 1:
        done.append(f"shrunk to {shape[0]}×{shape[1]}")
    if channels != shape[2]:
        done.append("gray repeated in three channels" if channels == 1 else "color made gray")
    if (height, width) != size or channels < shape[2]:
        splits = {
            split: {**fields, "image": _resize(np.asarray(fields["image"]), size, max(channels, shape[2]))}
            for split, fields in data.splits.items()
        }
        data = Dataset(data.name, splits, {**data.meta, **store.image_statistics(splits["train"]["image"])})
    return data, replace(config, shrink=factor, gray=channels > shape[2]), "; ".join(done) or "as they are"


def _resize(images: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    for axis, target in enumerate(size, start=1):
        missing = target - images.shape[axis]
        if missing >= 0:
            around = [(0, 0)] * images.ndim
            around[axis] = missing // 2, missing - missing // 2
            images = np.pad(images, around)
        else:
            images = images.take(range(-missing // 2, -missing // 2 + target), axis)
    return np.broadcast_to(images, (*images.shape[:3], channels)) if images.shape[3] < channels else images


def baselines(experiment: Experiment, variables: Any) -> Mapping[str, tuple[Experiment, Any]]:
    """Three baselines, each an experiment and the pretrained variables it starts from, or None.

    (1) A linear probe on the trained features of `variables`; (2) a linear probe on random features, which shows what the
    last layer can do alone; (3) training from scratch.
    """
    probe = replace(experiment, optim=replace(experiment.optim, trainable="head"))
    features = {**variables, "params": {name: part for name, part in variables["params"].items() if name != "head"}}
    return {
        "last layer, trained features": (probe, features),
        "last layer, random features": (probe, {}),
        "all layers, from scratch": (experiment, {}),
    }


def compare(experiment: Experiment, dataset: Dataset, variables: Any) -> Mapping[str, Outcome]:
    """Trains each of the `baselines` with the same seeds for the same number of steps, and returns outcomes by label."""
    return {
        label: train(engines.build(baseline, dataset, pretrained=pretrained), baseline.epochs)
        for label, (baseline, pretrained) in baselines(experiment, variables).items()
    }


def train(engine: Engine, epochs: int) -> Outcome:
    """Trains for some epochs and tests the last weights. Nothing is written to disk."""
    start, compiled = time.perf_counter(), engine.costs.compile_seconds
    state, lines = engine.init(), []
    for epoch in range(epochs):
        for progress in train_epoch(engine, state, epoch):
            state = progress.state
        metrics, _ = engine.evaluate("validation", state.variables, False)
        lines.append({"epoch": epoch + 1, "validation": {name: mean.value.tolist() for name, mean in metrics.items()}})
    seconds = time.perf_counter() - start - (engine.costs.compile_seconds - compiled)
    split = "test" if "test" in engine.task.arrays else "validation"
    final, _ = engine.evaluate(split, state.variables, False)
    return Outcome(engine.num_parameters, seconds, lines, final["accuracy"].value.tolist(), state)

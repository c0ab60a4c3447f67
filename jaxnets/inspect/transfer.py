"""Features that were learned on one data set, put to use on another by retraining the last layer alone."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxnets import optim, program
from jaxnets.config import Augment, Experiment, ImageData, Optim
from jaxnets.data import store
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.program import Program
from jaxnets.record import Json
from jaxnets.state import TrainState


class Outcome(NamedTuple):
    """What one way of training came to."""

    parameters: int
    """Trained ones."""
    seconds: float
    """Of training and validation, without compilation; all seeds."""
    epochs: list[Json]
    """Validation after each epoch, as in a run's metrics.jsonl."""
    accuracy: list[float]
    """By seed, on the split "test", or on "validation" where there is none, of the last weights."""
    state: TrainState
    """At the end."""


def experiment_on(experiment: Experiment, name: str, data: ImageData, epochs: int, seeds: int, rate: float) -> Experiment:
    """The experiment on another data set: Adam at a constant rate, no augmentation, the last weights count."""
    return replace(
        experiment,
        id=f"{experiment.id} on {name}",
        data=replace(data, source=name, augment=Augment()),
        optim=Optim(lr=rate),
        epochs=epochs,
        steps=None,
        seeds=seeds,
        accumulate=1,
        select="last",
        grid={},
        reported={},
    )


def fit(data: Prepared, config: ImageData, shape: tuple[int, ...]) -> tuple[Prepared, ImageData, str]:
    """A set whose images become [H, W, C] = `shape`, the configuration that makes them so, and what was done, in words.

    Images that are larger by a whole factor are shrunk by it; those that then are still larger are cut to their middle,
    smaller ones padded with zeros. Colour becomes grey by its luma, grey becomes colour by repetition. The set's mean and
    deviation are those of its new images.
    """
    if "image" not in data.splits["train"] or "label" not in data.splits["train"]:
        raise UserError(f"data set {data.name} has no labelled images")
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
        done.append("grey repeated in three channels" if channels == 1 else "colour made grey")
    if (height, width) != size or channels < shape[2]:
        splits = {
            split: {**fields, "image": _resize(np.asarray(fields["image"]), size, max(channels, shape[2]))}
            for split, fields in data.splits.items()
        }
        data = Prepared(data.name, splits, {**data.meta, **store.image_statistics(splits["train"]["image"])})
    return data, replace(config, shrink=factor, grey=channels > shape[2]), "; ".join(done) or "as they are"


def _resize(images: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    for axis, wanted in enumerate(size, start=1):
        missing = wanted - images.shape[axis]
        if missing >= 0:
            around = [(0, 0)] * images.ndim
            around[axis] = missing // 2, missing - missing // 2
            images = np.pad(images, around)
        else:
            images = images.take(range(-missing // 2, -missing // 2 + wanted), axis)
    return np.broadcast_to(images, (*images.shape[:3], channels)) if images.shape[3] < channels else images


def ways(experiment: Experiment, variables: Any) -> Mapping[str, tuple[Experiment, Any]]:
    """Three ways of training, each an experiment and the variables it starts from instead of drawn ones, if there are any.

    Only the last layer, on the features of `variables`; only that layer, on features as they are drawn, which shows what
    the layer can do alone; and all layers from scratch, as ever.
    """
    head = replace(experiment, optim=replace(experiment.optim, trainable="head"))
    last = optim.head(variables["params"])
    features = {**variables, "params": {name: part for name, part in variables["params"].items() if name != last}}
    return {
        "last layer, trained features": (head, features),
        "last layer, random features": (head, None),
        "all layers, from scratch": (experiment, None),
    }


def compare(experiment: Experiment, data: Prepared, variables: Any) -> Mapping[str, Outcome]:
    """Trains in all `ways`, from the same seeds for the same number of steps."""
    return {
        label: train(program.build(way, data, start), way.epochs)
        for label, (way, start) in ways(experiment, variables).items()
    }


def train(built: Program, epochs: int) -> Outcome:
    """Runs a program to its end, in memory."""
    start, compiled = time.perf_counter(), built.compiler.seconds
    state, lines = built.init(), []
    for epoch in range(epochs):
        state = program.pass_over(built, state, epoch)
        found, _ = built.evaluate("validation", state.params, state.variables, False)
        lines.append({"epoch": epoch + 1, "validation": {name: mean.value.tolist() for name, mean in found.items()}})
    seconds = time.perf_counter() - start - (built.compiler.seconds - compiled)
    split = "test" if "test" in built.problem.arrays else "validation"
    final, _ = built.evaluate(split, state.params, state.variables, False)
    return Outcome(built.parameters, seconds, lines, final["accuracy"].value.tolist(), state)

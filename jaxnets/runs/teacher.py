"""Distillation: the seeds of a finished run teach nets to come (Hinton et al. 2015)."""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.special import softmax

from jaxnets.config import Experiment
from jaxnets.config.fields import user_path
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.runs import load, shipped, weights
from jaxnets.training import engine, parallel

FIELD = "teacher"
"""Of the training split: the teacher's probabilities."""


def fingerprint(experiment: Experiment) -> dict[str, str]:
    """{"teacher": checksum of its weights}, so that a run never goes on with another one; {} without a teacher."""
    if not experiment.loss.teacher:
        return {}
    content = (_folder(experiment) / weights.WEIGHTS).read_bytes()
    return {FIELD: f"{zlib.crc32(content):08x}"}


def with_soft_labels(experiment: Experiment, dataset: Dataset) -> Dataset:
    """The data set, whose training split also has what `experiment.loss.teacher` gives: probabilities, float32 [N, classes].

    They are those of the teacher's evaluation, for the images as they are stored: softmax(logits / T), averaged over its
    seeds. What is mixed, cropped or mirrored in training keeps them. Without a teacher the data set itself.

    Raises:
      UserError: there is no such run, or it does not tell these classes apart on such images.
    """
    if not experiment.loss.teacher:
        return dataset
    folder = _folder(experiment)
    taught = load.experiment(folder)
    variables, spec = weights.load(folder)
    problem = _problem(experiment, taught, spec, dataset)
    if problem:
        raise UserError(f"{experiment.id}: loss.teacher {experiment.loss.teacher} {problem}")
    replicas = load.completed(folder)
    teacher = replace(taught, seeds=len(replicas), eval_examples=None, eval_batch_size=experiment.eval_batch_size)
    # Its normalization is that of the images that it learned from.
    seen = dataset._replace(meta=spec.meta)
    asked = engine.build(teacher, seen, pretrained={})
    tree = jax.tree.map(lambda x: x[replicas].astype(np.float32), variables)  # Shipped nets are rounded to float16.
    _, kept = parallel.fetch(asked.evaluate("train", parallel.put(tree, asked.layout), True))
    logits = kept["logits"][:, kept["mask"][0] > 0]
    soft = softmax(logits / experiment.loss.temperature, -1).mean(0).astype(np.float32)
    return dataset._replace(splits={**dataset.splits, "train": {**dataset.splits["train"], FIELD: soft}})


def _folder(experiment: Experiment) -> Path:
    folder = shipped.locate(user_path(experiment.loss.teacher))
    if not (folder / weights.WEIGHTS).exists():
        raise UserError(f"{experiment.id}: loss.teacher {experiment.loss.teacher} has no weights yet: train it first")
    return folder


def _problem(experiment: Experiment, taught: Experiment, spec: Any, dataset: Dataset) -> str:
    """Why a run cannot teach the experiment; empty if it can."""
    image_task = "jaxnets.tasks.classification"
    if experiment.task != image_task or taught.task != image_task:
        return "cannot be used: teacher and net must be classifiers of images"
    ours, theirs = (list(one.meta["class_names"]) for one in (dataset, spec))
    if ours != theirs:
        return f"knows other classes: {', '.join(theirs[:5])}, not {', '.join(ours[:5])}"
    shapes = [one.splits["train"]["image"].shape[1:] for one in (spec, dataset)]
    return "" if shapes[0] == shapes[1] else f"looks at images {list(shapes[0])}, not {list(shapes[1])}"

"""What is measured: experiments of the catalogue, each with made-up data of the right shapes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import data
from jaxnets import catalogue, problems
from jaxnets.config import Experiment
from jaxnets.fields import with_field
from jaxnets.problems import Problem

Batch = Mapping[str, np.ndarray]


class Workload(NamedTuple):
    """A model, its task, its update rule and its batches."""

    id: str
    """Of the experiment."""
    data: data.Make
    changes: Mapping[str, Any] = {}
    """Fields of the experiment, by dotted path, that differ from the catalogue's."""


_CIFAR, _MNIST, _LETTERS = data.images(512), data.images(512, (28, 28, 1)), data.images(512, (32, 32, 1), classes=36)

WORKLOADS: dict[str, Workload] = {
    "lenet": Workload("cifar10/lenet/plain", _CIFAR),
    "lenet_bn": Workload("cifar10/lenet/bn", _CIFAR),
    "small_cnn": Workload("cifar10/small_cnn", _CIFAR),
    "gray_cnn": Workload("cifar10/gray_cnn/plain", _CIFAR),
    "nist36_mlp": Workload("nist36/mlp", _LETTERS),
    "nist36_autoencoder": Workload("nist36/autoencoder", _LETTERS),
    "resnet34": Workload("cifar10/resnet34/plain", _CIFAR, {"data.batch_size": 32}),
    **{
        f"rows_{cell}_{hidden}": Workload(f"mnist_rows/{cell}_{hidden}", _MNIST)
        for cell in ("rnn", "lstm", "gru")
        for hidden in (128, 256)
    },
    "char_rnn": Workload("names/char_rnn", data.names()),
    "word_lm_shakespeare": Workload("word_lm/tiny_shakespeare", data.running_text(21_949)),
    "word_lm_wikitext2": Workload("word_lm/wikitext2", data.running_text(29_473)),
    "imdb_lstm": Workload("imdb/lstm", data.reviews()),
    "translate_gru": Workload("translate/gru", data.pairs()),
    "translate_lstm": Workload("translate/lstm", data.pairs()),
}


class Case(NamedTuple):
    """A workload, ready to be built on either side."""

    experiment: Experiment
    problem: Problem
    batch: Batch
    """Of the kind that training sees."""

    @property
    def units(self) -> dict[str, int]:
        """What a step works off: images, names, places of a text, …; and of sequences the tokens that count."""
        mask = self.batch["mask"]
        counted = mask.sum() if mask.ndim > 1 else self.batch["length"].sum() if "length" in self.batch else 0
        return {"examples": len(mask), **({"tokens": int(counted)} if counted else {})}


def prepare(workload: Workload) -> Case:
    """The experiment as it is timed, one replica at a constant rate, and a batch."""
    experiment = replace(catalogue.all_experiments()[workload.id], seeds=1)
    for path, value in {"optim.schedule": "constant", **workload.changes}.items():
        experiment = with_field(experiment, path, value)
    made = workload.data()
    problem = problems.build(experiment, made)
    arrays = jax.tree.map(jnp.asarray, dict(problem.arrays["train"]))
    # The last step of an epoch: running text is in full flow there.
    last = jax.tree.map(lambda x: x[-1], problem.train.plan(jax.random.key(0), 0))
    batch = problem.train.batch(arrays, last, jax.random.key(1))
    return Case(experiment, problem, jax.tree.map(np.asarray, dict(batch)))

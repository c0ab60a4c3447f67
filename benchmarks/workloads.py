"""The workloads: experiments of the registry, each with random data of the right shapes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import data
from jaxnets import registry
from jaxnets.config import Experiment, with_fields
from jaxnets.tasks import task as tasks
from jaxnets.tasks.task import Task

Batch = Mapping[str, np.ndarray]


class Workload(NamedTuple):
    """An experiment, and the data that it is timed on."""

    id: str
    """The experiment's."""
    data: data.MakeDataset
    changes: Mapping[str, Any] = {}
    """Fields that differ from the registered experiment: dotted path -> value."""


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


class PreparedWorkload(NamedTuple):
    """A workload with its data at hand. Both sides are built from it."""

    experiment: Experiment
    task: Task
    batch: Batch
    """One training batch, by field."""

    @property
    def units(self) -> dict[str, int]:
        """What one step processes: "examples" (images, names, streams of a text, …) and, of sequences, real "tokens"."""
        mask = self.batch["mask"]
        tokens = mask.sum() if mask.ndim > 1 else self.batch["length"].sum() if "length" in self.batch else 0
        return {"examples": len(mask), **({"tokens": int(tokens)} if tokens else {})}


def prepare(workload: Workload) -> PreparedWorkload:
    """The experiment as it is timed, one replica at a constant learning rate, with a training batch."""
    experiment = replace(registry.all_experiments()[workload.id], seeds=1)
    experiment = with_fields(experiment, {"optim.schedule": "constant", **workload.changes})
    task = tasks.build(experiment, workload.data())
    loader = task.train_loader

    @jax.jit
    def last_batch(arrays: Mapping[str, jax.Array]) -> Mapping[str, jax.Array]:
        # Of an epoch, where running text carries a state on.
        last = jax.tree.map(lambda x: x[-1], loader.epoch_indices(jax.random.key(0), 0))
        return loader.make_batch(arrays, last, jax.random.key(1))

    return PreparedWorkload(experiment, task, jax.tree.map(np.asarray, dict(last_batch(dict(task.arrays["train"])))))

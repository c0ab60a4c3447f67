"""PyTorch twins are built for a workload's model, task and data."""

import dataclasses
from typing import Any, ClassVar

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: its side of the benchmarks is not tested")

from benchmarks import data  # noqa: E402
from benchmarks.torch import twins  # noqa: E402
from benchmarks.workloads import Workload, prepare  # noqa: E402
from jaxnets.config import AutoencoderConfig, MLPConfig  # noqa: E402
from jaxnets.errors import UserError  # noqa: E402
from jaxnets.models import mlp  # noqa: E402

IMAGES = (8, 8, 1)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def twin(config, sizes):
    return twins.build_module(config, sizes, IMAGES)[1]


def test_a_twin_has_the_sizes_of_the_data():
    assert parameters(twin(MLPConfig(hidden=(5,)), {"classes": 3})) == 64 * 5 + 5 + 5 * 3 + 3
    assert parameters(twin(AutoencoderConfig(hidden=(2,)), {})) == 64 * 2 + 2 + 2 * 64 + 64


def test_a_model_without_a_twin_is_named():
    class MLP(mlp.MLP):
        """Has the name of a module with a twin, and inherits from it."""

    @dataclasses.dataclass(frozen=True)
    class OwnConfig(MLPConfig):
        target: ClassVar[Any] = MLP

    with pytest.raises(UserError, match=r"^MLP has no PyTorch form: the built-in models alone have one$"):
        twin(OwnConfig(), {"classes": 3})


def test_the_loss_is_that_of_the_task():
    """An autoencoder reads the images of a classification task and has another loss."""
    small = {"model.hidden": (4,), "data.batch_size": 2}
    images = data.images(4, IMAGES)
    built = twins.build(prepare(Workload("nist36/autoencoder", images, small)))
    loss, _ = built.loss(built.batch, None)
    outputs = built.module(built.batch["image"])
    assert loss.item() == pytest.approx(((outputs - built.batch["image"]) ** 2).sum().item() / 2)
    built = twins.build(prepare(Workload("nist36/mlp", images, small)))
    loss, _ = built.loss(built.batch, None)
    log_probabilities = built.module(built.batch["image"]).log_softmax(1)
    assert loss.item() == pytest.approx(-log_probabilities[range(2), built.batch["label"]].mean().item())

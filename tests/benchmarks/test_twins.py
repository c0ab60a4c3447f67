"""PyTorch twins are found by name."""

import dataclasses
from typing import Any, ClassVar

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: its side of the benchmarks is not tested")

from benchmarks import data  # noqa: E402
from benchmarks.torch import twins  # noqa: E402
from benchmarks.workloads import Workload, prepare  # noqa: E402
from jaxnets.config import AutoencoderConfig, LinearConfig, MLPConfig, ModelConfig, TranslatorConfig  # noqa: E402

IMAGES = (8, 8, 1)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_a_twin_has_the_sizes_of_the_data():
    assert parameters(twins.build_module(MLPConfig(hidden=(5,)), {"classes": 3}, IMAGES)) == 64 * 5 + 5 + 5 * 3 + 3
    assert parameters(twins.build_module(AutoencoderConfig(hidden=(2,)), {}, IMAGES)) == 64 * 2 + 2 + 2 * 64 + 64


def test_a_config_may_name_the_class_itself():
    class MLP:
        """Has the name of a module with a twin."""

    @dataclasses.dataclass(frozen=True)
    class OwnConfig(MLPConfig):
        target: ClassVar[Any] = MLP

    assert isinstance(twins.build_module(OwnConfig(), {"classes": 3}, IMAGES), torch.nn.Sequential)


def test_a_model_without_a_twin_is_named():
    @dataclasses.dataclass(frozen=True)
    class MyNetConfig(ModelConfig):
        target: ClassVar[Any] = "mine:MyNet"

    with pytest.raises(ValueError, match=r"^MyNet has no PyTorch twin: add one to MODULES in benchmarks/torch/twins\.py$"):
        twins.build_module(MyNetConfig(), {"classes": 3}, IMAGES)
    with pytest.raises(ValueError, match="^Linear has no PyTorch twin"):
        twins.build_module(LinearConfig(), {"classes": 3}, IMAGES)


@pytest.mark.parametrize(
    ("config", "sizes", "message"),
    [
        (AutoencoderConfig(filters=(4,)), {}, "not one with filters"),
        (TranslatorConfig(attention=True), {"source_vocab_size": 5, "target_vocab_size": 5}, "with attention"),
    ],
)
def test_an_option_without_a_twin_is_named(config, sizes, message):
    shape = IMAGES if isinstance(config, AutoencoderConfig) else None
    with pytest.raises(ValueError, match=message):
        twins.build_module(config, sizes, shape)


def test_the_loss_is_that_of_the_task():
    """An autoencoder reads the images of a classification task and has another loss."""
    small = {"model.hidden": (4,), "data.batch_size": 2}
    images = data.images(4, IMAGES)
    twin = twins.build(prepare(Workload("nist36/autoencoder", images, small)))
    loss, _ = twin.loss(twin.batch, None)
    outputs = twin.module(twin.batch["image"])
    assert loss.item() == pytest.approx(((outputs - twin.batch["image"]) ** 2).sum().item() / 2)
    twin = twins.build(prepare(Workload("nist36/mlp", images, small)))
    loss, _ = twin.loss(twin.batch, None)
    log_probabilities = twin.module(twin.batch["image"]).log_softmax(1)
    assert loss.item() == pytest.approx(-log_probabilities[range(2), twin.batch["label"]].mean().item())

"""The CNN behind a whitening layer: what is made from examples, what is trained."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnets import registry
from jaxnets.config import FastCNNConfig, validate, with_fields
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.nn.whiten import whitening_filters
from jaxnets.pipeline import images
from jaxnets.training import engine

RNG = np.random.default_rng(0)
SPLITS = {
    split: {"image": RNG.integers(0, 256, (40, 16, 16, 3), np.uint8), "label": np.arange(40, dtype=np.int32) % 4}
    for split in ("train", "validation", "test")
}
DATA = Dataset("noise", SPLITS, {"class_names": list("abcd"), "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.2]})
SMALL = {"model.widths": (4, 6), "data.batch_size": 8, "eval_batch_size": 7, "seeds": 2, "epochs": 1}
EXPERIMENT = with_fields(registry.all_experiments()["cifar10/fast"], SMALL)


@pytest.fixture(scope="module")
def built():
    return engine.build(EXPERIMENT, DATA)


def test_every_seed_starts_from_the_training_images_filters_and_keeps_them(built):
    config = EXPERIMENT.data
    pixels = images.for_evaluation(config, images.normalization(config, DATA.meta), SPLITS["train"]["image"])
    expected = whitening_filters(np.asarray(pixels), 2)
    start = built.init()
    before = jax.device_get(start.variables)
    for kernel in before["fixed"]["Conv_0"]["kernel"]:
        np.testing.assert_allclose(kernel, expected, rtol=1e-4, atol=1e-5)
    trained, _ = built.train(start, jax.tree.map(lambda x: x[:, :3], built.epoch_indices(start.key, 0)))
    after = jax.device_get(trained.params)
    jax.tree.map(np.testing.assert_array_equal, before["fixed"], jax.device_get(trained.model_state["fixed"]))
    moved = jax.tree.map(lambda a, b: not np.array_equal(a, b), before["params"], after)
    assert all(jax.tree.leaves(moved))
    first, second = before["params"]["head"]["kernel"]
    assert (first != second).all()


def test_given_weights_come_first(built):
    given = {"fixed": {"Conv_0": {"kernel": np.full((2, 2, 3, 24), 0.5, np.float32)}}}
    start = engine.build(EXPERIMENT, DATA, pretrained=given).init()
    assert (np.asarray(start.model_state["fixed"]["Conv_0"]["kernel"]) == 0.5).all()


@pytest.mark.parametrize(
    ("change", "field"),
    [({"depth": 0}, "depth"), ({"depth": 1, "residual": True}, "residual"), ({"logit_scale": 0.0}, "logit_scale"),
     ({"norm_momentum": 1.0}, "norm_momentum"), ({"patch": 0}, "patch"), ({"widths": (0,)}, "widths")],
)  # fmt: skip
def test_values_out_of_range_are_named(change, field):
    with pytest.raises(UserError, match=f"model.{field} cannot be"):
        validate(dataclasses.replace(EXPERIMENT, model=FastCNNConfig(**change)))

"""Retraining the last layer: what is trained, what stays, and how other sets' images are made to fit."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.analysis.visualize import transfer
from jaxnets.config import Experiment, ImageData
from jaxnets.config.model import CNNConfig
from jaxnets.data.store import Dataset, image_statistics
from jaxnets.errors import UserError
from jaxnets.training import engine

DATA = ImageData("tiny", batch_size=8)
NET = Experiment("tiny", "", "", DATA, CNNConfig(width=2, dense=6, batch_norm=True, dropout_dense=0.5), seeds=2)


def prepared(height=8, width=8, channels=3, n=20, seed=0):
    rng = np.random.default_rng(seed)
    make = lambda n: {
        "image": rng.integers(0, 256, (n, height, width, channels), dtype=np.uint8),
        "label": rng.integers(0, 4, n).astype(np.int32),
    }
    splits = {"train": make(n), "validation": make(6), "test": make(6)}
    return Dataset("tiny", splits, {"class_names": list("abcd"), **image_statistics(splits["train"]["image"])})


def same(ours, theirs):
    """Whether two trees agree bit for bit."""
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: np.asarray(a).tobytes() == np.asarray(b).tobytes(), ours, theirs)))


def test_only_the_last_layer_changes():
    experiment = transfer.experiment_on(NET, "tiny", DATA, epochs=3, seeds=4, rate=1e-2)  # On other devices.
    data = prepared()
    origin = engine.build(dataclasses.replace(NET, seed=9), data).init()
    one = jax.tree.map(lambda x: x[1], origin.variables)
    probe, pretrained = transfer.baselines(experiment, one)["last layer, trained features"]
    built = engine.build(probe, data, pretrained=pretrained)
    began = jax.device_get(built.init())
    outcome = transfer.train(built, 3)
    assert outcome.parameters == built.num_parameters == 6 * 4 + 4
    assert int(outcome.state.step[0]) == 3 * 2
    for seed in range(4):
        ended = jax.tree.map(lambda x: x[seed], outcome.state.variables)  # noqa: B023
        head = ended["params"].pop("head")
        kept = {name: part for name, part in one["params"].items() if name != "head"}
        assert same(ended["params"], kept)
        assert same(ended["batch_stats"], one["batch_stats"])
        before = jax.tree.map(lambda x: x[seed], began.params["head"])  # noqa: B023
        assert not any(np.allclose(a, b) for a, b in zip(jax.tree.leaves(head), jax.tree.leaves(before), strict=True))
        assert not same(before, one["params"]["head"])  # It starts anew.
    assert [line["epoch"] for line in outcome.epochs] == [1, 2, 3]
    assert len(outcome.accuracy) == len(outcome.epochs[0]["validation"]["accuracy"]) == 4


def test_the_three_baselines_differ_in_what_they_train():
    experiment = transfer.experiment_on(NET, "tiny", DATA, epochs=1, seeds=1, rate=1e-3)
    data = prepared()
    start = engine.build(NET, data).init()
    one = jax.tree.map(lambda x: x[0], start.variables)
    found = transfer.compare(experiment, data, one)
    trained, random, scratch = found.values()
    assert trained.parameters == random.parameters < scratch.parameters
    assert same(trained.state.params["Conv_0"], jax.tree.map(lambda x: x[None], one["params"]["Conv_0"]))
    fresh = engine.build(experiment, data).init()
    assert same(random.state.params["Conv_0"], fresh.params["Conv_0"])
    assert not same(scratch.state.params["Conv_0"], fresh.params["Conv_0"])


@settings(max_examples=30)
@given(
    size=st.tuples(st.integers(3, 30), st.integers(3, 30)),
    channels=st.sampled_from([1, 3]),
    side=st.integers(3, 12),
    wanted=st.sampled_from([1, 3]),
)
def test_any_images_come_to_fit(size, channels, side, wanted):
    data, config, words = transfer.adapt_images(prepared(*size, channels, n=3), DATA, (side, side, wanted))
    shape = data.splits["test"]["image"].shape[1:]
    assert (shape[0] / config.shrink, shape[1] / config.shrink) == (side, side)
    assert (1 if config.gray else shape[2]) == wanted
    assert len(data.meta["mean"]) == shape[2]
    assert (words == "as they are") == (size == (side, side) and channels == wanted)


def test_digits_are_padded_and_repeated():
    digits = prepared(28, 28, 1)
    data, config, words = transfer.adapt_images(digits, DATA, (32, 32, 3))
    old, new = digits.splits["train"]["image"], data.splits["train"]["image"]
    for channel in range(3):
        np.testing.assert_array_equal(new[:, 2:-2, 2:-2, channel : channel + 1], old)
    assert new.sum() == 3 * old.sum(dtype=int)
    assert words == "padded with zeros, 28×28 to 32×32; gray repeated in three channels"
    assert (config.shrink, config.gray) == (1, False)
    np.testing.assert_allclose(data.meta["mean"], new.mean((0, 1, 2)) / 255)


def test_large_ones_are_shrunk_and_cut_to_their_middle():
    large = prepared(9, 9, 3)
    data, config, words = transfer.adapt_images(large, DATA, (4, 4, 1))
    np.testing.assert_array_equal(data.splits["test"]["image"], large.splits["test"]["image"][:, :8, :8])
    assert (config.shrink, config.gray) == (2, True)
    assert words == "cut to the middle, 9×9 to 8×8; shrunk to 4×4; color made gray"


def test_a_set_without_images_is_named():
    texts = Dataset("texts", {"train": {"text": np.zeros(3)}}, {})
    with pytest.raises(UserError, match="data set texts has no labeled images"):
        transfer.adapt_images(texts, DATA, (32, 32, 3))

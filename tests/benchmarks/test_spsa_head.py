"""A new head by SPSA: accuracies of made-up features, and the features of a net as its head sees them."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import spsa_head
from jaxnets.data import catalog
from jaxnets.runs.load import load


def made_up(examples):
    rng = np.random.default_rng(0)
    centers, label = rng.normal(size=(10, 8)), rng.integers(0, 10, examples)
    return {
        "x": jnp.asarray(centers[label] + 0.3 * rng.normal(size=(examples, 8)), jnp.float32),
        "label": jnp.asarray(label),
    }


def test_every_method_learns_and_the_best_rate_is_shown(monkeypatch):
    spsa = spsa_head.METHODS["SPSA"][2]
    methods = {"gradient descent": (1, (1e-6, 1.0), spsa_head.METHODS["gradient descent"][2]), "SPSA": (2, (0.01,), spsa)}
    monkeypatch.setattr(spsa_head, "METHODS", methods)
    monkeypatch.setattr(spsa_head, "MARKS", (50, 2000))
    rows = spsa_head.measure({split: made_up(500) for split in ("train", "validation", "test")}, seeds=2, marks=(50, 2000))
    shown = spsa_head.best(rows)
    assert [(row["method"], row["rate"]) for row in shown] == [("gradient descent", 1.0), ("SPSA", 0.01)]
    for row in shown:
        assert np.shape(row["test_accuracy"]) == (2, 2)
        assert np.mean(row["test_accuracy"][-1]) > 0.6
    assert spsa_head.table(rows).splitlines()[0] == "| test % after | 50 | 2,000 |"
    assert spsa_head.draw(rows).axes[0].get_legend_handles_labels()[1] == ["gradient descent", "SPSA"]


def test_features_are_what_the_head_sees():
    """The head of the net, applied to them, gives the net's own outputs."""
    net = load(Path(spsa_head.NET))
    data = dataclasses.replace(net.experiment.data, source="synthetic")
    net = net._replace(experiment=dataclasses.replace(net.experiment, data=data, eval_examples=50))
    dataset = catalog.open_data(data)
    seen = spsa_head.features(net, dataset, "test")
    task = spsa_head.tasks.build(net.experiment, dataset)
    loader = task.eval_loader("test")
    batch = loader.make_batch(task.arrays["test"], jax.tree.map(lambda x: x[0], loader.epoch_indices(None, 0)), None)
    expected = net.model.apply(net.variables, batch["image"], train=False)
    head = net.variables["params"]["head"]
    np.testing.assert_allclose(seen["x"][:20] @ head["kernel"] + head["bias"][None], expected[:20], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(seen["label"][:20], batch["label"][:20])
    assert len(seen["label"]) == 50

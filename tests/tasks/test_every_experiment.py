"""One training step of every experiment, on noise of its data's shape."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import models, registry
from jaxnets.config import to_json, with_field
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.optim import optimizer
from jaxnets.pipeline.visual_words import bow
from jaxnets.tasks import task as tasks
from jaxnets.training import engine, state
from jaxnets.training.step import make_train_step, multi_step

# What makes a step small without making it another program: nets are narrower, batches and images smaller.
SMALL = {
    "data.batch_size": 4, "data.window": 5, "data.dictionary_size": 9, "model.hidden": 8, "model.embedding": 8,
    "optim.spsa.num_perturbations": 2, "model.weights": "none",
}  # fmt: skip
NARROW = {"model.width": 4, "model.blocks": (1, 1)}
EXAMPLES = 24


def small(experiment):
    """The experiment with a net of the same architecture that is quick to compile."""
    changes = dict(SMALL)
    if hasattr(experiment.model, "blocks"):
        changes |= NARROW
    if isinstance(getattr(experiment.model, "hidden", 0), tuple):
        del changes["model.hidden"]
    for path, value in changes.items():
        owner, name = path.rpartition(".")[::2]
        holder = experiment
        for part in owner.split("."):
            holder = getattr(holder, part)
        if hasattr(holder, name):
            experiment = with_field(experiment, path, value)
    return dataclasses.replace(experiment, seeds=1, grad_accumulation_steps=1, eval_batch_size=3)


def noise(spec):
    """A few examples of the data set's shapes, with random values that its vocabulary or classes allow."""
    rng = np.random.default_rng(0)

    def fill(field, array):
        count = EXAMPLES if array.ndim > 1 or field != "token" else 400
        shape = (count, *array.shape[1:])
        if field == "image":
            return rng.integers(0, 256, shape, np.uint8)
        if field.endswith("length"):
            return np.full(shape, 3, array.dtype)
        return rng.integers(1, 3, shape).astype(array.dtype)

    splits = {split: {field: fill(field, array) for field, array in fields.items()} for split, fields in spec.splits.items()}
    return Dataset(spec.name, splits, spec.meta)


def signature(experiment):
    """What decides which program is compiled: all but numbers that a step takes as they come."""
    plain = to_json(dataclasses.replace(experiment, id="", source="", summary="", reported={}))
    for name in ("epochs", "steps", "seeds", "seed", "select", "eval_examples"):
        del plain[name]
    del plain["data"]["source"], plain["data"]["synthetic"], plain["data"]["batch_size"], plain["optim"]["lr"]
    plain["optim"]["spsa"] = experiment.optim.name == "spsa" and experiment.optim.spsa.rule
    plain["classes"] = len(catalog.element_spec(experiment.dataset).meta.get("class_names", ()))
    return json.dumps(plain, sort_keys=True)


PROGRAMS = {signature(small(e)): e for e in registry.all_experiments().values()}


@pytest.mark.parametrize("experiment", PROGRAMS.values(), ids=lambda e: e.id)
def test_a_step_moves_what_it_should(experiment, monkeypatch):
    experiment = small(experiment)
    dataset = noise(catalog.element_spec(experiment.dataset))
    if "image" in dataset.splits["train"] and dataset.splits["train"]["image"].shape[1] > 64:  # Photographs.
        smaller = {
            split: {field: array[:, :64, :64] if field == "image" else array for field, array in fields.items()}
            for split, fields in dataset.splits.items()
        }
        dataset = dataset._replace(splits=smaller)
    monkeypatch.setattr(bow.store, "is_prepared", lambda name: False)
    monkeypatch.setattr(bow.store, "save", lambda name, splits, meta: None)
    counts = np.ones(
        (EXAMPLES, 4 ** (getattr(experiment.data, "levels", 1) - 1), getattr(experiment.data, "dictionary_size", 1))
    )
    by_word = {
        split: {"counts": counts.astype(np.uint16), "label": np.zeros(EXAMPLES, np.int32)} for split in dataset.splits
    }
    monkeypatch.setattr(bow.store, "load", lambda name: dataset._replace(splits=by_word))
    task = tasks.build(experiment, dataset)
    model = models.build(experiment.model, task.sizes)
    # At a constant rate: a warm-up starts from 0.
    tx = optimizer.build(dataclasses.replace(experiment.optim, warmup_epochs=0), 100, 10)
    step = make_train_step(model, task.objective, tx, eval_mode=experiment.optim.trainable == "head")
    arrays = jax.tree.map(jnp.asarray, dict(task.arrays["train"]))

    @jax.jit
    def run(arrays):
        start = state.create(jax.random.key(1), model, tx, task.sample_inputs, task.carry)
        indices = jax.tree.map(lambda x: x[:1], task.train_loader.batch_indices(jax.random.key(0), 0))
        return start, *multi_step(step, task.train_loader)(start, indices, arrays)

    before, after, metrics = run(arrays)
    loss = float(metrics["loss"].value[0])
    assert math.isfinite(loss)
    assert int(after.failed_at) == -1
    if experiment.model.init.scheme != "normal" and task.class_names:
        assert loss < 4 * math.log(len(task.class_names))
    assert set(metrics) <= set(engine.metric_names(experiment, task))
    moved = {name: not np.array_equal(a, after.params[name]) for name, a in _flat(before.params, after.params)}
    if experiment.optim.trainable == "head":
        assert {name for name, changed in moved.items() if changed} == {"head"}
    else:
        assert all(moved.values()), moved


def _flat(before, after):
    """(name, the layer's parameters in one vector) before; those after take their place in `after`."""
    for name in list(before):
        flat = lambda tree: np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
        after[name] = flat(after[name])
        yield name, flat(before[name])

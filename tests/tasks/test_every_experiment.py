"""One training step of every experiment of the registry, on noise of its data's shape.

Nets are narrower and batches smaller than the experiment's own, which leaves the program as it is. Of experiments that
differ in nothing but the size of a rate, a strength or a layer, only the first is run; of those that differ in the data set
alone, one with each kind of model. The first of each kind of model and of each update rule are in `make test`, the others in
`make test-slow`.
"""

import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import models, registry
from jaxnets.config import field_at, to_json, with_field
from jaxnets.data import catalog
from jaxnets.optim import optimizer
from jaxnets.pipeline.visual_words import bow
from jaxnets.tasks import task as tasks
from jaxnets.training import engine, state
from jaxnets.training.step import make_train_step, multi_step

SMALL = {
    "seeds": 1, "grad_accumulation_steps": 1, "eval_batch_size": 3,
    "data.batch_size": 4, "data.window": 5, "data.dictionary_size": 9, "data.max_length": 6,
    "model.hidden": 8, "model.embedding": 8, "model.width": 4, "model.blocks": (1, 1), "model.weights": "none",
    "optim.spsa.num_perturbations": 2, "optim.warmup_epochs": 0.0,  # A warm-up's first rate is 0.
}  # fmt: skip
EXAMPLES, TOKENS, SIDE = 24, 400, 64


def small(experiment):
    """The experiment with a net of the same architecture that is quick to compile."""
    for path, value in SMALL.items():
        try:
            present = field_at(experiment, path)
        except AttributeError:
            continue
        if isinstance(present, tuple) == isinstance(value, tuple):  # The hidden layers of a dense net stay as they are.
            experiment = with_field(experiment, path, value)
    return experiment


def noise(spec):
    """A few examples of the data set's shapes; photographs are cut to 64 pixels a side."""
    rng = np.random.default_rng(0)

    def fill(field, like):
        shape = (TOKENS if field == "token" and like.ndim == 1 else EXAMPLES, *like.shape[1:])
        if field == "image":
            return rng.integers(0, 256, (EXAMPLES, *(min(size, SIDE) for size in shape[1:])), np.uint8)
        if field.endswith("length"):
            return np.full(shape, 3, like.dtype)
        if field in ("label", "category"):
            return rng.integers(0, len(spec.meta.get("class_names") or spec.meta["categories"]), shape, like.dtype)
        return rng.integers(1, 3, shape).astype(like.dtype)  # Token 0 is padding.

    splits = {split: {field: fill(field, like) for field, like in fields.items()} for split, fields in spec.splits.items()}
    return spec._replace(splits=splits)


@functools.cache
def dataset(name):
    return noise(catalog.element_spec(name))


def recipe(experiment):
    """What a step does, whatever its data set and its sizes: a rate or a strength counts as 0 or not 0."""

    def without_sizes(value):
        if isinstance(value, dict):
            return {name: without_sizes(item) for name, item in value.items()}
        if isinstance(value, list):
            return [without_sizes(item) for item in value]
        return bool(value) if isinstance(value, float) else value

    config = without_sizes(to_json(small(experiment)))
    for name in ("source", "synthetic", "batch_size", "shrink"):
        config["data"].pop(name, None)
    del config["model"]["init"]
    config["optim"]["spsa"] = experiment.optim.name == "spsa" and experiment.optim.spsa.rule
    return json.dumps([config["data"], config["model"], config["optim"]], sort_keys=True)


def different_experiments():
    chosen, seen = [], set()
    for experiment in registry.all_experiments().values():
        parts = {recipe(experiment), (experiment.dataset, type(experiment.model))}
        if not parts <= seen:
            chosen.append(experiment)
            seen |= parts
    return chosen


def as_parameters(experiments):
    """Parameters of a test; slow but for the first with its kind of model or its update rule."""
    parameters, seen = [], set()
    for experiment in experiments:
        parts = {type(experiment.model), (experiment.optim.name, experiment.optim.trainable)}
        parameters.append(pytest.param(experiment, id=experiment.id, marks=[pytest.mark.slow] if parts <= seen else []))
        seen |= parts
    return parameters


@functools.cache
def metric_names(task_module, tokenizer):
    """What `engine.metric_names` says of the first experiment of a task."""
    experiment = next(
        e
        for e in registry.all_experiments().values()
        if (e.task, dataset(e.dataset).meta.get("tokenizer")) == (task_module, tokenizer)
    )
    return set(engine.metric_names(small(experiment), tasks.build(small(experiment), dataset(experiment.dataset))))


@pytest.mark.parametrize("experiment", as_parameters(different_experiments()))
def test_one_step(experiment, monkeypatch):
    experiment = small(experiment)
    data = dataset(experiment.dataset)
    monkeypatch.setattr(bow, "counts", counts_of_words)
    task = tasks.build(experiment, data)
    model = models.build(experiment.model, task.sizes)
    tx = optimizer.build(experiment.optim, 100, 10)
    step = make_train_step(model, task.objective, tx, eval_mode=experiment.optim.trainable != "all")
    steps = multi_step(step, task.train_loader)
    # Many experiments start from the same weights, by the same program, but have other rules.
    create = lambda: state.create(jax.random.key(1), model, optax.identity(), task.sample_inputs, task.carry)
    before = jax.jit(create)()
    after, metrics = jax.jit(lambda start, *args: steps(start._replace(opt_state=tx.init(start.params)), *args))(
        before,
        jax.tree.map(lambda x: x[:1], task.train_loader.epoch_indices(jax.random.key(0), 0)),
        jax.tree.map(jnp.asarray, dict(task.arrays["train"])),
    )
    assert int(after.failed_at) == -1
    loss = float(metrics["loss"].value[0])
    assert math.isfinite(loss)
    if choices(task) and experiment.model.init.scheme != "normal":
        assert loss == pytest.approx(math.log(choices(task)), rel=0.3)  # That of guessing.
    assert {*metrics, *task.objective.derived} == metric_names(experiment.task, data.meta.get("tokenizer"))
    layers = {name: flat(layer) for name, layer in before.params.items()}
    moved = {name for name, values in layers.items() if not np.array_equal(values, flat(after.params[name]))}
    norms = {name for name, layer in before.params.items() if "scale" in layer}
    assert moved == {"all": set(layers), "head": {"head"}, "scales": norms}[experiment.optim.trainable]


def choices(task):
    """How many classes, letters or words the model chooses from; 0 for an autoencoder."""
    sizes = task.sizes
    return len(task.class_names) or sizes.get("target_vocab_size", sizes.get("vocab_size", 0))


def counts_of_words(config, dataset):
    """Histograms of visual words, without looking for the words."""
    regions = 4 ** (config.levels - 1)
    counts = np.ones((EXAMPLES, regions, config.dictionary_size), np.uint16)
    return {split: {"counts": counts, "label": fields["label"]} for split, fields in dataset.splits.items()}


def flat(layer):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(layer)])

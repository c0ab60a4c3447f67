"""The training program and the evaluation of every experiment, lowered for GPUs and TPUs in a process that has neither.

Sizes are the experiment's own, but nothing of them is in memory. Of experiments that differ in values alone the first stands
for all, as in tests/tasks/test_every_experiment.py, and `make test` has one of each kind. Residual nets have a block a stage
here, and all of them in `make test-accelerators`.
"""

import os
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import registry
from jaxnets.data import catalog
from jaxnets.pipeline.visual_words import bow
from jaxnets.tasks import task as tasks
from jaxnets.training import ahead, engine, parallel
from jaxnets.training.loop import train_epoch
from tests.tasks.test_every_experiment import as_parameters, different_experiments

PLATFORMS = ("cuda", "tpu")
WHOLE_NETS = bool(os.environ.get("JAXNETS_TEST_ACCELERATORS"))


def programs_for(experiment, platform):
    spec = catalog.get(experiment.dataset).element_spec()
    layout = parallel.Layout("seeds", parallel.make_mesh(jax.devices()[:1]), platform)
    return engine.programs(experiment, tasks.build(experiment, spec), layout)


def shallow(experiment):
    blocks = getattr(experiment.model, "blocks", None)
    if WHOLE_NETS or not blocks:
        return experiment
    return replace(experiment, model=replace(experiment.model, blocks=(1,) * len(blocks)))


def equations(jaxpr):
    """All equations of a jaxpr and of those nested in it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for item in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(item, "jaxpr", item)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)


def first_loop(traced):
    """The number of turns of a program's outermost loop."""
    return next(e.params["length"] for e in equations(traced.jaxpr.jaxpr) if e.primitive.name == "scan")


def lowered(traced):
    """The text of a traced program; it needs nothing of the host, no kernel of ours for CPUs, and 32 bits."""
    assert not [e.primitive.name for e in equations(traced.jaxpr.jaxpr) if "callback" in e.primitive.name]
    text = traced.lower(lowering_platforms=PLATFORMS).as_text()
    assert "jaxnets_" not in text
    assert "stablehlo.custom_call" not in text
    assert not re.search(r"\bf64\b|xf64>", text)
    return text


def counted_words(config, dataset):
    """Histograms of visual words as shapes, without looking for the words."""
    like = lambda label: np.broadcast_to(np.uint16(0), (len(label), 4 ** (config.levels - 1), config.dictionary_size))
    return {split: {"counts": like(fields["label"]), "label": fields["label"]} for split, fields in dataset.splits.items()}


@pytest.mark.parametrize("experiment", as_parameters(different_experiments()))
def test_every_program_lowers_for_accelerators(experiment, monkeypatch):
    monkeypatch.setattr(bow, "counts", counted_words)
    experiment = shallow(experiment)
    made = programs_for(experiment, PLATFORMS[0])
    arguments = ahead.train_arguments(made, experiment.seeds)
    traced = made.train.trace(*arguments)
    # The seeds are no loop, and the loop over steps is a whole epoch long.
    assert first_loop(traced) == made.task.train_loader.steps
    assert lowered(traced).count("tf.aliasing_output") == len(jax.tree.leaves(arguments[0])), (
        "the state is not donated whole"
    )
    evaluated = made.evaluate("validation", False).trace(arguments[0].variables, ahead.arrays(made, "validation"))
    assert first_loop(evaluated) == made.task.eval_loader("validation").steps
    lowered(evaluated)


LENET = registry.all_experiments()["cifar10/lenet/bn"]


def test_the_platform_decides_the_form_and_not_what_this_process_runs_on():
    """On CPUs seeds are a loop and a call takes a few steps; the shapes that go in and out are the same."""
    on_cpu, on_gpu = programs_for(LENET, "cpu"), programs_for(LENET, "cuda")
    steps = on_cpu.task.train_loader.steps
    few, whole = (ahead.train_arguments(made, LENET.seeds) for made in (on_cpu, on_gpu))
    assert few[1].shape[1] == parallel.steps_per_call(steps, "cpu") < whole[1].shape[1] == steps
    assert first_loop(on_cpu.train.trace(*few)) == LENET.seeds
    assert jax.tree.map(jnp.shape, few[0]) == jax.tree.map(jnp.shape, whole[0])


def test_the_shapes_are_those_that_training_has(few_shapes):
    """What is lowered ahead is what runs."""
    experiment = replace(LENET, seeds=2, data=replace(LENET.data, batch_size=50))
    built = engine.build(experiment, few_shapes, devices=jax.devices()[:1])
    layout = parallel.Layout("seeds", built.layout.mesh)
    made = engine.programs(experiment, tasks.build(experiment, few_shapes), layout)
    state, indices, arrays = ahead.train_arguments(made, 2, steps=8)
    described = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)
    initial = built.init()
    assert described(initial) == described(state)
    assert described(built.epoch_indices(initial.key, 0)) == described(indices)
    assert described(dict(built.task.arrays["train"])) == described(arrays)


def test_training_moves_nothing_between_host_and_device_and_reuses_the_state(few_shapes):
    """But for what is asked for: the metrics. The first epoch compiles, and puts the data on the device."""
    experiment = replace(LENET, seeds=2, data=replace(LENET.data, batch_size=50))
    built = engine.build(experiment, few_shapes, devices=jax.devices()[:1])
    [*_, progress] = train_epoch(built, built.init(), 0)
    built.evaluate("validation", progress.state.variables, False)
    before, indices = progress.state, built.epoch_indices(progress.state.key, 1)
    with jax.transfer_guard("disallow"):
        after, metrics = built.train(before, indices)
        built.evaluate("validation", after.variables, False)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((before.params, before.opt_state, before.model_state)))
    assert metrics["loss"].total.shape == (2, 8)

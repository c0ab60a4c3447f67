"""Our side of a step: the training step of a workload, for one replica or several, as a candidate for timing."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.harness import Candidate
from benchmarks.workloads import PreparedWorkload
from jaxnets import models
from jaxnets.optim import optimizer
from jaxnets.training import parallel, state
from jaxnets.training.memory import Costs
from jaxnets.training.step import TrainStep, make_train_step

_STEPS_PER_CALL = 32
"""On accelerators, where training runs many steps in one call."""


def build(workload: PreparedWorkload) -> tuple[TrainStep, Any]:
    """(the step, a function (key, None) -> initial state)."""
    experiment, task = workload.experiment, workload.task
    model = models.build(experiment.model, task.sizes)
    tx = optimizer.build(experiment.optim, 1000, 100)
    create = lambda key, shared: state.create(key, model, tx, task.sample_inputs, task.carry)
    return make_train_step(model, task.objective, tx), create


def candidate(workload: PreparedWorkload, replicas: int = 1) -> Candidate:
    """The step as training executes it: one step a call on CPUs, several on accelerators, each with its own batch.

    Several replicas are trained as `jaxnets run --seeds` trains them.
    """
    layout, costs = parallel.choose_layout(replicas, workload.task.examples_per_step), Costs()
    steps_per_call = 1 if layout.platform == "cpu" else _STEPS_PER_CALL
    compiled_step: list[Any] = []
    """[function (state, batch) -> state, its current state, batch]; empty before the first run."""

    def compile_step() -> None:
        step, create = build(workload)
        batch = jax.tree.map(jnp.asarray, dict(workload.batch))
        if steps_per_call == 1:
            run = lambda state, batch: step(state, batch)[0]
        else:
            # All batches are equal, but the compiler does not know that and moves nothing out of the loop.
            batch = jax.tree.map(lambda x: jnp.broadcast_to(x, (steps_per_call, *x.shape)), batch)
            run = lambda state, batches: lax.scan(step, state, batches)[0]
        keys = state.replica_keys(0, replicas)
        if replicas == 1:
            initial = jax.jit(create)(keys[0], None)
            compiled = jax.jit(run, donate_argnums=0).lower(initial, batch).compile()
            costs.peak_bytes = parallel.memory.needed(compiled).total
        else:
            initial = parallel.compile_over_seeds(create, layout)(keys, None)
            batch = parallel.put(batch, layout, shared=True)
            compiled = parallel.compile_over_seeds(run, layout, donate=True, costs=costs)
        compiled_step.extend((compiled, initial, batch))

    def run(steps: int) -> None:
        if not compiled_step:
            compile_step()
        compiled, current, batch = compiled_step
        for _ in range(steps // steps_per_call):
            current = compiled(current, batch)
        compiled_step[1] = jax.block_until_ready(current)

    return Candidate(run, steps_per_call, lambda: costs.peak_bytes or None)

"""Our side: the training step of a case, for one replica or several, and what it computes."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.harness import Candidate
from benchmarks.workloads import Case
from jaxnets import models
from jaxnets.optim import optimizer
from jaxnets.training import parallel, state
from jaxnets.training.memory import Costs
from jaxnets.training.step import TrainStep, make_train_step

_STEPS_PER_CALL = 32
"""On accelerators, where training takes whole epochs in one call."""


def make(case: Case) -> tuple[TrainStep, Any]:
    """(the step, a function (key, None) -> its first state)."""
    experiment, task = case.experiment, case.task
    model = models.build(experiment.model, task.sizes)
    tx = optimizer.build(experiment.optim, 1000, 100)
    create = lambda key, shared: state.create(key, model, tx, task.sample_inputs, task.carry)
    return make_train_step(model, task.objective, tx), create


def train_step(case: Case, replicas: int = 1) -> Candidate:
    """The training program's step: on CPUs one a call, on accelerators several, each with a batch of its own.

    Several replicas are trained as `jaxnets run --seeds` trains them.
    """
    layout, costs = parallel.choose_layout(replicas, case.task.examples_per_step), Costs()
    per_call = 1 if layout.platform == "cpu" else _STEPS_PER_CALL
    built: list[Any] = []

    def build() -> None:
        step, create = make(case)
        batch = jax.tree.map(jnp.asarray, dict(case.batch))
        if per_call == 1:
            run = lambda state, batch: step(state, batch)[0]
        else:
            # Equal batches, but the compiler does not know that, and takes nothing out of the loop.
            batch = jax.tree.map(lambda x: jnp.broadcast_to(x, (per_call, *x.shape)), batch)
            run = lambda state, batches: lax.scan(step, state, batches)[0]
        keys = state.replica_keys(0, replicas)
        if replicas == 1:
            first = jax.jit(create)(keys[0], None)
            compiled = jax.jit(run, donate_argnums=0).lower(first, batch).compile()
            costs.peak_bytes = parallel.memory.needed(compiled).total
        else:
            first = parallel.compile_over_seeds(create, layout)(keys, None)
            batch = parallel.put_replicated(batch, layout.mesh)
            compiled = parallel.compile_over_seeds(run, layout, donate=True, costs=costs)
        built.extend((compiled, first, batch))

    def run(steps: int) -> None:
        if not built:
            build()
        compiled, current, batch = built
        for _ in range(steps // per_call):
            current = compiled(current, batch)
        built[1] = jax.block_until_ready(current)

    return Candidate(run, per_call, lambda: costs.peak_bytes or None)

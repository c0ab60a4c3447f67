"""Our side: the training step of a case, for one replica or several, and what it computes."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.harness import Candidate
from benchmarks.workloads import Case
from jaxnets import memory, models, optim, parallel, state
from jaxnets.step import Step, make_step

_CALL = 32
"""Steps in a call on accelerators, where training takes whole epochs in one."""


def make(case: Case) -> tuple[Step, Any]:
    """(the step, a function key -> its first state)."""
    experiment, problem = case.experiment, case.problem
    model = models.build(experiment.model, problem.sizes)
    tx = optim.build(experiment.optim, 1000, 100, jax.random.key(0))
    create = lambda key, shared: state.create(key, model, tx, problem.inputs, problem.carry)
    return make_step(model, problem.task, tx), create


def train_step(case: Case, replicas: int = 1) -> Candidate:
    """The training program's step: on CPUs one a call, on accelerators several, each with a batch of its own.

    Several replicas are trained as `jaxnets run --seeds` trains them.
    """
    per_call = 1 if parallel.describe_devices()["platform"] == "cpu" else _CALL
    made: list[Any] = []

    def build() -> None:
        step, create = make(case)
        batch = jax.tree.map(jnp.asarray, dict(case.batch))
        if per_call == 1:
            run = lambda state, batch: step(state, batch)[0]
        else:
            # Equal batches, but the compiler does not know that, and takes nothing out of the loop.
            batch = jax.tree.map(lambda x: jnp.broadcast_to(x, (per_call, *x.shape)), batch)
            run = lambda state, batches: lax.scan(step, state, batches)[0]
        mesh = parallel.choose_layout(replicas, case.problem.examples).mesh
        keys = state.replica_keys(0, replicas)
        if replicas == 1:
            first = jax.jit(create)(keys[0], None)
            compiled = jax.jit(run, donate_argnums=0).lower(first, batch).compile()
        else:
            first = parallel.seed_parallel(create, mesh)(keys, None)
            batch = parallel.replicate(batch, mesh)
            compiled = parallel.seed_parallel(run, mesh, donate=True).lower(first, batch).compile()
        made.extend((compiled, first, batch))

    def run(steps: int) -> None:
        if not made:
            build()
        compiled, current, batch = made
        for _ in range(steps // per_call):
            current = compiled(current, batch)
        made[1] = jax.block_until_ready(current)

    return Candidate(run, per_call, lambda: memory.needed(made[0]).total or None)

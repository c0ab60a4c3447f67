"""Memory of a training step by the compiler's count: SPSA's evaluations in turn and together beside backpropagation.

python -m benchmarks.spsa_memory [--json FILE]

Scratch bytes of the compiled step, without parameters, optimizer state and batch, which all rules have: LeNet over batch
sizes, and MLPs of 256 units over depths at a batch of 1,024. Nothing is run or timed.
"""

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import tyro

from benchmarks import harness
from benchmarks.facts import facts
from jaxnets import models
from jaxnets.cli.parse import parse
from jaxnets.config import LeNetConfig, MLPConfig, ModelConfig, Optim, Spsa
from jaxnets.optim import optimizer
from jaxnets.tasks import classification
from jaxnets.training import state
from jaxnets.training.step import make_train_step

RULES = {
    "backpropagation": Optim("sgd"),
    "SPSA": Optim("spsa"),
    "SPSA, in turn": Optim("spsa", spsa=Spsa(at_once=1)),
    "SPSA of 16": Optim("spsa", spsa=Spsa(num_perturbations=16)),
    "SPSA of 16, in turn": Optim("spsa", spsa=Spsa(num_perturbations=16, at_once=1)),
}
BATCHES, DEPTHS, DEPTH_BATCH = (32, 128, 512, 2048), (2, 4, 8, 16), 1024


def cases() -> Iterator[tuple[str, int, ModelConfig, tuple[int, ...]]]:
    """(axis, size, model, shape of a batch)"""
    for batch in BATCHES:
        yield "LeNet, batch", batch, LeNetConfig(), (batch, 32, 32, 3)
    for depth in DEPTHS:
        yield "MLP, depth", depth, MLPConfig(hidden=(256,) * depth), (DEPTH_BATCH, 256)


def scratch_bytes(optim: Optim, config: ModelConfig, shape: tuple[int, ...]) -> int:
    """What the compiled step needs besides its arguments and results."""
    model, objective = models.build(config, {"classes": 10}), classification.objective("image")
    tx = optimizer.build(optim, 100, 10)
    batch = {
        "image": jax.ShapeDtypeStruct(shape, jnp.float32),
        "label": jax.ShapeDtypeStruct(shape[:1], jnp.int32),
        "mask": jax.ShapeDtypeStruct(shape[:1], jnp.float32),
    }
    start = jax.eval_shape(lambda key: state.create(key, model, tx, (jnp.zeros((1, *shape[1:])),)), jax.random.key(0))
    step = jax.jit(make_train_step(model, objective, tx), donate_argnums=0)
    return int(step.lower(start, batch).compile().memory_analysis().temp_size_in_bytes)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """MiB of scratch, a line for each size and a column for each rule."""
    lines = [f"| | {' | '.join(RULES)} |", "| :-- |" + " --: |" * len(RULES)]
    for axis, size in dict.fromkeys((row["axis"], row["size"]) for row in rows):
        of = {row["rule"]: row["scratch_bytes"] for row in rows if (row["axis"], row["size"]) == (axis, size)}
        lines.append(f"| {axis} {size:,} | {' | '.join(f'{of[rule] / 2**20:.1f}' for rule in RULES if rule in of)} |")
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class MemoryOptions:
    """Compares the scratch memory of SPSA's step with that of backpropagation's."""

    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Append each row to this JSON Lines file as soon as it is there."""


def main(args: Sequence[str]) -> int:
    """Prints the table, and appends the rows to a file. Returns the exit status."""
    options = parse(MemoryOptions, "bench spsa_memory", list(args))
    rows = []
    for axis, size, config, shape in cases():
        for rule, optim in RULES.items():
            row = {"kind": "spsa memory", "axis": axis, "size": size, "rule": rule}
            rows.append({**row, "scratch_bytes": scratch_bytes(optim, config, shape)})
            if options.json:
                harness.append(options.json, {**rows[-1], **facts()})
            print(rows[-1], file=sys.stderr, flush=True)
    print(table(rows), flush=True)
    return 0


if __name__ == "__main__":
    harness.start(main)

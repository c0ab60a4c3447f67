"""Memory of a training step by the compiler's count: SPSA's evaluations in turn and together beside backpropagation.

python -m benchmarks.spsa_memory [--json FILE] [--out PLOT.png]

Scratch bytes of the compiled step, without parameters, optimizer state and batch, which all rules have: LeNet over batch
sizes, and MLPs of 256 units over depths at a batch of 1,024. Then low-rank directions, whose perturbed matrices are made or
stay factored: three layers of 1,024 units and one example, over directions. Nothing is run or timed.
"""

import dataclasses
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import tyro
from matplotlib.figure import Figure

from benchmarks import harness
from benchmarks.facts import facts
from jaxnets import models
from jaxnets.analysis.report import plots
from jaxnets.cli.parse import parse
from jaxnets.config import LeNetConfig, MLPConfig, ModelConfig, Optim, Spsa
from jaxnets.optim import optimizer
from jaxnets.optim.directions import low_rank
from jaxnets.optim.low_rank import low_rank_gradient
from jaxnets.optim.spsa import spsa_gradient
from jaxnets.runs import records
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
LOW_RANK = {
    "whole": lambda directions: spsa_gradient(num_perturbations=directions, directions=low_rank(1)),
    "factored": lambda directions: low_rank_gradient(num_perturbations=directions),
}
LOW_RANK_DIRECTIONS, LOW_RANK_UNITS, LOW_RANK_LAYERS = (16, 64, 256), 1024, 3


def cases() -> Iterator[tuple[str, int, ModelConfig, tuple[int, ...]]]:
    """(axis, size, model, shape of a batch)"""
    for depth in DEPTHS:
        yield "MLP, depth", depth, MLPConfig(hidden=(256,) * depth), (DEPTH_BATCH, 256)
    for batch in BATCHES:
        yield "LeNet, batch", batch, LeNetConfig(), (batch, 32, 32, 3)


def scratch_bytes(optim: Optim, config: ModelConfig, shape: tuple[int, ...]) -> dict[str, int]:
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
    return {"scratch_bytes": int(step.lower(start, batch).compile().memory_analysis().temp_size_in_bytes)}


def low_rank_costs(form: str, directions: int, units: int = LOW_RANK_UNITS) -> dict[str, int]:
    """Scratch, bytes read and written, and operations of a step of low-rank directions, which stay factored or do not."""
    tx = LOW_RANK[form](directions)
    params = [jax.ShapeDtypeStruct((units, units), jnp.float32)] * LOW_RANK_LAYERS
    x = jax.ShapeDtypeStruct((1, units), jnp.float32)

    def step(params: Any, x: Any, key: Any) -> Any:
        def loss(params: Any) -> Any:
            outputs = x
            for w in params:
                outputs = jnp.tanh(outputs @ w)
            return jnp.mean(outputs**2)

        return tx.update(None, tx.init(params), params, value_fn=loss, key=key)[0]

    compiled = jax.jit(step).lower(params, x, jax.eval_shape(lambda: jax.random.key(0))).compile()
    counted = compiled.cost_analysis()
    return {
        "scratch_bytes": int(compiled.memory_analysis().temp_size_in_bytes),
        "bytes": int(counted["bytes accessed"]),
        "flops": int(counted["flops"]),
    }


def _low_rank_table(rows: Sequence[Mapping[str, Any]]) -> str:
    header = [f"{what}, {form}" for what in ("MiB of scratch", "MiB read and written", "GFLOP") for form in LOW_RANK]
    lines = [f"| low-rank directions | {' | '.join(header)} |", "| :-- |" + " --: |" * len(header)]
    for size in dict.fromkeys(row["size"] for row in rows):
        of = {row["rule"]: row for row in rows if row["size"] == size}
        cells = [
            f"{of[form][field] / unit:,.1f}"
            for field, unit in (("scratch_bytes", 2**20), ("bytes", 2**20), ("flops", 1e9))
            for form in LOW_RANK
        ]
        lines.append(f"| {size:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """MiB of scratch, a line for each size and a column for each rule; then the costs of low-rank directions."""
    if low_rank_rows := [row for row in rows if row["axis"] == "low rank"]:
        rest = [row for row in rows if row["axis"] != "low rank"]
        return f"{table(rest)}\n\n{_low_rank_table(low_rank_rows)}" if rest else _low_rank_table(low_rank_rows)
    lines = [f"| | {' | '.join(RULES)} |", "| :-- |" + " --: |" * len(RULES)]
    for axis, size in dict.fromkeys((row["axis"], row["size"]) for row in rows):
        of = {row["rule"]: row["scratch_bytes"] for row in rows if (row["axis"], row["size"]) == (axis, size)}
        lines.append(f"| {axis} {size:,} | {' | '.join(f'{of[rule] / 2**20:.1f}' for rule in RULES if rule in of)} |")
    return "\n".join(lines)


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Scratch against the batch size and against the depth, a line for each rule."""
    figure = Figure((7.2, 3.0), layout="constrained")
    for axes, axis in zip(figure.subplots(1, 2), dict.fromkeys(axis for axis, *_ in cases()), strict=True):
        for color, rule in zip(plots.PALETTE, RULES, strict=False):
            of = [row for row in rows if row["axis"] == axis and row["rule"] == rule]
            sizes, mib = [row["size"] for row in of], [row["scratch_bytes"] / 2**20 for row in of]
            axes.loglog(sizes, mib, "o-", color=color, label=rule, markersize=3)
        axes.set(xlabel=axis, ylabel="MiB of scratch", xticks=sizes, xticklabels=[f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        plots.despine(axes)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@dataclasses.dataclass(frozen=True)
class MemoryOptions:
    """Compares the scratch memory of SPSA's step with that of backpropagation's."""

    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Append each row to this JSON Lines file as soon as it is there. What the file has already is not measured again."""
    out: Path | None = None
    """A PNG file for a plot of the scratch."""


def main(args: Sequence[str]) -> int:
    """Prints the table, appends the rows to a file, and plots them. Returns the exit status."""
    options = parse(MemoryOptions, "bench spsa_memory", list(args))
    named = {
        **{
            ("low rank", size, form): functools.partial(low_rank_costs, form, size)
            for size in LOW_RANK_DIRECTIONS
            for form in LOW_RANK
        },
        **{
            (axis, size, rule): functools.partial(scratch_bytes, optim, config, shape)
            for axis, size, config, shape in cases()
            for rule, optim in RULES.items()
        },
    }
    rows = list(records.read(options.json)) if options.json and options.json.exists() else []
    done = {(row["axis"], row["size"], row["rule"]) for row in rows}
    for name, measure in named.items():
        if name in done:
            continue
        rows.append({"kind": "spsa memory", **dict(zip(("axis", "size", "rule"), name, strict=True)), **measure()})
        if options.json:
            harness.append(options.json, {**rows[-1], **facts()})
        print(rows[-1], file=sys.stderr, flush=True)
    print(table(rows), flush=True)
    if options.out:
        plots.save(draw(rows), options.out, dpi=80)
    return 0


if __name__ == "__main__":
    harness.start(main)

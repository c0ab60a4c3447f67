"""What SPSA's gains decide: where 1,000 steps end, over a and c, on Spall's quartic whose values have noise.

python -m benchmarks.spsa_gains [--json FILE] [--out PLOT.png]

From Spall's start, 20 seeds for each pair of gains; A is 100, the exponents are Spall's. Further rows for the a that
`scale_by_calibrated_gain` chooses so that parameters first move by 0.1. A file that is there is only plotted.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from matplotlib.figure import Figure

from benchmarks import harness
from benchmarks.spsa_peers import PROBLEMS, descend
from jaxnets.analysis.report import plots
from jaxnets.cli.parse import parse
from jaxnets.optim.gains import scale_by_calibrated_gain
from jaxnets.optim.spsa import spsa, spsa_gradient

PROBLEM, SEEDS, STEPS, BIG_A, ALPHA = "Spall's quartic, 10", 20, 1000, 100.0, 0.602
C = (0.01, 0.1, 0.3, 1.0)
A = tuple(round(float(a), 4) for a in np.geomspace(0.03, 30, 13))


def measure(seeds: int = SEEDS, steps: int = STEPS) -> list[dict[str, Any]]:
    """A row for each c and a, and for each c and the calibrated a, which differs by seed."""
    problem, keys = PROBLEMS[PROBLEM](), jax.random.split(jax.random.key(0), seeds)
    shared = {"kind": "spsa gains", "problem": PROBLEM, "noise": problem.noise, "steps": steps, "big_a": BIG_A, "n": seeds}

    def fixed(a: Any, c: Any, key: Any) -> Any:
        return descend(problem, spsa(a=a, c=c, big_a=BIG_A, alpha=ALPHA), steps, key)[0]

    def calibrated(c: Any, key: Any) -> tuple[Any, Any]:
        gain = scale_by_calibrated_gain(problem.first_step, BIG_A, ALPHA)
        value, state = descend(problem, optax.chain(spsa_gradient(c=c), gain), steps, key)
        return problem.first_step * (BIG_A + 1) ** ALPHA / optax.tree.get(state, "magnitude"), value

    pairs = [(a, c) for c in C for a in A]
    over_seeds = jax.vmap(fixed, (None, None, 0))
    values = jax.jit(jax.vmap(over_seeds, (0, 0, None)))(*jnp.asarray(pairs, jnp.float32).T, keys)
    rows = [
        {**shared, "rule": "fixed", "c": c, "a": a, "values": of_pair}
        for (a, c), of_pair in zip(pairs, values.tolist(), strict=True)
    ]
    chosen, ends = jax.jit(jax.vmap(jax.vmap(calibrated, (None, 0)), (0, None)))(jnp.asarray(C), keys)
    rows += [
        {**shared, "rule": "calibrated", "c": c, "a": a, "values": of_c}
        for c, a, of_c in zip(C, chosen.tolist(), ends.tolist(), strict=True)
    ]
    return rows


def _median(row: Mapping[str, Any]) -> float:
    """Over seeds; one whose function overflowed has the largest value."""
    return float(np.median(np.nan_to_num(row["values"], nan=1e30, posinf=1e30).clip(max=1e30)))


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Medians over seeds against a, a line for each c; the calibrated a as stars."""
    figure, axes = plots.new_axes(plots.WIDE, "gain a", "value after 1,000 steps")
    start = float(PROBLEMS[PROBLEM]().value(np, PROBLEMS[PROBLEM]().start))
    worst = 3 * start
    median = lambda row: min(_median(row), worst)
    for color, c in zip(plots.PALETTE, C, strict=False):
        of = {rule: [row for row in rows if row["rule"] == rule and row["c"] == c] for rule in ("fixed", "calibrated")}
        label = f"c = {c:g} = {c / rows[0]['noise']:g} σ"
        axes.loglog([row["a"] for row in of["fixed"]], [median(row) for row in of["fixed"]], color=color, label=label)
        axes.plot(
            [np.median(row["a"]) for row in of["calibrated"]],
            [median(row) for row in of["calibrated"]],
            "*",
            color=color,
            markersize=12,
        )
    axes.axhline(start, linestyle="--", linewidth=0.8, color="#7F7F7F", label="start")
    axes.set_ylim(top=worst)
    axes.legend(
        frameon=False, fontsize=8, title="stars: calibrated a", title_fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    return figure


@dataclasses.dataclass(frozen=True)
class GainsOptions:
    """Shows what SPSA's gains decide."""

    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Write the rows to this JSON Lines file, or plot those that it has."""
    out: Path | None = None
    """A PNG file for the plot."""


def main(args: Sequence[str]) -> int:
    """Measures, prints the best of each c, and plots. Returns the exit status."""
    options = parse(GainsOptions, "bench spsa_gains", list(args))
    rows = harness.measured_once(options.json, measure)
    for c in C:
        best = min((row for row in rows if row["c"] == c and row["rule"] == "fixed"), key=_median)
        print(f"c {c:g}: {_median(best):.2g} by a = {best['a']:g}")
    if options.out:
        plots.save(draw(rows), options.out, dpi=80)
    return 0


if __name__ == "__main__":
    harness.start(main)

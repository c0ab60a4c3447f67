"""What Spall's papers state of SPSA beside what ours does: a value of his test function, and asymptotic errors.

python -m benchmarks.spsa_theory [--json FILE]

Each statement is a number; ours is the mean over seeds with its standard error. Values have independent noise of standard
deviation s. On a quadratic whose Hessian has eigenvalues h, with a_k = a / (k + A)^α and c_k = c / k^γ, the mean square of
the error in each eigenvector's direction times k^β, β = α - 2 γ, tends to

    a² s² / (2 c²) / (2 a h - β⁺),    β⁺ = β for α = 1 and 0 for α < 1,

for SPSA with random signs (Spall 1992, proposition 2, where third derivatives are 0), and for differences in each of p
parameters alike: with equal errors after equal steps, SPSA takes 1/p of the evaluations (Spall 1998). At finite k SPSA's own
directions add a share of about the trace of the Hessian times a_k / 2: of 5 % for α = 0.602 after 4,000 steps.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from benchmarks import harness
from benchmarks.spsa_peers import PROBLEMS, Problem, descend
from jaxnets.cli.parse import parse
from jaxnets.optim.directions import coordinates
from jaxnets.optim.gains import gain
from jaxnets.optim.spsa import spsa_gradient

A, BIG_A, C, NOISE, STEPS, SEEDS = 1.0, 50.0, 0.5, 0.5, 4000, 200
CURVATURES = np.linspace(1, 2, 10)
BLOCK = 25
"""Seeds whose mean errors make one ratio."""
QUADRATIC = Problem(lambda xp, x: 0.5 * xp.sum(xp.asarray(CURVATURES, x.dtype) * x**2), np.ones(10), NOISE, C, 0.0)


class Statement(NamedTuple):
    """A number that a paper states, and how ours is measured."""

    what: str
    source: str
    stated: float
    measure: Callable[[int, int], list[float]]
    """(seeds, steps) -> values whose mean is compared."""


def limit(alpha: float, gamma: float) -> float:
    """What k^β times the mean value of the quadratic tends to."""
    beta = alpha - 2 * gamma
    squares = A**2 * NOISE**2 / (2 * C**2) / (2 * A * CURVATURES - (beta if alpha == 1 else 0))
    return float(0.5 * np.sum(CURVATURES * squares))


def ends(alpha: float, gamma: float, seeds: int, steps: int, **options: Any) -> np.ndarray:
    """k^β times the quadratic's value without noise after that many steps, by seed."""
    length = gain(A, BIG_A, alpha)
    tx = optax.chain(
        spsa_gradient(gamma=gamma, **{"c": C, **options}), optax.scale_by_schedule(lambda count: -length(count))
    )
    values = jax.jit(jax.vmap(lambda key: descend(QUADRATIC, tx, steps, key)[0]))(jax.random.split(jax.random.key(0), seeds))
    return np.asarray(values) * steps ** (alpha - 2 * gamma)


def ratios(seeds: int, steps: int) -> list[float]:
    """SPSA's mean error over that of differences in each parameter after equal steps, by blocks of seeds."""
    n = len(CURVATURES)
    options = {"num_perturbations": n, "directions": coordinates, "c": C / n**0.5}  # They are moved by c times √n.
    by_block = lambda values: values.reshape(-1, min(BLOCK, seeds)).mean(1)
    spsa, differences = (by_block(ends(0.602, 0.101, seeds, steps, **own)) for own in ({}, options))
    return list(map(float, spsa / differences))


def _start(seeds: int, steps: int) -> list[float]:
    problem = PROBLEMS["Spall's quartic, 10"]()
    return [float(problem.value(jnp, jnp.asarray(problem.start, jnp.float32)))]


def _ends(alpha: float, gamma: float) -> Callable[[int, int], list[float]]:
    return lambda seeds, steps: list(map(float, ends(alpha, gamma, seeds, steps)))


STATEMENTS = (
    Statement("skewed quartic of 10 parameters at (1, …, 1)", "Spall 2000", 4.178, _start),
    Statement("k^β · mean error, α = 1, γ = 1/6", "Spall 1992, prop. 2", limit(1, 1 / 6), _ends(1, 1 / 6)),
    Statement("k^β · mean error, α = 0.602, γ = 0.101", "Spall 1992, prop. 2", limit(0.602, 0.101), _ends(0.602, 0.101)),
    Statement("mean error with 1/10 of the evaluations, over that of differences", "Spall 1998", 1.0, ratios),
)


def measure(seeds: int = SEEDS, steps: int = STEPS) -> Iterator[dict[str, Any]]:
    """A row for each statement."""
    for what, source, stated, of in STATEMENTS:
        values = of(seeds, steps)
        yield {"kind": "spsa theory", "what": what, "source": source, "stated": stated, "values": values, "n": len(values)}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Stated and ours, with the standard error of the mean."""
    lines = ["| | stated | ours | n | source |", "| :-- | --: | --: | --: | :-- |"]
    for row in rows:
        error = f" ± {np.std(row['values'], ddof=1) / row['n'] ** 0.5:.3f}" if row["n"] > 1 else ""
        ours = f"{np.mean(row['values']):.3f}{error}"
        lines.append(f"| {row['what']} | {row['stated']:.3f} | {ours} | {row['n']:,} | {row['source']} |")
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class TheoryOptions:
    """Compares SPSA with what Spall's papers state."""

    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Write the rows to this JSON Lines file, or show those that it has."""


def main(args: Sequence[str]) -> int:
    """Measures and prints the table. Returns the exit status."""
    options = parse(TheoryOptions, "bench spsa_theory", list(args))
    print(table(harness.measured_once(options.json, lambda: list(measure()))))
    return 0


if __name__ == "__main__":
    harness.start(main)

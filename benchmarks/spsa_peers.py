"""SPSA beside its peers at equal evaluations of the same noisy functions, 20 seeds each. Their times: `spsa_times`.

python -m benchmarks.spsa_peers [PROBLEM …] [--json FILE] [--out PLOT.png]

    jaxnets               calibrated a, two-sided, random signs
    jaxnets, blocking     the same; steps worse by 2 standard deviations of the noise are refused
    jaxnets, orthogonal   the same with 8 orthogonal directions a step
    jaxnets, 2-SPSA       the same behind the diagonal of an estimated Hessian
    Spall in NumPy        the textbook's loop with the same rule for a; independent of ours
    Qiskit                qiskit-algorithms' SPSA with its own calibration
    nevergrad SPSA        nevergrad's SPSA
    nevergrad (1+1)       nevergrad's OnePlusOne, an evolution strategy, for scale

Every method may evaluate the function as often as `evaluations` says, calibration included, from the same start; the row
has the function's value without noise where each seed ends, and the versions of the packages that made it. Qiskit and
nevergrad are left out where their packages are missing (`pip install '.[peers]'`).
"""

import dataclasses
import importlib.metadata
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from matplotlib.figure import Figure

from benchmarks import harness
from benchmarks.facts import facts
from jaxnets.analysis.report import plots
from jaxnets.cli.parse import parse
from jaxnets.errors import UserError
from jaxnets.optim.directions import orthogonal
from jaxnets.optim.gains import scale_by_calibrated_gain
from jaxnets.optim.guards import blocking
from jaxnets.optim.second_order import scale_by_spsa_hessian
from jaxnets.optim.spsa import spsa_gradient
from jaxnets.runs import records

SEEDS, EVALUATIONS, CALIBRATION = 20, 2000, 25
Run = Callable[[jax.Array], jax.Array]
"""From a seed's key to the function's value without noise where it ends."""


class Problem(NamedTuple):
    """A function to minimize. `xp` is numpy or jax.numpy, so that all methods evaluate the same."""

    value: Callable[[Any, Any], Any]
    """(xp, x [n]) -> the value without noise."""
    start: np.ndarray
    noise: float
    """Standard deviation of what is added to each value."""
    c: float
    """Size of perturbations, for every method that takes one."""
    first_step: float
    """Size of the first move, for every method that is calibrated by one."""


def _quadratic(n: int) -> Problem:
    curvature = np.linspace(1, 10, n)
    return Problem(lambda xp, x: 0.5 * xp.mean(xp.asarray(curvature) * x**2), np.ones(n), 0.01, 0.1, 0.05)


def _data(examples: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(examples, features))
    return x, np.sign(x @ rng.normal(size=features) + 0.5 * rng.normal(size=examples))


def _logistic() -> Problem:
    x, sign = _data(200, 20)
    margin = lambda xp, w: xp.asarray(sign) * (xp.asarray(x) @ w)
    return Problem(
        lambda xp, w: xp.mean(xp.logaddexp(0, -margin(xp, w))) + 0.005 * xp.sum(w**2), np.zeros(20), 0.01, 0.1, 0.1
    )


def _errors() -> Problem:
    x, sign = _data(200, 20)
    share = lambda xp, w: xp.mean((xp.asarray(sign) * (xp.asarray(x) @ w) <= 0) * 1.0)
    return Problem(share, np.full(20, 0.1), 0.0, 0.3, 0.1)


def _quartic() -> Problem:
    """The skewed quartic of Spall (2000), from where it is 4.178, with noise of 0.1; its minimum is 0 at 0."""
    b = np.triu(np.ones((10, 10))) / 10
    value = lambda xp, x: xp.sum((y := xp.asarray(b) @ x) ** 2 + 0.1 * y**3 + 0.01 * y**4)
    return Problem(value, np.ones(10), 0.1, 0.1, 0.1)


def _rosenbrock(n: int) -> Problem:
    value = lambda xp, x: xp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    return Problem(value, np.array([-1.2, 1.0] * (n // 2)), 0.0, 0.01, 0.02)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "Rosenbrock, 2": lambda: _rosenbrock(2),
    "Rosenbrock, 10": lambda: _rosenbrock(10),
    "Spall's quartic, 10": _quartic,
    **{f"noisy quadratic, {n:,}": lambda n=n: _quadratic(n) for n in (10, 100, 1000, 10_000)},
    "error count, 20": _errors,
    "logistic regression, 20": _logistic,
}


def descend(problem: Problem, tx: Any, steps: int, key: jax.Array) -> tuple[jax.Array, Any]:
    """(the function's value without noise at the end, the last state) of one descent by a chain of our transforms."""
    start = jnp.asarray(problem.start, jnp.float32)

    def step(carry: Any, k: jax.Array) -> tuple[Any, None]:
        x, state = carry

        def noisy(x: jax.Array) -> jax.Array:  # Noise of its own at every point and step, as the peers' calls have.
            bits = jax.lax.bitcast_convert_type(x, jnp.uint32) * jnp.arange(1, 2 * x.size, 2, dtype=jnp.uint32)
            own = jax.random.fold_in(jax.random.fold_in(key, k), bits.sum(dtype=jnp.uint32))
            return problem.value(jnp, x) + problem.noise * jax.random.normal(own)

        updates, state = tx.update(None, state, x, value_fn=noisy, key=jax.random.fold_in(key, steps))
        return (optax.apply_updates(x, updates), state), None

    (x, state), _ = jax.lax.scan(step, (start, tx.init(start)), jnp.arange(steps))
    return problem.value(jnp, x), state


def _ours(problem: Problem, evaluations: int, per_step: int, *after: Any, number: int = 1, **options: Any) -> Run:
    """One run of a chain of our transforms."""
    steps = evaluations // per_step
    gain = scale_by_calibrated_gain(problem.first_step, big_a=0.1 * steps, steps=CALIBRATION // number)
    *middle, wrap = after or (lambda rule: rule,)
    tx = optax.chain(spsa_gradient(c=problem.c, num_perturbations=number, **options), *middle, wrap(gain))
    return lambda key: descend(problem, tx, steps, key)[0]


def noisy(problem: Problem, rng: np.random.Generator) -> Callable[[np.ndarray], float]:
    return lambda x: float(problem.value(np, np.asarray(x))) + problem.noise * rng.standard_normal()


def _spall(problem: Problem, evaluations: int, seed: int) -> np.ndarray:
    """Spall's loop (1998) in NumPy: 25 estimates at the start choose a."""
    rng = np.random.default_rng(seed)
    function, x, n = noisy(problem, rng), problem.start.copy(), len(problem.start)
    steps, alpha, gamma = evaluations // 2, 0.602, 0.101
    big_a = 0.1 * steps
    slope = lambda delta, c: (function(x + c * delta) - function(x - c * delta)) / (2 * c)
    size = np.mean([abs(slope(rng.choice((-1.0, 1.0), n), problem.c)) for _ in range(CALIBRATION)])
    a = problem.first_step * (big_a + 1) ** alpha / max(size, 1e-12)
    for k in range(1, steps - CALIBRATION + 1):
        delta = rng.choice((-1.0, 1.0), n)
        x = x - a / (k + big_a) ** alpha * slope(delta, problem.c / k**gamma) / delta
    return x


def _qiskit(problem: Problem, evaluations: int, seed: int) -> np.ndarray:
    from qiskit_algorithms.optimizers import SPSA
    from qiskit_algorithms.utils import algorithm_globals

    algorithm_globals.random_seed = seed
    function = noisy(problem, np.random.default_rng(seed))
    # Its calibration takes 50 evaluations, and it evaluates the last point once.
    optimizer = SPSA(maxiter=(evaluations - 51) // 2)
    return np.asarray(optimizer.minimize(function, problem.start).x)


def _nevergrad(name: str) -> Callable[[Problem, int, int], np.ndarray]:
    def run(problem: Problem, evaluations: int, seed: int) -> np.ndarray:
        import nevergrad

        space = nevergrad.p.Array(init=problem.start)
        space.random_state.seed(seed)
        optimizer = nevergrad.optimizers.registry[name](parametrization=space, budget=evaluations)
        return np.asarray(optimizer.minimize(noisy(problem, np.random.default_rng(seed))).value)

    return run


OURS: dict[str, Callable[[Problem, int], Run]] = {
    "jaxnets": lambda problem, evaluations: _ours(problem, evaluations, 2),
    "jaxnets, blocking": lambda problem, evaluations: _ours(problem, evaluations, 4, blocking),
    "jaxnets, orthogonal": lambda problem, evaluations: _ours(problem, evaluations, 16, number=8, directions=orthogonal),
    "jaxnets, 2-SPSA": lambda problem, evaluations: _ours(
        problem, evaluations, 6, scale_by_spsa_hessian(jax.random.key(1), problem.c, kind="diagonal"), lambda rule: rule
    ),
}
PEERS: dict[str, Callable[[Problem, int, int], np.ndarray]] = {
    "Spall in NumPy": _spall,
    "Qiskit": _qiskit,
    "nevergrad SPSA": _nevergrad("SPSA"),
    "nevergrad (1+1)": _nevergrad("OnePlusOne"),
}
PACKAGES = {
    "Qiskit": ("qiskit-algorithms", "qiskit"),
    "nevergrad SPSA": ("nevergrad",),
    "nevergrad (1+1)": ("nevergrad", "cma"),
}
"""What a method runs on besides NumPy, whose version every row has."""

LEFT_OUT = {("noisy quadratic, 10,000", "Qiskit")}
"""(problem, method): Qiskit handles an n × n Hessian in every step, though the method has none."""


def measure(
    name: str, evaluations: int = EVALUATIONS, seeds: int = SEEDS, done: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """A row for each method on a problem but those that are done; peers whose package is missing are named and left out."""
    problem = PROBLEMS[name]()
    for method, run in {**OURS, **PEERS}.items():
        if method in done or (name, method) in LEFT_OUT:
            continue
        try:
            if method in OURS:
                one = run(problem, evaluations)  # type: ignore[call-arg]
                values = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), seeds)).tolist()  # type: ignore[arg-type]
            else:
                ends = [run(problem, evaluations, seed) for seed in range(seeds)]  # type: ignore[call-arg]
                values = [float(problem.value(np, x)) for x in ends]
        except ImportError as error:
            print(f"{method} is left out: {error}", file=sys.stderr)
            continue
        yield {
            "kind": "spsa peers",
            "problem": name,
            "method": method,
            "evaluations": evaluations,
            "noise": problem.noise,
            "start": float(problem.value(np, problem.start)),
            "values": values,
        }


def versions(method: str) -> dict[str, str]:
    """Those of a method's packages."""
    return {name: importlib.metadata.version(name) for name in PACKAGES.get(method, ())}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Medians over seeds, a line for each problem and a column for each method; a value that is not finite counts as inf."""
    methods = [method for method in (*OURS, *PEERS) if any(row["method"] == method for row in rows)]
    lines = [f"| problem, parameters | start | {' | '.join(methods)} |", "| :-- | --: |" + " --: |" * len(methods)]
    for problem in dict.fromkeys(row["problem"] for row in rows):
        of = {row["method"]: row for row in rows if row["problem"] == problem}
        medians = [f"{np.median(np.nan_to_num(of[m]['values'], nan=np.inf)):.2g}" if m in of else "–" for m in methods]
        lines.append(f"| {problem} | {next(iter(of.values()))['start']:.3g} | {' | '.join(medians)} |")
    return "\n".join(lines)


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """What is left of the start's value on noisy quadratics by their parameters: medians and quartiles over seeds."""
    figure, axes = plots.new_axes(plots.WIDE, "parameters", "value at the end / at the start")
    size = lambda row: int(row["problem"].rpartition(" ")[2].replace(",", ""))
    axes.axhline(1, linestyle="--", linewidth=0.8, color="#7F7F7F")
    for color, method in zip(plots.PALETTE, (*OURS, *PEERS), strict=False):
        of = [row for row in rows if row["method"] == method and row["problem"].startswith("noisy quadratic")]
        low, middle, high = np.array([np.quantile(row["values"], (0.25, 0.5, 0.75)) / row["start"] for row in of]).T
        sizes = [size(row) for row in of]
        axes.loglog(sizes, middle, "o-", color=color, label=method, markersize=3)
        axes.fill_between(sizes, low, high, color=color, alpha=0.15, linewidth=0)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@dataclasses.dataclass(frozen=True)
class PeersOptions:
    """Compares SPSA with its peers."""

    problems: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to minimize. Default: all problems."""
    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Append each row to this JSON Lines file as soon as it is there. What the file has already is not measured again."""
    out: Path | None = None
    """A PNG file for a plot of the noisy quadratics."""


def main(args: Sequence[str]) -> int:
    """Prints the table, appends the rows to a file, and plots them. Returns the exit status."""
    options = parse(PeersOptions, "bench spsa_peers", list(args))
    if unknown := [name for name in options.problems if name not in PROBLEMS]:
        raise UserError(f"unknown problem {unknown[0]!r}: choose from {'; '.join(PROBLEMS)}")
    rows = list(records.read(options.json)) if options.json and options.json.exists() else []
    for name in options.problems or PROBLEMS:
        for row in measure(name, done=[row["method"] for row in rows if row["problem"] == name]):
            rows.append(row)
            if options.json:
                circumstances = facts()
                circumstances["versions"] |= versions(row["method"])
                harness.append(options.json, {**row, **circumstances})
        print(table(rows), flush=True)
    if options.out:
        plots.save(draw(rows), options.out, dpi=80)
    return 0


if __name__ == "__main__":
    harness.start(main)

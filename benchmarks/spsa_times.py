"""What an evaluation takes SPSA and its peers, everything around the function included: in turn, within one process.

python -m benchmarks.spsa_times [PROBLEM …] [--json FILE]

A round is one run of each method of spsa_peers, of 500 evaluations from the same start, one seed. Ours is compiled before;
Qiskit, nevergrad and the plain loop call the function in NumPy, whose own time is the first column. Rounds in which
something else used the machine are left out, and a machine that is not quiet is refused (harness).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from benchmarks import harness, spsa_peers
from benchmarks.facts import facts
from benchmarks.harness import Candidate, Timing
from benchmarks.spsa_peers import LEFT_OUT, OURS, PEERS, PROBLEMS, Problem, versions
from jaxnets.cli.parse import parse
from jaxnets.errors import UserError

EVALUATIONS, FUNCTION = 500, "the function"
SHOWN = ("noisy quadratic, 10", "noisy quadratic, 1,000", "noisy quadratic, 10,000", "logistic regression, 20")
"""The problems by default: of other sizes and kinds of function."""


def candidates(name: str, evaluations: int = EVALUATIONS) -> dict[str, Candidate]:
    """Of a problem, all methods and the function alone: a step is a run of that many evaluations."""
    problem = PROBLEMS[name]()
    found = {FUNCTION: Candidate(_again(lambda: _evaluate(problem, evaluations)))}
    for method, run in OURS.items():
        found[method] = Candidate(_again(_compiled(jax.jit(run(problem, evaluations)))))
    for method, peer in PEERS.items():
        if (name, method) not in LEFT_OUT:
            found[method] = Candidate(_again(lambda peer=peer: peer(problem, evaluations, 0)))  # type: ignore[misc]
    return found


def _again(run: Callable[[], Any]) -> Callable[[int], None]:
    def repeat(steps: int) -> None:
        for _ in range(steps):
            run()

    return repeat


def _compiled(run: Callable[[jax.Array], jax.Array]) -> Callable[[], Any]:
    key = jax.random.key(0)
    return lambda: run(key).block_until_ready()


def _evaluate(problem: Problem, evaluations: int) -> None:
    function = spsa_peers.noisy(problem, np.random.default_rng(0))
    for _ in range(evaluations):
        function(problem.start)


def row(name: str, timings: Mapping[str, Timing], evaluations: int) -> dict[str, Any]:
    """Medians over rounds in microseconds an evaluation, with their spread (interquartile range / median)."""
    methods = [method for method in (*OURS, *PEERS) if method in timings]
    packages = {package: version for method in methods for package, version in versions(method).items()}
    circumstances = facts()
    circumstances["versions"] |= packages
    return {
        "kind": "spsa times",
        "problem": name,
        "evaluations": evaluations,
        "microseconds": {method: 1e6 * timing.median / evaluations for method, timing in timings.items()},
        "spread": {method: round(timing.spread, 4) for method, timing in timings.items()},
        "disturbed_rounds": max(timing.disturbed for timing in timings.values()),
        "n": min(len(timing.rounds) for timing in timings.values()),
        **circumstances,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Microseconds an evaluation, a line for each problem and a column for each method; ± half the interquartile range."""
    methods = [m for m in (FUNCTION, *OURS, *PEERS) if any(m in row["microseconds"] for row in rows)]
    lines = [f"| µs an evaluation | {' | '.join(methods)} |", "| :-- |" + " --: |" * len(methods)]
    for row in rows:
        cells = [_cell(row["microseconds"][m], row["spread"][m]) if m in row["microseconds"] else "–" for m in methods]
        lines.append(f"| {row['problem']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(median: float, spread: float) -> str:
    half = median * spread / 2
    return f"{median:,.1f} ± {half:,.1f}{' (noisy)' if spread > harness.NOISY else ''}"


@dataclasses.dataclass(frozen=True)
class TimesOptions:
    """Times SPSA and its peers, in turn."""

    problems: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to minimize. Default: three sizes of a quadratic, and a regression."""
    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Append each row to this JSON Lines file as soon as it is there. What the file has already is not timed again."""
    rounds: int = harness.ROUNDS
    """Number of turns of each method, at least 7."""


def main(args: Sequence[str]) -> int:
    """Times, appends the rows to a file and prints the table. Returns the exit status."""
    options = parse(TimesOptions, "bench spsa_times", list(args))
    if unknown := [name for name in options.problems if name not in PROBLEMS]:
        raise UserError(f"unknown problem {unknown[0]!r}: choose from {'; '.join(PROBLEMS)}")
    harness.check_rounds(options.rounds)
    timed = lambda name: harness.interleave(candidates(name), options.rounds, single_step=True)
    measure = lambda name: row(name, timed(name), EVALUATIONS)
    print(table(harness.one_each(options.json, options.problems or SHOWN, lambda r: r["problem"], measure)))
    return 0


if __name__ == "__main__":
    harness.start(main)

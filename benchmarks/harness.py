"""Timing several candidates in turn, and what to make of the times."""

import datetime
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

ROUNDS, LEAST_ROUNDS, NOISY = 9, 7, 0.25
_ROUND_SECONDS = 0.3


class Timing(NamedTuple):
    """Seconds per step of one candidate."""

    warm_up: float
    """Seconds before the first round: compilation and warm-up."""
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """Interquartile range over median."""
        low, _, high = statistics.quantiles(self.rounds, n=4)
        return (high - low) / self.median


def interleave(candidates: Mapping[str, Callable[[int], None]], rounds: int = ROUNDS) -> dict[str, Timing]:
    """Times candidates in turn. Each is a function that takes so many steps and waits for the result.

    A candidate that cannot run is named and left out. Raises ValueError for fewer rounds than a median needs.
    """
    if rounds < LEAST_ROUNDS:
        raise ValueError(f"at least {LEAST_ROUNDS} rounds, got {rounds}")
    warm_up, steps = {}, {}
    for name, run in candidates.items():
        start = time.perf_counter()
        try:
            run(2)
        except Exception as error:
            print(f"{name} does not run: {type(error).__name__}: {str(error).strip().splitlines()[0]}")
            continue
        warm_up[name] = time.perf_counter() - start
        start = time.perf_counter()
        run(2)
        steps[name] = max(2, round(2 * _ROUND_SECONDS / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name in steps:
            start = time.perf_counter()
            candidates[name](steps[name])
            times[name].append((time.perf_counter() - start) / steps[name])
    return {name: Timing(warm_up[name], tuple(times[name])) for name in steps}


def row(workload: str, measure: str, ours: str, timings: Mapping[str, Timing], facts: Mapping[str, Any]) -> dict[str, Any]:
    """One line for results/*.jsonl: `ours` against the fastest of the others."""
    torch = {name: timing for name, timing in timings.items() if name.startswith("torch")}
    best = min(torch, key=lambda name: torch[name].median) if torch else None
    ratios = [t / o for t, o in zip(torch[best].rounds, timings[ours].rounds, strict=True)] if best else []
    noisy = any(timings[name].spread > NOISY for name in (ours, best) if name)
    return {
        "kind": "benchmark",
        "date": datetime.date.today().isoformat(),
        "workload": workload,
        "measure": measure,
        "ratio": statistics.median(ratios) if ratios else None,
        "ratios": [round(r, 4) for r in ratios],
        "opponent": best,
        "noisy": noisy,
        "milliseconds": {name: round(1e3 * t.median, 4) for name, t in timings.items()},
        "spread": {name: round(t.spread, 4) for name, t in timings.items()},
        "warm_up_seconds": {name: round(t.warm_up, 3) for name, t in timings.items()},
        "n": len(timings[ours].rounds),
        **facts,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table."""
    lines = ["| workload | measure | ours ms | best PyTorch ms | form | ratio |", "| :-- | :-- | --: | --: | :-- | --: |"]
    for r in rows:
        ours = r["milliseconds"]["jaxnets"]
        ratio = "–" if r["ratio"] is None else f"{r['ratio']:.2f}{' (noisy)' if r['noisy'] else ''}"
        theirs = f"{r['milliseconds'][r['opponent']]:.2f}" if r["opponent"] else "–"
        lines.append(f"| {r['workload']} | {r['measure']} | {ours:.2f} | {theirs} | {r['opponent'] or '–'} | {ratio} |")
    return "\n".join(lines)

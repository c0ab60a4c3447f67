"""Interleaved timing of several candidates, and the rows and tables made from the times."""

import datetime
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from benchmarks import contention
from benchmarks.contention import Usage
from benchmarks.facts import facts
from jaxnets.errors import UserError, first_line
from jaxnets.runs import records

ROUNDS, LEAST_ROUNDS, NOISY = 9, 7, 0.25
"""Default and smallest number of rounds; the spread above which a timing is noisy."""
_ROUND_SECONDS = 0.3
_MOST_TRIES = 3
"""Times the number of rounds that are run to get as many undisturbed ones."""
INTERRUPTED, CONTENDED = 130, 3
"""Exit statuses of a measurement that was interrupted, and of one that other processes disturbed."""
OURS = "jaxnets"
"""Name of our candidate."""


class ContentionError(UserError):
    """Something else used the machine, so that nothing could be measured."""


class RoundsError(UserError, ValueError):
    """So few rounds that their median would say nothing."""


class Candidate(NamedTuple):
    """A program to be timed."""

    run: Callable[[int], None]
    """Runs the given number of steps and waits for their result."""
    multiple: int = 1
    """Steps in one call of its program; `run` gets multiples of it."""
    peak_bytes: Callable[[], int | None] = lambda: None
    """Peak memory of a step, or None if unknown. Called after the first step."""


class Timing(NamedTuple):
    """Times of one candidate."""

    warm_up: float
    """Seconds before the first round: compilation and warm-up."""
    rounds: tuple[float, ...]
    """Seconds per step, by round."""
    peak_bytes: int | None = None
    usage: Usage | None = None
    """Of the cores in all rounds."""
    disturbed: int = 0
    """Rounds that were left out because something else used the machine."""

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """Interquartile range over median."""
        low, _, high = statistics.quantiles(self.rounds, n=4)
        return (high - low) / self.median


def interleave(
    candidates: Mapping[str, Candidate],
    rounds: int = ROUNDS,
    single_step: bool = False,
    clock: Callable[[], float] = time.perf_counter,
    counters: Callable[[], Usage] = contention.counters,
) -> dict[str, Timing]:
    """Times candidates in turn: A B C A B C ….

    A candidate that fails or runs out of memory is reported on the terminal and left out. A round in which something else
    used the machine is left out and run again.

    Args:
      candidates: by name.
      rounds: number of turns of each candidate.
      single_step: a round is one step, such as an epoch; by default it is as many steps as take long enough to time.
      clock: returns the time in seconds.
      counters: returns the use of the cores so far.

    Returns:
      The timing of every candidate that ran, by name.

    Raises:
      ValueError: fewer than LEAST_ROUNDS rounds.
      ContentionError: of three times as many rounds there were not enough undisturbed ones.
    """
    check_rounds(rounds)
    warm_up, steps, peak_bytes = {}, {}, {}
    for name, candidate in candidates.items():
        first = 1 if single_step else _round_up(2, candidate.multiple)
        start = clock()
        try:
            candidate.run(first)
            warm_up[name] = clock() - start
            peak_bytes[name] = candidate.peak_bytes()
            start = clock()
            if not single_step:
                candidate.run(first)
            seconds = max(clock() - start, 1e-9)
        except Exception as error:
            print(f"{name} is left out: {_reason(error)}", flush=True)
            continue
        enough = max(2, round(first * _ROUND_SECONDS / seconds))
        steps[name] = 1 if single_step else _round_up(enough, candidate.multiple)
    cores, disturbances = len(contention.affinity()), []
    kept: list[dict[str, tuple[float, Usage]]] = []
    while steps and len(kept) < rounds:
        turn: dict[str, tuple[float, Usage]] = {}
        for name in steps:
            before, start = counters(), clock()
            candidates[name].run(steps[name])
            seconds = (clock() - start) / steps[name]
            turn[name] = seconds, contention.between(before, counters())
        disturbance = contention.disturbance(contention.total(usage for _, usage in turn.values()), cores)
        if disturbance is None:
            kept.append(turn)
            continue
        disturbances.append(disturbance)
        if len(disturbances) > (_MOST_TRIES - 1) * rounds:
            raise ContentionError(
                f"{len(disturbances)} of {len(disturbances) + len(kept)} rounds were disturbed, the last one since "
                f"{disturbance} of {cores}: end other programs and measure again"
            )
    return {
        name: Timing(
            warm_up[name],
            tuple(turn[name][0] for turn in kept),
            peak_bytes[name],
            contention.total(turn[name][1] for turn in kept),
            len(disturbances),
        )
        for name in steps
    }


def check_rounds(rounds: int) -> None:
    """Raises RoundsError for fewer than LEAST_ROUNDS rounds."""
    if rounds < LEAST_ROUNDS:
        raise RoundsError(f"at least {LEAST_ROUNDS} rounds, got {rounds}")


def _round_up(steps: int, multiple: int) -> int:
    return -(-steps // multiple) * multiple


def _reason(error: Exception) -> str:
    text = first_line(error)
    exhausted = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower()
    return f"out of memory ({text})" if exhausted else f"{type(error).__name__}: {text}"


def row(
    workload: str,
    measure: str,
    timings: Mapping[str, Timing],
    facts: Mapping[str, Any],
    units: Mapping[str, int],
    replicas: int = 1,
) -> dict[str, Any]:
    """A row for results/*.jsonl: our candidate against the fastest of the others.

    Args:
      workload: its name.
      measure: what was timed.
      timings: of all candidates, by name.
      facts: further fields of the row.
      units: what one step processes, such as {"examples": 128}.
      replicas: how many replicas one step of ours trains; the ratio compares it with as many steps of the opponent.

    Raises UserError if our candidate did not run.
    """
    if OURS not in timings:
        raise UserError(f"{workload}, {measure}: our own side did not run; see above")
    torch = {name: timing for name, timing in timings.items() if name != OURS}
    best = min(torch, key=lambda name: torch[name].median) if torch else None
    ratios = [replicas * t / o for t, o in zip(torch[best].rounds, timings[OURS].rounds, strict=True)] if best else []
    return {
        "kind": "benchmark",
        "date": datetime.date.today().isoformat(),
        "workload": workload,
        "measure": measure,
        "ratio": statistics.median(ratios) if ratios else None,
        "ratios": [round(r, 4) for r in ratios],
        "opponent": best,
        "noisy": any(timings[name].spread > NOISY for name in (OURS, best) if name),
        "milliseconds": {name: round(1e3 * t.median, 4) for name, t in timings.items()},
        "spread": {name: round(t.spread, 4) for name, t in timings.items()},
        "warm_up_seconds": {name: round(t.warm_up, 3) for name, t in timings.items()},
        "peak_bytes": {name: t.peak_bytes for name, t in timings.items()},
        **{
            f"{unit}_per_second": {
                name: round((replicas if name == OURS else 1) * count / t.median, 1) for name, t in timings.items()
            }
            for unit, count in units.items()
        },
        "cores_used": {name: round(t.usage.own / t.usage.wall, 2) for name, t in timings.items() if t.usage},
        "cores_used_by_others": {name: round(t.usage.others, 3) for name, t in timings.items() if t.usage},
        "stolen_seconds": {name: round(t.usage.stolen, 3) for name, t in timings.items() if t.usage},
        "preempted": {name: t.usage.preempted for name, t in timings.items() if t.usage},
        "disturbed_rounds": timings[OURS].disturbed,
        "replicas": replicas,
        "n": len(timings[OURS].rounds),
        **facts,
    }


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Appends a row to a JSON Lines file at once, so that an interruption loses no earlier row.

    Raises UserError if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror}") from error


def measured_once(path: Path | None, measure: Callable[[], Sequence[Mapping[str, Any]]]) -> Sequence[Mapping[str, Any]]:
    """The rows of a file, or if there is none those of `measure`, which become that file; without `path` no file."""
    if path and path.exists():
        return records.read(path)
    rows = [{**row, **facts()} for row in measure()]
    for row in rows if path else ():
        append(path, row)
    return rows


def one_each(
    path: Path | None,
    keys: Iterable[Any],
    key_of: Callable[[Mapping[str, Any]], Any],
    measure: Callable[[Any], dict[str, Any]],
) -> list[dict[str, Any]]:
    """A row for each key: what a file has is not measured again, what is new is appended to it at once."""
    rows = records.read(path) if path and path.exists() else []
    for key in keys:
        if all(key_of(row) != key for row in rows):
            rows.append(measure(key))
            if path:
                append(path, rows[-1])
    return rows


def start(main: Callable[[list[str]], int]) -> NoReturn:
    """Runs a program with the command line's arguments and exits with its status. A UserError becomes one line on stderr."""
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        print(f"jaxnets: error: {error}", file=sys.stderr)
        sys.exit(CONTENDED if isinstance(error, ContentionError) else 2)
    except KeyboardInterrupt:
        print("jaxnets: interrupted; the rows measured before are saved", file=sys.stderr)
        sys.exit(INTERRUPTED)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table."""
    lines = ["| workload | measure | ours ms | best PyTorch ms | form | ratio |", "| :-- | :-- | --: | --: | :-- | --: |"]
    for r in rows:
        ours = r["milliseconds"][OURS]
        ratio = "–" if r["ratio"] is None else f"{r['ratio']:.2f}{' (noisy)' if r['noisy'] else ''}"
        theirs = f"{r['milliseconds'][r['opponent']]:.2f}" if r["opponent"] else "–"
        lines.append(f"| {r['workload']} | {r['measure']} | {ours:.2f} | {theirs} | {r['opponent'] or '–'} | {ratio} |")
    return "\n".join(lines)


def by_hardware(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of the ratios to PyTorch on each kind of machine, by the newest quiet row of each workload."""
    newest: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for r in sorted(rows, key=lambda r: r["date"]):
        if r["ratio"] is not None and not r["noisy"]:
            features = ", ".join(r.get("cpu_features", ["not recorded"]))
            newest[r["hardware"], features, r["measure"], r["workload"]] = r
    lines = [
        "| machine | its features | measure | workloads | geometric mean | least | most |",
        "| :-- | :-- | :-- | --: | --: | --: | --: |",
    ]
    for kind in sorted({key[:3] for key in newest}):
        ratios = {key[3]: r["ratio"] for key, r in newest.items() if key[:3] == kind}
        least, most = (
            f"{ratios[name]:.2f} ({name})"
            for name in (min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__))
        )
        mean = statistics.geometric_mean(ratios.values())
        lines.append(f"| {' | '.join(kind)} | {len(ratios)} | {mean:.2f} | {least} | {most} |")
    return "\n".join(lines)

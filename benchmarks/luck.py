"""How much one seed decides: the spread over seeds, what the best of several gains, and how often one seed misleads.

python -m benchmarks.luck FILE … [--ranked FILE] [--out PLOT.png]

FILE holds runs (`jaxnets report RUNS --jsonl FILE`). Those of an experiment that differ in their root seed alone are put
together. The experiment with the most seeds gives the distribution; all of them are ranked, or those of another FILE. A few
seeds are enough for that: each experiment counts as a normal distribution with the mean and the deviation of its seeds.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro
from matplotlib.figure import Figure
from scipy import special

from benchmarks import harness
from jaxnets.analysis.report import plots, tables
from jaxnets.cli.parse import parse
from jaxnets.errors import UserError
from jaxnets.runs import records, statistics

BEST_OF = (1, 2, 3, 5, 10, 20)
"""Numbers of seeds of which the best is taken."""
_DRAWS = 100_000


class Seeds(NamedTuple):
    """Accuracies in % of the seeds of one experiment."""

    id: str
    epochs: int
    validation: np.ndarray
    test: np.ndarray
    examples: int | None
    """Of the test split."""


def gather(rows: Sequence[Mapping[str, Any]]) -> list[Seeds]:
    """The seeds of every experiment, most seeds first. Raises UserError for runs of one experiment of unequal length."""
    found: dict[str, dict[tuple[int, int], tuple[float, float]]] = {}
    epochs: dict[str, set[int]] = {}
    examples: dict[str, int] = {}
    for row in (row for row in rows if row["kind"] == "run"):
        epochs.setdefault(row["id"], set()).add(row["epochs"])
        pairs = zip(*(row["final"][split]["accuracy"]["values"] for split in ("validation", "test")), strict=True)
        for i, pair in enumerate(pairs):
            if None not in pair:  # A seed that diverged.
                found.setdefault(row["id"], {})[row["config"]["seed"], i] = pair
        examples[row["id"]] = round(sum(map(sum, row["details"]["test"]["confusion"])) / row["seeds"])
    if mixed := [id_ for id_, lengths in epochs.items() if len(lengths) > 1]:
        raise UserError(f"{mixed[0]}: runs of {sorted(epochs[mixed[0]])} epochs cannot be put together")
    gathered = [
        Seeds(id_, *epochs[id_], *(100 * np.array([*by_seed.values()]).T), examples[id_]) for id_, by_seed in found.items()
    ]
    return sorted(gathered, key=lambda seeds: -len(seeds.test))


def expected_best(picked_by: np.ndarray, measured: np.ndarray, n: int) -> float:
    """The mean of `measured` for the best by `picked_by` of n seeds drawn at random, with replacement, from those given.

    >>> expected_best(np.array([1.0, 2.0]), np.array([1.0, 2.0]), 2)  # Of four draws, three have the 2.
    1.75
    """
    order, count = np.argsort(picked_by, kind="stable"), len(picked_by)
    ranks = np.arange(count + 1) / count
    return float(np.diff(ranks**n) @ measured[order])


def wrong_pairs(groups: Sequence[Seeds]) -> dict[tuple[str, str], float]:
    """For each pair (better, worse) by mean test accuracy: how often a seed of each says otherwise."""
    ranked = sorted(groups, key=lambda seeds: -seeds.test.mean())
    deviation = lambda a, b: (a.test.var(ddof=1) + b.test.var(ddof=1)) ** 0.5
    return {
        (a.id, b.id): float(special.ndtr((b.test.mean() - a.test.mean()) / deviation(a, b)))
        for a, b in itertools.combinations(ranked, 2)
    }


def wrong_rankings(groups: Sequence[Seeds], seed: int = 0) -> float:
    """How often one seed of each, drawn at random, does not give the order of the means."""
    rng = np.random.default_rng(seed)
    ranked = sorted(groups, key=lambda seeds: -seeds.test.mean())
    drawn = np.stack([rng.normal(seeds.test.mean(), seeds.test.std(ddof=1), _DRAWS) for seeds in ranked])
    return float(np.mean((np.diff(drawn, axis=0) >= 0).any(0)))


def draw(seeds: Seeds) -> Figure:
    """The distribution of test accuracy, and what taking the best of several seeds adds to it."""
    figure = Figure((6.4, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist(seeds.test, bins=max(5, round(len(seeds.test) ** 0.5)), color=plots.PALETTE[0])
    left.set(xlabel=f"test accuracy %, {len(seeds.test)} seeds", ylabel="seeds", title=seeds.id)
    counts = [n for n in BEST_OF if n <= len(seeds.test)]
    for by, label, color in ((seeds.test, "picked by test", 1), (seeds.validation, "picked by validation", 2)):
        gains = [expected_best(by, seeds.test, n) - seeds.test.mean() for n in counts]
        right.plot(counts, gains, "o-", color=plots.PALETTE[color], label=label, markersize=4)
    right.set(xlabel="best of so many seeds", ylabel="points above the mean", title="what luck buys")
    right.legend(frameon=False, fontsize=8)
    return figure


def report(most: Seeds, ranked: Sequence[Seeds]) -> str:
    """What the seeds of one experiment, and of those that are ranked, say, in Markdown."""
    parts = statistics.spread(most.test / 100, most.examples or 1)
    mean, std = most.test.mean(), most.test.std(ddof=1)
    low, high = statistics.prediction_interval(most.test)
    gains = [[f"{expected_best(by, most.test, n):.2f}" for n in BEST_OF] for by in (most.test, most.validation)]
    lines = [
        f"{most.id}, {most.epochs} epochs, {len(most.test)} seeds: test {mean:.2f} ± {std:.2f} %, "
        f"from {most.test.min():.2f} to {most.test.max():.2f}; one further seed lies in [{low:.2f}, {high:.2f}] with 95 %. "
        f"Of the deviation the finite test split explains {100 * parts.binomial:.2f} points, the rest is "
        f"{100 * parts.rest:.2f}.",
        "",
        tables.markdown(
            ["best of", *map(str, BEST_OF)], [["picked by test", *gains[0]], ["picked by validation", *gains[1]]]
        ),
    ]
    if len(ranked) > 1:
        pairs = wrong_pairs(ranked)
        names = ", ".join(f"{seeds.id} ({len(seeds.test)})" for seeds in ranked)
        body = [[*pair, f"{100 * p:.1f}"] for pair, p in sorted(pairs.items(), key=lambda item: -item[1]) if p >= 0.005]
        lines += [
            "",
            f"One seed of each of {len(ranked)} experiments gives another order than their means in "
            f"{100 * wrong_rankings(ranked):.0f} % of draws. Seeds: {names}.",
            "",
            tables.markdown(["better by mean", "than", "wrong way round %"], body),
        ]
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class LuckOptions:
    """What one seed decides, from runs of many."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """JSON Lines files of runs."""
    ranked: Annotated[Path | None, tyro.conf.arg(name="ranked")] = None
    """A file of runs of experiments to rank instead of those."""
    out: Annotated[Path | None, tyro.conf.arg(name="out")] = None
    """A PNG file for the plot."""


def main(args: Sequence[str]) -> int:
    """Prints what the runs say, and plots it. Returns the exit status."""
    options = parse(LuckOptions, "bench luck", list(args))
    named = [*options.files, *([options.ranked] if options.ranked else [])]
    if missing := [path for path in named if not path.is_file()]:
        raise UserError(f"no file {missing[0]}")
    groups = gather([row for path in options.files for row in records.read(path)])
    if not groups or len(groups[0].test) < 2:
        raise UserError("no experiment with two seeds in these files")
    ranked = gather(records.read(options.ranked)) if options.ranked else groups
    if single := [seeds.id for seeds in ranked if len(seeds.test) < 2]:
        raise UserError(f"{single[0]}: one seed has no deviation; leave it out of the files, or train more")
    if options.out:
        plots.save(draw(groups[0]), options.out, dpi=80)
    print(report(groups[0], ranked))
    return 0


if __name__ == "__main__":
    harness.start(main)

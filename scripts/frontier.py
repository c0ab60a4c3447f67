"""Draws benchmarks/results/frontier-cifar10.png: test accuracy of all nets with rows, against parameters and minutes.

python scripts/frontier.py
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

from jaxnets.runs import records

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"


class Point(NamedTuple):
    """The best row of an experiment."""

    id: str
    accuracy: float
    """Mean test accuracy over seeds, in %."""
    deviation: float
    parameters: int
    minutes: float
    """Of the run, by seed."""


def points(rows: Iterable[dict[str, Any]]) -> list[Point]:
    """For each experiment the complete run on CIFAR-10 of the highest mean test accuracy. Studies are not about that."""
    best: dict[str, Point] = {}
    for row in rows:
        wanted = row["kind"] == "run" and row.get("dataset") == "cifar10" and not row["id"].startswith("study/")
        if not wanted or not records.is_complete(row):
            continue
        score, minutes = row["final"]["test"]["accuracy"], row["seconds"]["total"] / row["seeds"] / 60
        point = Point(row["id"], 100 * score["mean"], 100 * (score["std"] or 0), row["parameters"], minutes)
        best[point.id] = max(point, best.get(point.id, point), key=lambda one: one.accuracy)
    return sorted(best.values(), key=lambda point: -point.accuracy)


def frontier(found: Sequence[Point], field: str) -> list[Point]:
    """The points that no other one beats with as little of a field or less, from the least of it."""
    ordered = sorted(found, key=lambda point: (getattr(point, field), -point.accuracy))
    return [p for i, p in enumerate(ordered) if all(p.accuracy > other.accuracy for other in ordered[:i])]


def draw(found: Sequence[Point], path: Path) -> None:
    """Two panels, with the frontier as a line and a number for each net, named below."""
    matplotlib.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib import ticker

    figure, panels = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, layout="constrained")
    for panel, (field, label) in zip(panels, (("parameters", "parameters"), ("minutes", "minutes a seed")), strict=True):
        line = frontier(found, field)
        panel.step([getattr(p, field) for p in line], [p.accuracy for p in line], where="post", color="0.8", zorder=0)
        for number, p in enumerate(found, 1):
            x = getattr(p, field)
            panel.errorbar(x, p.accuracy, p.deviation, fmt="o", ms=4, capsize=2, color=f"C{(number - 1) % 10}")
            panel.annotate(str(number), (x, p.accuracy), (5, -3), textcoords="offset points", fontsize=7)
        panel.set(xscale="log", xlabel=label)
        panel.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}"))
        panel.xaxis.set_minor_formatter(ticker.NullFormatter())
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("CIFAR-10, test accuracy %")
    names = "   ".join(f"{number} {p.id.removeprefix('cifar10/')}" for number, p in enumerate(found, 1))
    middle = names.find("   ", len(names) // 2)
    figure.supxlabel(f"{names[:middle]}\n{names[middle:].strip()}", fontsize=7)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    everything = (row for file in sorted(RESULTS.glob("*.jsonl")) for row in records.read(file))
    draw(points(everything), RESULTS / "frontier-cifar10.png")

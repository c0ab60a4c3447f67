"""Reported figures beside ours."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Json = Mapping[str, Any]

SPLITS = ("train", "validation", "test")
NOTHING = "–"


class Row(NamedTuple):
    """One run."""

    id: str
    dataset: str
    seeds: str
    epochs: tuple[str, str]
    """(reported, ours)."""
    figures: Mapping[str, tuple[str, str]]
    """For each figure, such as "test_accuracy" or "initial_loss": (reported, ours); "–" where there is none."""
    seconds: float
    parameters: int


def factor(figure: str) -> float:
    """From our unit to the shown one: accuracies are shares here and percentages in the reports."""
    return 100 if figure.endswith("accuracy") else 1


def title(figure: str) -> str:
    """The head of a figure's column: "test %", "test perplexity", "initial loss"."""
    return figure.replace("_accuracy", " %").replace("_", " ")


def format_mean_std(result: Json | None, scale: float = 1, digits: int = 2) -> str:
    """A text like 66.31 ± 0.20 from a result of jaxnets.runs.statistics.mean_std; without "±" for a single seed; "–" for
    none.
    """
    if not result or result["mean"] is None:
        return NOTHING
    text = f"{scale * result['mean']:.{digits}f}"
    std = result["std"]
    return text if std is None or math.isnan(std) else f"{text} ± {scale * std:.{digits}f}"


def row(summary: Json) -> Row:
    """The row of one finished run."""
    # What was measured on another data set is no yardstick.
    reported = {} if summary["synthetic"] else summary["reported"]
    ours = {f"{split}_{name}": value for split, found in summary["final"].items() for name, value in found.items()}
    ours["initial_loss"] = summary["initial_loss"]
    figures = {}
    for name, value in ours.items():
        digits = 4 if name.endswith("loss") else 2
        said = f"{reported[name]:.{digits}f}" if name in reported else NOTHING
        figures[name] = (said, format_mean_std(value, factor(name), digits))
    part = summary.get("eval_examples")
    done = sum(step < 0 for step in summary["failed_at"])
    return Row(
        id=summary["id"],
        dataset=summary["dataset"]
        + (" (synthetic)" if summary["synthetic"] else "")
        + (f" ({part:,} evaluated)" if part else ""),
        seeds=f"{done}" if done == summary["seeds"] else f"{done} of {summary['seeds']}",
        epochs=(f"{reported['epochs']:g}" if "epochs" in reported else NOTHING, f"{summary['epochs']}"),
        figures=figures,
        seconds=summary["seconds"]["total"],
        parameters=summary["parameters"],
    )


def most_confused(counts: Sequence[Sequence[float]], names: Sequence[str], most: int = 5) -> list[str]:
    """The wrong answers given most often, as shares of their true class: ["I for 1 30 %", …] where 1 was the truth."""
    found = [
        (wrong / max(sum(row), 1), f"{names[j]} for {names[i]}")
        for i, row in enumerate(counts)
        for j, wrong in enumerate(row)
        if i != j and wrong
    ]
    return [f"{pair} {100 * share:.0f} %" for share, pair in sorted(found, key=lambda item: -item[0])[:most]]


class Climb(NamedTuple):
    """How a run's validation accuracy, the mean over its seeds, came to its best."""

    best: float
    epoch: int
    """The first at which it was reached."""
    leaders: int
    """The first epoch at which the best of several runs was there."""


def climbs(runs: Mapping[str, Sequence[Json]]) -> dict[str, Climb]:
    """The climb of each of several runs; `runs` maps labels to lines of metrics.jsonl."""
    by_epoch = {
        label: {line["epoch"]: _mean(line["validation"]["accuracy"]) for line in lines if "epoch" in line}
        for label, lines in runs.items()
    }
    first = lambda found, level: next(epoch for epoch, value in found.items() if value >= level)
    leader = max(by_epoch.values(), key=lambda found: max(found.values()))
    return {
        label: Climb(max(found.values()), first(found, max(found.values())), first(leader, max(found.values())))
        for label, found in by_epoch.items()
    }


def _mean(values: Sequence[float | None]) -> float:
    finite = [v for v in values if v is not None]
    return sum(finite) / len(finite) if finite else -math.inf


def cells(rows: Sequence[Row], brief: bool = False) -> tuple[list[str], list[list[str]]]:
    """Header and body; each figure is "reported | ours". Columns that would be empty are left out.

    A brief table leaves out losses that no report states, where there is anything else to show.
    """
    order = [f"{split}_{name}" for split in SPLITS for name in ("accuracy", "loss")]
    names = sorted({name for r in rows for name in r.figures}, key=lambda n: (order.index(n) if n in order else 99, n))
    shown = [name for name in names if any(r.figures.get(name, (NOTHING, NOTHING)) != (NOTHING, NOTHING) for r in rows)]
    if brief:
        told = [n for n in shown if not n.endswith("loss") or any(r.figures.get(n, (NOTHING,))[0] != NOTHING for r in rows)]
        shown = [n for n in told if n != "initial_loss"] or shown
    header = ["experiment", "data", "seeds", "epochs", *(title(name) for name in shown), "parameters", "seconds"]
    body = [
        [
            r.id,
            r.dataset,
            r.seeds,
            " | ".join(r.epochs),
            *(" | ".join(r.figures.get(name, (NOTHING, NOTHING))) for name in shown),
            f"{r.parameters:,}",
            f"{r.seconds:,.0f}",
        ]
        for r in rows
    ]
    return header, body


def text(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Columns for a terminal: the first two to the left, the others to the right."""
    lines = [header, *body]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    aligned = [
        [cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths, strict=True))]
        for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first two columns to the left, the others to the right."""
    rule = [":--" if i < 2 else "--:" for i in range(len(header))]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in (header, *body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (escaped[0], rule, *escaped[1:])) + "\n"

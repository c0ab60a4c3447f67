"""Reported figures beside ours."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Json = Mapping[str, Any]

# Reported figure -> (split, measure, factor from ours to the reported unit).
_MEASURED = {
    "train_accuracy": ("train", "accuracy", 100),
    "validation_accuracy": ("validation", "accuracy", 100),
    "test_accuracy": ("test", "accuracy", 100),
    "test_loss": ("test", "loss", 1),
}
TITLES = {
    "train_accuracy": "train %",
    "validation_accuracy": "validation %",
    "test_accuracy": "test %",
    "test_loss": "test loss",
    "initial_loss": "initial loss",
}


class Row(NamedTuple):
    """One run: for each figure of TITLES a pair (reported, ours) of texts; "–" where there is none."""

    id: str
    dataset: str
    seeds: str
    figures: Mapping[str, tuple[str, str]]
    seconds: float
    parameters: int


def mean_std(spread: Json | None, factor: float = 1, digits: int = 2) -> str:
    """A text like 66.31 ± 0.20 from a spread of jaxnets.record; without "±" for a single seed; "–" for none."""
    if not spread or spread["mean"] is None:
        return "–"
    text = f"{factor * spread['mean']:.{digits}f}"
    std = spread["std"]
    return text if std is None or math.isnan(std) else f"{text} ± {factor * std:.{digits}f}"


def row(summary: Json) -> Row:
    """The row of one finished run."""
    # What was measured on another data set is no yardstick.
    reported = {} if summary["embedded"] else summary["reported"]
    final = summary["final"]
    figures = {}
    for name in TITLES:
        ours = summary["initial_loss"] if name == "initial_loss" else None
        factor = 1.0
        if name in _MEASURED:
            split, measure, factor = _MEASURED[name]
            ours = final.get(split, {}).get(measure)
        digits = 2 if factor == 100 else 4
        said = f"{reported[name]:.{digits}f}" if name in reported else "–"
        figures[name] = (said, mean_std(ours, factor, digits))
    done = sum(step < 0 for step in summary["failed_at"])
    seeds = f"{done}" if done == summary["seeds"] else f"{done} of {summary['seeds']}"
    dataset = summary["dataset"] + (" (embedded)" if summary["embedded"] else "")
    return Row(summary["id"], dataset, seeds, figures, summary["seconds"]["total"], summary["parameters"])


def cells(rows: Sequence[Row], names: Iterable[str] = TITLES) -> tuple[list[str], list[list[str]]]:
    """Header and body; each figure is "reported | ours". Columns that would be empty are left out."""
    shown = [name for name in names if any(r.figures[name] != ("–", "–") for r in rows)]
    header = ["experiment", "data", "seeds", *(TITLES[name] for name in shown), "parameters", "seconds"]
    body = [
        [
            r.id,
            r.dataset,
            r.seeds,
            *(" | ".join(r.figures[name]) for name in shown),
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

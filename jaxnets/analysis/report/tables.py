"""Tables of finished runs, with the reported metrics beside ours."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets.runs import records

Json = Mapping[str, Any]

SPLITS = ("train", "validation", "test")
NOTHING = "–"
"""A cell without a value."""
_BESIDE = " | "


class Compared(NamedTuple):
    """A reported value and ours, as text; `NOTHING` for one that is missing."""

    reported: str = NOTHING
    ours: str = NOTHING


class Row(NamedTuple):
    """One run."""

    id: str
    dataset: str
    seeds: str
    epochs: Compared
    metrics: Mapping[str, Compared]
    """By metric and split, such as "test_accuracy", or "initial_loss"."""
    seconds: float
    """Of training, evaluation and compilation, all seeds together."""
    parameters: int


def factor(metric: str) -> float:
    """What our values are multiplied by for display: accuracies are fractions here and percentages in the reports."""
    return 100 if metric.endswith("accuracy") else 1


def title(metric: str) -> str:
    """The header of a metric's column: "test %", "test perplexity", "initial loss"."""
    return metric.replace("_accuracy", " %").replace("_", " ")


def format_mean_std(result: Json | None, scale: float = 1, digits: int = 2) -> str:
    """Text such as "66.31 ± 0.20" for a result of `jaxnets.runs.statistics.mean_std`.

    A single seed has no "±". A missing or non-finite result is `NOTHING`.
    """
    if not result or result["mean"] is None:
        return NOTHING
    text = f"{scale * result['mean']:.{digits}f}"
    std = result["std"]
    return text if std is None or math.isnan(std) else f"{text} ± {scale * std:.{digits}f}"


def row(summary: Json) -> Row:
    """The row of one finished run, from its summary.json."""
    # Metrics on a synthetic stand-in cannot be compared with reported ones.
    reported = {} if summary["synthetic"] else summary["reported"]
    ours = {f"{split}_{name}": value for split, values in summary["final"].items() for name, value in values.items()}
    ours["initial_loss"] = summary["initial_loss"]
    metrics = {}
    for name, value in ours.items():
        digits = 4 if name.endswith("loss") else 2
        metrics[name] = Compared(
            f"{reported[name]:.{digits}f}" if name in reported else NOTHING, format_mean_std(value, factor(name), digits)
        )
    eval_examples = summary.get("eval_examples")
    completed = sum(step < 0 for step in summary["failed_at"])
    return Row(
        id=summary["id"],
        dataset=summary["dataset"]
        + (" (synthetic)" if summary["synthetic"] else "")
        + (f" ({eval_examples:,} evaluated)" if eval_examples else ""),
        seeds=f"{completed}" if completed == summary["seeds"] else f"{completed} of {summary['seeds']}",
        epochs=Compared(f"{reported['epochs']:g}" if "epochs" in reported else NOTHING, f"{summary['epochs']}"),
        metrics=metrics,
        seconds=summary["seconds"]["total"],
        parameters=summary["parameters"],
    )


def rows(summary: Json, label: str | None = None) -> list[Row]:
    """The row of one finished run, and below it that of its seeds asked together, where there are several.

    `label` is what the run is called; by default its id.
    """
    first = row(summary)
    first = first._replace(id=label or first.id)
    together = {split: details["ensemble"] for split, details in summary["details"].items() if "ensemble" in details}
    if not together:
        return [first]
    [count] = {of_split["seeds"] for of_split in together.values()}
    metrics = {
        f"{split}_{name}": Compared(ours=f"{factor(name) * of_split[name]:.{digits}f}")
        for split, of_split in together.items()
        for name, digits in (("accuracy", 2), ("loss", 4))
    }
    ensemble = first._replace(
        id=f"{first.id}, ensemble", seeds=f"{count} as one", metrics=metrics, parameters=count * first.parameters
    )
    return [first, ensemble]


def most_confused(counts: Sequence[Sequence[float]], names: Sequence[str], limit: int = 5) -> list[str]:
    """The most frequent mistakes of a confusion matrix [true, predicted], as shares of the true class.

    An entry such as "I for 1 30 %" means that 30 % of the examples of class 1 were taken for I.
    """
    mistakes = [
        (count / max(sum(row), 1), f"{names[j]} for {names[i]}")
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return [f"{pair} {100 * share:.0f} %" for share, pair in sorted(mistakes, key=lambda item: -item[0])[:limit]]


class Climb(NamedTuple):
    """When a run reached its best validation accuracy (mean over seeds), and when the best of several runs did."""

    best: float
    epoch: int
    """The first epoch with this accuracy."""
    leaders: int
    """The first epoch in which the best run was at least as accurate."""


def climbs(runs: Mapping[str, Sequence[Json]]) -> dict[str, Climb]:
    """The climb of each of several runs; `runs` maps labels to lines of metrics.jsonl."""
    curves = {
        label: {line["epoch"]: _mean(line["validation"]["accuracy"]) for line in lines if "epoch" in line}
        for label, lines in runs.items()
    }
    first = lambda curve, level: next(epoch for epoch, value in curve.items() if value >= level)
    leader = max(curves.values(), key=lambda curve: max(curve.values()))
    return {
        label: Climb(max(curve.values()), first(curve, max(curve.values())), first(leader, max(curve.values())))
        for label, curve in curves.items()
    }


def _mean(values: Sequence[float | None]) -> float:
    finite = [v for v in values if v is not None]
    return sum(finite) / len(finite) if finite else -math.inf


def cells(rows: Sequence[Row], brief: bool = False) -> tuple[list[str], list[list[str]]]:
    """Header and body of a table. `legend` explains the cells.

    Columns without any value are left out. With `brief`, so are losses that no report states, unless the table would then
    show no metric.
    """
    order = [f"{split}_{name}" for split in SPLITS for name in ("accuracy", "loss")]
    names = sorted({name for r in rows for name in r.metrics}, key=lambda n: (order.index(n) if n in order else 99, n))
    columns = {name: [r.metrics.get(name, Compared()) for r in rows] for name in names}
    columns = {name: column for name, column in columns.items() if any(cell != Compared() for cell in column)}
    if brief:
        short = {name: c for name, c in columns.items() if not name.endswith("loss") or _is_reported(c)}
        short.pop("initial_loss", None)
        columns = short or columns
    body = zip(
        (r.id for r in rows),
        (r.dataset for r in rows),
        (r.seeds for r in rows),
        compared([r.epochs for r in rows]),
        *(compared(column) for column in columns.values()),
        (f"{r.parameters:,}" for r in rows),
        (f"{r.seconds:,.0f}" for r in rows),
        strict=True,
    )
    header = ["experiment", "data", "seeds", "epochs", *map(title, columns), "parameters", "seconds"]
    return header, [list(line) for line in body]


def compared(column: Sequence[Compared]) -> list[str]:
    """The cells of a column: "reported | ours" if anything in it was reported, ours alone otherwise."""
    if not _is_reported(column):
        return [cell.ours for cell in column]
    return [NOTHING if cell == Compared() else _BESIDE.join(cell) for cell in column]


def _is_reported(column: Iterable[Compared]) -> bool:
    return any(cell.reported != NOTHING for cell in column)


def legend(body: Sequence[Sequence[str]]) -> str:
    """What the cells of a table hold, as far as they do: "reported | ours, mean ± standard deviation over seeds"."""
    text = "\n".join(cell for line in body for cell in line)
    parts = (("reported | ours", _BESIDE), ("mean ± standard deviation over seeds", "±"))
    return ", ".join(part for part, mark in parts if mark in text)


def text(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table for a terminal: the first two columns flush left, the others flush right."""
    lines = [header, *body]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    aligned = [
        [cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths, strict=True))]
        for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first two columns flush left, the others flush right."""
    rule = [":--" if i < 2 else "--:" for i in range(len(header))]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in (header, *body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (escaped[0], rule, *escaped[1:])) + "\n"


def of_file(path: Path) -> str:
    """A Markdown table of the runs in a file of records, with a line on what it shows, hardware and the version of JAX."""
    runs = [run for run in records.read(path) if run["kind"] == "run"]
    header, body = cells([row(run) for run in runs], brief=True)
    first = runs[0]
    notes = (legend(body), first["hardware"], f"jax {first['versions']['jax']}", f"raw data in `{path.name}`")
    return f"{markdown(header, body)}\n{'; '.join(note for note in notes if note)}\n"

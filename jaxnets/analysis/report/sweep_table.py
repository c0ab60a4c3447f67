"""What a sweep found: a table and a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxnets.analysis.report import plots, tables
from jaxnets.errors import UserError
from jaxnets.runs.sweep import Metric, Result


def cells(results: Sequence[Result], metric: Metric) -> tuple[list[str], list[list[str]]]:
    """Header and body: a row a setting, best first."""
    scale, digits = _scale(metric)
    paths = list(results[0].setting)
    head = [*paths, f"{metric.split} {metric.name}{' %' if scale == 100 else ''}", "seeds"]
    body = [
        [
            *(f"{r.setting[path]:g}" if isinstance(r.setting[path], float) else str(r.setting[path]) for path in paths),
            tables.format_mean_std(r.score, scale, digits),
            f"{r.score['n']}" if r.score["n"] == len(r.score["values"]) else f"{r.score['n']} of {len(r.score['values'])}",
        ]
        for r in results
    ]
    return head, body


def _scale(metric: Metric) -> tuple[float, int]:
    """Factor and digits in which a metric is shown."""
    scale = tables.factor(metric.name)
    return scale, 2 if scale == 100 else 4


def text(results: Sequence[Result], metric: Metric) -> str:
    """The table for a terminal."""
    return tables.text(*cells(results, metric))


def final_words(results: Sequence[Result], metric: Metric, confirmed: Mapping[str, Any]) -> str:
    """The best setting and what it came to from fresh seeds, a line."""
    scale, digits = _scale(metric)
    chosen = ", ".join(f"{path} {value}" for path, value in results[0].setting.items())
    found = {
        split: tables.format_mean_std(measures.get(metric.name), scale, digits)
        for split, measures in confirmed["final"].items()
    }
    again = ", ".join(f"{split} {value}" for split, value in found.items())
    return f"best: {chosen}; trained again from fresh seeds: {metric.name} {again}"


def write(results: Sequence[Result], metric: Metric, confirmed: Mapping[str, Any], folder: Path) -> Path:
    """Writes table.md and sweep.png into `folder` and returns it. Raises UserError where it cannot."""
    try:
        table = tables.markdown(*cells(results, metric))
        (folder / "table.md").write_text(f"{table}\n{final_words(results, metric, confirmed)}\n")
        figure = plots.search([(r.setting, r.score) for r in results], f"{metric.split} {metric.name}")
        figure.savefig(folder / "sweep.png", dpi=110)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    return folder

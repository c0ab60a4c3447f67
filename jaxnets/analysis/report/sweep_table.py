"""The results of a sweep as a table and a plot."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from jaxnets.analysis.report import plots, sweep_plot, tables
from jaxnets.errors import UserError
from jaxnets.runs.statistics import difference_interval
from jaxnets.runs.sweep import Metric, Result, Setting


def cells(results: Sequence[Result], metric: Metric) -> tuple[list[str], list[list[str]]]:
    """Header and body of a table: a row for each setting, best first."""
    scale, digits = _scale(metric)
    settings = _settings(results)
    head = [*settings[0], f"{metric.split} {metric.name}{' %' if scale == 100 else ''}", "seeds"]
    body = [
        [
            *(f"{value:g}" if isinstance(value, float) else str(value) for value in setting.values()),
            tables.format_mean_std(r.score, scale, digits),
            f"{r.score['n']}" if r.score["n"] == len(r.score["values"]) else f"{r.score['n']} of {len(r.score['values'])}",
        ]
        for setting, r in zip(settings, results, strict=True)
    ]
    return head, body


def _settings(results: Sequence[Result]) -> list[Setting]:
    """The settings as they are shown: with how long they trained, unless all did alike."""
    if all(r.length == 1 for r in results):
        return [r.setting for r in results]
    return [r.setting | {"length": "full" if r.length == 1 else f"1/{round(1 / r.length)}"} for r in results]


def _scale(metric: Metric) -> tuple[float, int]:
    """Factor and number of digits with which a metric is shown."""
    scale = tables.factor(metric.name)
    return scale, 2 if scale == 100 else 4


def ablation(results: Sequence[Result], own: Setting, metric: Metric) -> str:
    """The table of an ablation for a terminal: see `_ablation`."""
    return tables.text(*_ablation(results, own, metric))


def write_ablation(results: Sequence[Result], own: Setting, metric: Metric, folder: Path) -> Path:
    """Writes it as ablation.md into `folder` and returns its path. Raises UserError if that fails."""
    path = folder / "ablation.md"
    try:
        path.write_text(tables.markdown(*_ablation(results, own, metric)), "utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    return path


def _ablation(results: Sequence[Result], own: Setting, metric: Metric) -> tuple[list[str], list[list[str]]]:
    """Header and body: the experiment as it is, whose values are `own`, then what each change makes of it, best first.

    Differences are those of the means, with 95 % intervals by Welch: every setting has seeds of its own.
    """
    scale, digits = _scale(metric)
    unit = " %" if scale == 100 else ""
    finite = lambda result: [scale * v for v in result.score["values"] if math.isfinite(v)]
    [base] = [result for result in results if result.setting == own]
    head = ["changed", "to", f"{metric.split} {metric.name}{unit}", "difference", "95 % interval", "seeds"]
    body = [["nothing", "", tables.format_mean_std(base.score, scale, digits), "", "", str(base.score["n"])]]
    for result in results:
        if result is base:
            continue
        [(path, value)] = [(path, value) for path, value in result.setting.items() if value != own[path]]
        ours, others = finite(result), finite(base)
        low, high = difference_interval(ours, others) if ours and others else (-math.inf, math.inf)
        effect = f"{fmean(ours) - fmean(others):+.{digits}f}" if ours and others else tables.NOTHING
        interval = f"{low:+.{digits}f} to {high:+.{digits}f}" if math.isfinite(high - low) else tables.NOTHING
        shown = tables.format_mean_std(result.score, scale, digits)
        body.append([path, str(value), shown, effect, interval, str(result.score["n"])])
    return head, body


def text(results: Sequence[Result], metric: Metric) -> str:
    """The table as text for a terminal."""
    return tables.text(*cells(results, metric))


def final_words(results: Sequence[Result], metric: Metric, confirmed: Mapping[str, Any]) -> str:
    """One line with the best setting and its metrics after training with new seeds."""
    scale, digits = _scale(metric)
    chosen = ", ".join(f"{path} {value}" for path, value in results[0].setting.items())
    by_split = {
        split: tables.format_mean_std(metrics.get(metric.name), scale, digits)
        for split, metrics in confirmed["final"].items()
    }
    again = ", ".join(f"{split} {value}" for split, value in by_split.items())
    return f"best: {chosen}; trained again with new seeds: {metric.name} {again}"


def write(results: Sequence[Result], metric: Metric, confirmed: Mapping[str, Any], folder: Path) -> Path:
    """Writes table.md and sweep.png into `folder` and returns it. Raises UserError if that fails."""
    try:
        table = tables.markdown(*cells(results, metric))
        (folder / "table.md").write_text(f"{table}\n{final_words(results, metric, confirmed)}\n", "utf-8")
        scores = [(setting, r.score) for setting, r in zip(_settings(results), results, strict=True)]
        figure = sweep_plot.draw(scores, f"{metric.split} {metric.name}")
        plots.literal(figure).savefig(folder / "sweep.png", dpi=110)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    return folder

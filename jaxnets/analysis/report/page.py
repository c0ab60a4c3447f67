"""A self-contained HTML page for a set of runs. Its plots are also written as PNG files, its table as Markdown."""

import base64
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from jaxnets.analysis.report import families, image_sheets, plots, tables
from jaxnets.errors import UserError
from jaxnets.runs.folder import RunFolder, find_runs
from jaxnets.runs.records import hardware

_FOLDER, _DPI = "report", 110


def write_report(folders: Sequence[Path], out: Path) -> Path:
    """Writes OUT/report/index.html, table.md and the plots of all finished runs below `folders`. Returns the page's path.

    Raises UserError if there are no finished runs, or if OUT/report cannot be written.
    """
    finished = finished_runs(folders)
    unfinished = [run for folder in folders for run in find_runs(folder) if not run.finished]
    target = out / _FOLDER
    try:
        target.mkdir(parents=True, exist_ok=True)
        page = _render(finished, unfinished, target)
        path = target / "index.html"
        path.write_text(page, "utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {target}: {error.strerror}; choose another --out") from error
    return path


def finished_runs(folders: Sequence[Path]) -> list[RunFolder]:
    """The finished runs in some folders and their subfolders, each once. Raises UserError if there are none.

    Runs of sweeps are left out: their replicas differ in more than seeds, and sweeps write their own tables.
    """
    by_path = {run.path.resolve(): run for folder in folders for run in find_runs(folder)}
    runs = [run for run in by_path.values() if not run.experiment().grid]
    finished = [run for run in runs if run.finished]
    if not finished:
        where = ", ".join(str(folder) for folder in folders)
        state = f"{len(runs)} unfinished" if runs else "none at all"
        raise UserError(f"no finished run in {where} ({state}); give the --out folder of `jaxnets run`")
    return finished


def _render(runs: Sequence[RunFolder], unfinished: Sequence[RunFolder], target: Path) -> str:
    summaries = [run.summary() for run in runs]
    metrics = [run.metrics() for run in runs]
    labels = _labels(runs, summaries)
    rows = [row for summary, label in zip(summaries, labels, strict=True) for row in tables.rows(summary, label)]
    header, body = tables.cells(rows)
    (target / "table.md").write_text(tables.markdown(header, body), "utf-8")

    overview: dict[str, Figure | None] = {}
    if len(runs) > 1:
        overview = {
            "Reported and ours": plots.reported_and_ours(dict(zip(labels, summaries, strict=True))),
            **{
                f"Validation {metric}": plots.compare(dict(zip(labels, metrics, strict=True)), metric)
                for metric in _common_metrics(metrics)
            },
            **families.comparisons(labels, runs, summaries, metrics),
        }
    return template("report/page.html").render(
        title=f"jaxnets: {', '.join(sorted({families.family_of(s) or s['id'] for s in summaries}))}",
        header=header,
        body=body,
        legend=tables.legend(body),
        synthetic=sorted({s["dataset"] for s in summaries if s["synthetic"]}),
        unfinished=[str(run.path) for run in unfinished],
        overview=save(overview, target, "overview"),
        climbs=_climbs(labels, summaries, metrics),
        runs=[_section(*parts, target) for parts in zip(runs, labels, summaries, metrics, strict=True)],
    )


def _climbs(
    labels: Sequence[str], summaries: Sequence[Mapping[str, Any]], metrics: Sequence[Any]
) -> dict[str, dict[str, tables.Climb]]:
    """For each family of classifiers with several runs, how fast each run and the best of them reached its accuracy."""
    by_family: dict[str, dict[str, Any]] = {}
    for label, summary, lines in zip(labels, summaries, metrics, strict=True):
        if "accuracy" in _common_metrics([lines]):
            by_family.setdefault(families.family_of(summary), {})[label] = lines
    return {family: tables.climbs(runs) for family, runs in by_family.items() if len(runs) > 1}


def _labels(runs: Sequence[RunFolder], summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The id of each run; for ids that occur more than once, with the folder in parentheses."""
    ids = [summary["id"] for summary in summaries]
    shared = os.path.commonpath([run.path.resolve() for run in runs])
    folders = [
        os.path.relpath(run.path.resolve(), shared).removesuffix(id_).strip("/") for run, id_ in zip(runs, ids, strict=True)
    ]
    return [id_ if ids.count(id_) == 1 else f"{id_} ({folder or '.'})" for id_, folder in zip(ids, folders, strict=True)]


def _common_metrics(metrics: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """Names of the metrics that all runs recorded on validation data."""
    recorded = [next((list(line["validation"]) for line in lines if "epoch" in line), []) for lines in metrics]
    return [name for name in recorded[0] if all(name in names for names in recorded)]


def _section(run: RunFolder, label: str, summary: Mapping[str, Any], metrics: Sequence[Any], target: Path) -> dict[str, Any]:
    name = re.sub(r"[^\w.-]+", "-", label).strip("-")
    figures = _plots(summary, metrics) | {caption: image_sheets.sheet(grid) for caption, grid in run.images().items()}
    samples = summary.get("samples")
    return {
        "samples": samples,
        "label": label,
        "anchor": name,
        "facts": _facts(run, summary),
        "plots": save(figures, target, name),
    }


def _plots(summary: Mapping[str, Any], metrics: Sequence[Any]) -> dict[str, Figure | None]:
    """The plots of one run by caption, as far as its metrics allow them."""
    reported = {} if summary["synthetic"] else summary["reported"]
    names = summary.get("class_names") or ()
    figures: dict[str, Figure | None] = {}
    for metric in _common_metrics([metrics]):
        levels = {s: reported[f"{s}_{metric}"] for s in tables.SPLITS if f"{s}_{metric}" in reported}
        chance = 100 / len(names) if metric == "accuracy" and names else None
        figures[f"{metric.capitalize()} by epoch"] = plots.curves(metrics, metric, levels, chance)
    first_epoch: Mapping[str, Any] = next((line for line in metrics if "epoch" in line), {"train": {}, "validation": {}})
    for metric in (name for name in first_epoch["train"] if name not in first_epoch["validation"]):
        figures[f"{metric.capitalize().replace('_', ' ')} by epoch"] = plots.curves(metrics, metric, {})
    figures["The first steps"] = plots.hockey_stick(metrics, len(names)) if _has_steps(metrics) else None
    for split, details in summary["details"].items():
        if "confusion" in details and (split == "test" or "test" not in summary["details"]):
            per_class = {
                name: reported[f"{split}_accuracy/{name}"] for name in names if f"{split}_accuracy/{name}" in reported
            }
            figures[f"Confusion on the {split} split, %"] = plots.confusion(details["confusion"], names)
            figures[f"Accuracy by class on the {split} split"] = plots.per_class(details["confusion"], names, per_class)
            figures[f"Calibration on the {split} split"] = plots.calibration(details) if "reliability" in details else None
    return figures


def _has_steps(metrics: Sequence[Any]) -> bool:
    """Whether the first steps of a run are in its record, part of which may be lost."""
    return any("epoch" not in line for line in metrics)


def _facts(run: RunFolder, summary: Mapping[str, Any]) -> dict[str, str]:
    """Configuration, cost, hardware and versions of a run, in words."""
    config, environment = run.read("config.json"), run.environment()
    seconds = summary["seconds"]
    by_phase = ", ".join(f"{phase} {spent:,.0f}" for phase, spent in seconds.items() if phase != "total")
    weights = "of the best epoch by validation" if summary["select"] == "best" else "of the last epoch"
    if eval_examples := summary.get("eval_examples"):
        weights += f", on at most {eval_examples:,} examples of each split"
    facts = {
        "what": config["summary"],
        "source": config["source"],
        "data": summary["dataset"] + (" (synthetic stand-in)" if summary["synthetic"] else ""),
        "parameters": f"{summary['parameters']:,}",
        "seeds": f"{summary['seeds']}, best epochs {', '.join(map(str, summary['best_epoch']))}",
        "weights evaluated": weights,
        "length": f"{summary['epochs']} epochs, {summary['steps']:,} steps",
        "time": f"{seconds['total']:,.0f} s: {by_phase}",
        "speed": f"{summary['examples_per_second']:,.0f} examples/s, all seeds together",
        "memory": f"{summary['peak_memory_bytes'] / 1e9:.2f} GB for the largest compiled program, scratch included",
        "hardware": hardware(environment, summary.get("devices")),
        "versions": ", ".join(f"{name} {version}" for name, version in environment["versions"].items()),
        "commit": environment["commit"] or "unknown",
        "settings": ", ".join(f"{name} {value}" for name, value in environment["settings"].items() if value) or "default",
    }
    for split in ("test", "validation"):
        if confusion := summary["details"].get(split, {}).get("confusion"):
            facts[f"most often mistaken ({split})"] = ", ".join(tables.most_confused(confusion, summary["class_names"]))
            break
    failed = [f"seed {i} at step {step + 1}" for i, step in enumerate(summary["failed_at"]) if step >= 0]
    if failed:
        facts["stopped by a non-finite loss"] = ", ".join(failed)
    if any(refused := summary.get("refused", ())):
        facts["refused by SPSA"] = f"{', '.join(f'{count:,}' for count in refused)} of {summary['steps']:,} steps, by seed"
    return facts


def template(name: str) -> jinja2.Template:
    """A template below jaxnets/analysis."""
    loader = jinja2.PackageLoader("jaxnets.analysis", ".")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(name)


def save(figures: Mapping[str, Figure | None], target: Path, prefix: str) -> list[dict[str, str]]:
    """Writes each figure to TARGET/PREFIX-i.png, and returns captions and base64 data for embedding."""
    saved = []
    for i, (caption, figure) in enumerate(figures.items()):
        if figure is None:
            continue
        image = io.BytesIO()
        plots.literal(figure).savefig(image, format="png", dpi=_DPI)
        (target / f"{prefix}-{i}.png").write_bytes(image.getvalue())
        saved.append({"caption": caption, "data": base64.b64encode(image.getvalue()).decode()})
    return saved

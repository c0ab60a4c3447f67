"""One self-contained HTML page for a set of runs, with its plots as PNG files and its table as Markdown beside it."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from jaxnets.errors import UserError
from jaxnets.record import RunFolder, find_runs
from jaxnets.report import figures, tables
from jaxnets.report.results import hardware

_FOLDER, _DPI = "report", 110


def write_report(folders: Sequence[Path], out: Path) -> Path:
    """Writes OUT/report/index.html, table.md and the plots for all finished runs below `folders`. Returns the page.

    Raises UserError if there is none.
    """
    finished = finished_runs(folders)
    unfinished = [run for folder in folders for run in find_runs(folder) if not run.finished]
    target = out / _FOLDER
    try:
        target.mkdir(parents=True, exist_ok=True)
        page = _render(finished, unfinished, target)
        path = target / "index.html"
        path.write_text(page)
    except OSError as error:
        raise UserError(f"cannot write to {target}: {error.strerror}; choose another --out") from error
    return path


def finished_runs(folders: Sequence[Path]) -> list[RunFolder]:
    """The finished runs at or below some folders. Raises UserError if there is none."""
    runs = [run for folder in folders for run in find_runs(folder)]
    finished = [run for run in runs if run.finished]
    if not finished:
        where = ", ".join(str(folder) for folder in folders)
        state = f"{len(runs)} unfinished" if runs else "none at all"
        raise UserError(f"no finished run in {where} ({state}); give the folder that was --out of `jaxnets run`")
    return finished


def _render(runs: Sequence[RunFolder], unfinished: Sequence[RunFolder], target: Path) -> str:
    summaries = [run.read("summary.json") for run in runs]
    metrics = [run.metrics() for run in runs]
    header, body = tables.cells([tables.row(summary) for summary in summaries])
    (target / "table.md").write_text(tables.markdown(header, body))

    overview: dict[str, Figure | None] = {}
    if len(runs) > 1:
        by_id = dict(zip((s["id"] for s in summaries), metrics, strict=True))
        overview = {
            "Reported and ours": figures.reported_and_ours(summaries, "test_accuracy", "test"),
            "Validation accuracy": figures.compare(by_id, "accuracy"),
            "Validation loss": figures.compare(by_id, "loss"),
        }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxnets.report", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html").render(
        title=f"jaxnets: {', '.join(sorted({s['id'].rpartition('/')[0] or s['id'] for s in summaries}))}",
        header=header,
        body=body,
        embedded=sorted({s["dataset"] for s in summaries if s["embedded"]}),
        unfinished=[str(run.path) for run in unfinished],
        overview=_save(overview, target, "overview"),
        runs=[_section(run, s, m, target) for run, s, m in zip(runs, summaries, metrics, strict=True)],
    )


def _section(run: RunFolder, summary: Mapping[str, Any], metrics: Sequence[Any], target: Path) -> dict[str, Any]:
    config, environment = run.read("config.json"), run.read("environment.json")
    reported = {} if summary["embedded"] else summary["reported"]
    levels = {
        split: reported[f"{split}_accuracy"] for split in ("train", "validation", "test") if f"{split}_accuracy" in reported
    }
    split, details = next((s, summary["details"][s]) for s in ("test", "validation") if s in summary["details"])
    names = summary.get("class_names") or [str(i) for i in range(len(details["confusion"]))]
    plots: dict[str, Figure | None] = {
        "Accuracy": figures.curves(metrics, "accuracy", levels, 100 / len(names)),
        "Loss": figures.curves(metrics, "loss", {}),
        "The first steps": figures.hockey_stick(metrics, len(names)),
        f"Confusion on the {split} split, %": figures.confusion(details["confusion"], names),
        f"Accuracy by class on the {split} split": figures.per_class(
            details["confusion"], names, {name: reported.get(f"test_accuracy/{name}", float("nan")) for name in names}
            if any(key.startswith("test_accuracy/") for key in reported) else {},
        ),
    }  # fmt: skip
    seconds = summary["seconds"]
    facts = {
        "what": config["summary"],
        "source": config["source"],
        "data": summary["dataset"] + (" (embedded stand-in)" if summary["embedded"] else ""),
        "parameters": f"{summary['parameters']:,}",
        "seeds": f"{summary['seeds']}, best epochs {', '.join(map(str, summary['best_epoch']))}",
        "length": f"{summary['epochs']} epochs, {summary['steps']:,} steps",
        "time": f"{seconds['total']:,.0f} s: compile {seconds['compile']:,.0f}, train {seconds['train']:,.0f}, "
        f"evaluate {seconds['eval']:,.0f}",
        "speed": f"{summary['images_per_second']:,.0f} images/s, all seeds together",
        "peak memory": f"{summary['peak_memory_bytes'] / 1e9:.2f} GB",
        "hardware": hardware(environment),
        "versions": ", ".join(f"{name} {version}" for name, version in environment["versions"].items()),
        "commit": environment["commit"] or "unknown",
    }
    failed = [f"seed {i} at step {step + 1}" for i, step in enumerate(summary["failed_at"]) if step >= 0]
    if failed:
        facts["stopped by a loss that was not finite"] = ", ".join(failed)
    name = summary["id"].replace("/", "-")
    return {"id": summary["id"], "anchor": name, "facts": facts, "plots": _save(plots, target, name)}


def _save(plots: Mapping[str, Figure | None], target: Path, prefix: str) -> list[dict[str, str]]:
    """Writes each plot as a PNG and returns captions and images for embedding."""
    saved = []
    for i, (caption, figure) in enumerate(plots.items()):
        if figure is None:
            continue
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=_DPI)
        plt.close(figure)
        (target / f"{prefix}-{i}.png").write_bytes(image.getvalue())
        saved.append({"caption": caption, "data": base64.b64encode(image.getvalue()).decode()})
    return saved

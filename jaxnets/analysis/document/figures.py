"""Counterparts of a document's figures, as far as runs recorded what they show."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from jaxnets.analysis.document import tables
from jaxnets.analysis.document.tables import Known
from jaxnets.analysis.report import families, image_sheets, plots
from jaxnets.analysis.report.tables import SPLITS
from jaxnets.analysis.visualize import filters, network
from jaxnets.runs import load, records
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.reproduction.document import Item
from jaxnets.runs.reproduction.evidence import Evidence, Record

Json = Mapping[str, Any]


def draw(item: Item, known: Known, synthetic: bool) -> tuple[dict[str, Figure], list[str]]:
    """(figures by caption, what is missing and why)."""
    figures: dict[str, Figure] = {}
    missing = []
    if item.confusion:
        names = _class_names(item, known) or tuple(map(str, range(len(item.confusion))))
        figures["Reported confusion, % of the true class"] = plots.confusion(item.confusion, names)
    if "batch_size" in item.draw:
        sizes = {e.documented.data.batch_size: _record(e).row for e in map(known.get, item.of) if e and e.records}
        if len(sizes) > 1:
            figures["Ours by batch size"] = families.by_batch_size(sizes)
        else:
            missing.append(f"{len(sizes)} of {len(item.of)} batch sizes run")
        return figures, missing
    for id_ in item.of:
        evidence = known[id_]
        if not evidence.records:
            missing.append(f"{id_}: not run")
            continue
        for kind in (kind for kind in item.draw if kind != "samples"):
            drawn = _figures(kind, evidence, synthetic)
            figures |= {f"{id_}, {tables.basis(evidence)}: {caption}": figure for caption, figure in drawn.items()}
            if not drawn:
                missing.append(f"{id_}: {_why(kind)}")
    return figures, missing


def samples(item: Item, known: Known) -> dict[str, Json]:
    """The texts that trained nets wrote, by id of the experiment; as in summary.json."""
    found = {id_: _record(known[id_]).row.get("samples") for id_ in item.of if known[id_].records}
    return {id_: texts for id_, texts in found.items() if texts} if "samples" in item.draw else {}


def _record(evidence: Evidence) -> Record:
    """The run to draw: one with a folder, if there is any, else the one with the most seeds."""
    return max(evidence.records, key=lambda record: (record.folder is not None, record.row["seeds"]))


def _class_names(item: Item, known: Known) -> Sequence[str]:
    rows = [_record(known[id_]).row for id_ in item.of if known[id_].records]
    return next((row["class_names"] for row in rows if row.get("class_names")), ())


def _figures(kind: str, evidence: Evidence, synthetic: bool) -> dict[str, Figure]:
    """The figures of one kind that a run allows, by caption."""
    record = _record(evidence)
    row, names = record.row, record.row.get("class_names") or ()
    reported = {} if synthetic or evidence.dataset else evidence.documented.reported
    if kind == "first_steps":
        first = next((r for r in (record, *evidence.starts) if _steps(r)), None)
        return {"loss of the first steps": plots.hockey_stick(_steps(first), len(names))} if first else {}
    if kind in ("accuracy", "loss", "psnr"):
        lines = [line for line in _lines(record) if "epoch" in line]
        if not lines or not any(kind in lines[0][split] for split in ("train", "validation")):
            return {}
        levels = {split: reported[f"{split}_{kind}"] for split in SPLITS if f"{split}_{kind}" in reported}
        chance = 100 / len(names) if kind == "accuracy" and names else None
        figure = plots.curves(lines, kind, levels, chance)
        if not synthetic and not evidence.documented.steps:  # The document's axis, however far our runs go.
            figure.axes[0].set_xlim(0, max(evidence.documented.epochs, len(lines)))
        return {f"{kind} by epoch": figure}
    if kind in ("confusion", "by_class"):
        split = next((s for s in ("test", "validation") if "confusion" in row["details"].get(s, {})), None)
        if split is None:
            return {}
        counts = row["details"][split]["confusion"]
        if kind == "confusion":
            return {f"confusion on {split} data, % of the true class": plots.confusion(counts, names)}
        per_class = {name: reported[f"{split}_accuracy/{name}"] for name in names if f"{split}_accuracy/{name}" in reported}
        return {f"{split} accuracy by class": plots.per_class(counts, names, per_class)}
    if record.folder is None:
        return {}
    if kind == "images":
        return {caption: image_sheets.sheet(grid) for caption, grid in RunFolder(record.folder).images().items()}
    return {"filters of the first convolution": _filters(record)} if kind == "filters" else {}


def _filters(record: Record) -> Figure:
    assert record.folder is not None
    cnn = network.from_trained(load.load(record.folder), record.folder)
    layer = cnn.filter_layers()[0]
    return image_sheets.filters(filters.kernel(cnn.variables["params"], layer), f"{record.experiment.id}, {layer.name}")


def _lines(record: Record) -> list[dict[str, Any]]:
    return RunFolder(record.folder).metrics() if record.folder else records.lines(record.row)


def _steps(record: Record) -> list[dict[str, Any]]:
    return [line for line in _lines(record) if "epoch" not in line]


def _why(kind: str) -> str:
    """Why a figure of a run is missing."""
    if kind in ("activations", "maximize"):
        return f"drawn by `jaxnets visualize RUN {kind}`"
    if kind in ("images", "filters"):
        return f"{kind} need the trained net: reproduce it here"
    return f"its record has no {kind.replace('_', ' ')}"

"""A document's page: its tables, figures and claims in its own order, with what our runs say beside what it reports."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxnets import registry
from jaxnets.analysis.document import figures, markdown, tables
from jaxnets.analysis.document.tables import Known
from jaxnets.analysis.report.page import save, template
from jaxnets.analysis.report.tables import NOTHING
from jaxnets.errors import UserError
from jaxnets.runs.reproduction import claims, document, evidence
from jaxnets.runs.reproduction.claims import Entry
from jaxnets.runs.reproduction.document import Document, Item

_METHOD = (
    "Accuracies are those of evaluation mode, without augmentation, on every example of a split. Where the best epoch is "
    "tested, 5,000 images or a like part held out from training picked it; the test split was read once, after training. "
    "Ours are mean ± standard deviation [95 % interval of the mean] over seeds. A reported figure is one draw: it is "
    'reproduced if it lies in the 95 % prediction interval of one further seed of ours, and "(fitted)" where a setting that '
    "the document leaves open was chosen because it gives that figure: the agreement explains the document and is no "
    "independent reproduction. Costs are those of a seed on our hardware, and have no verdict."
)


def write(loaded: Document, out: Path, *, synthetic: bool = False) -> Path:
    """Writes OUT/NAME/index.html, the plots, claims.json and tables.md, from the committed runs and those below OUT.

    With `synthetic` only runs on synthetic data count, and there is no tables.md; otherwise only others count. Returns the
    page's path. Raises UserError if it cannot be written.
    """
    gathered = evidence.gather(evidence.committed(), [out])
    known = {
        id_: evidence.of(experiment, gathered, synthetic) for id_, experiment in document.experiments(loaded.parts).items()
    }
    target = out / loaded.name
    entries = claims.ledger(loaded, known, synthetic)
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / "claims.json").write_text(json.dumps([entry.to_json() for entry in entries], indent=1) + "\n", "utf-8")
        if not synthetic:
            (target / "tables.md").write_text(f"# {loaded.title}\n\n{markdown.text(loaded, known, entries)}", "utf-8")
        path = target / "index.html"
        path.write_text(_render(loaded, known, entries, target, synthetic), "utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {target}: {error.strerror}; choose another --out") from error
    return path


def _render(loaded: Document, known: Known, entries: Sequence[Entry], target: Path, synthetic: bool) -> str:
    parts = [_part(item, known, target, synthetic) for item in loaded.items]
    short = synthetic and any(e.epochs is not None for e in known.values())
    return template("document/page.html").render(
        document=loaded,
        synthetic=synthetic,
        mark=" (synthetic)" if synthetic else "",
        shortened=", and shortened training" if short else "",
        tally=_tally(parts, entries, synthetic),
        parts=parts,
        entries=entries,
        rule=claims.RULE,
        number=_number,
        notes=_notes(known),
        method=_METHOD,
        provenance=[line for id_ in known for line in _provenance(id_, known)],
    )


def _part(item: Item, known: Known, target: Path, synthetic: bool) -> dict[str, Any]:
    drawn, missing = figures.draw(item, known, synthetic)
    return {
        "item": item,
        "headers": [tables.header(measure) for measure in item.measures],
        "lines": tables.lines(item, known),
        "better": tables.better(item, known),
        "spreads": tables.spreads(item, known),
        "pages": _pages(item, synthetic),
        "figures": save(drawn, target, item.id),
        "samples": figures.samples(item, known),
        "missing": missing,
    }


def _tally(parts: Sequence[dict[str, Any]], entries: Sequence[Entry], synthetic: bool) -> str:
    """How many figures and claims there are of each verdict, in a sentence."""
    cells = Counter(
        cell.verdict
        for part in parts
        for line in part["lines"]
        for measure, cell in zip(part["item"].measures, line.cells, strict=True)
        if cell.verdict and measure != "parameters"
    )
    rulings = Counter(entry.decision for entry in entries)
    count = lambda counter: ", ".join(f"{number} {name}" for name, number in counter.most_common())
    on = " on synthetic data" if synthetic else ""
    texts = [
        f"Of {sum(cells.values())} reported results (costs and numbers of parameters aside): {count(cells)}."
        if cells
        else ""
    ]
    texts.append(f"Of {len(entries)} claims{on}: {count(rulings)}." if entries else "")
    return " ".join(filter(None, texts))


def _pages(item: Item, synthetic: bool) -> tuple[list[str], list[list[str]]] | None:
    """Character errors of pages that were read, reported beside those of committed readings by our nets."""
    if not item.pages:
        return None
    readings: dict[str, dict[str, Any]] = {}
    files = () if synthetic else evidence.committed()
    rows = [json.loads(line) for path in files for line in path.read_text("utf-8").splitlines()]
    for row in (row for row in rows if row.get("kind") == "ocr"):
        readings.setdefault(f"{row['id']} on {row['dataset']}", {})[row["page"]] = row
    columns = {"reported": {page["page"]: page for page in item.pages}, **readings}
    share = lambda of: NOTHING if not of else f"{of['errors']} of {of['characters']}"
    body = [[page["page"], *(share(column.get(page["page"])) for column in columns.values())] for page in item.pages]
    total = lambda column: 100 * sum(p["errors"] for p in column.values()) / sum(p["characters"] for p in column.values())
    return [*columns], [*body, ["all", *(f"{total(column):.1f} %" for column in columns.values())]]


def _notes(known: Known) -> dict[str, str]:
    """What config files say of the experiments, each text once, under the ids it is of."""
    by_text: dict[str, list[str]] = {}
    for id_ in known:
        by_text.setdefault(registry.notes(id_), []).append(id_)
    return {", ".join(dict.fromkeys(i.rpartition("/")[0] or i for i in ids)): text for text, ids in by_text.items() if text}


def _provenance(id_: str, known: Known) -> list[list[str]]:
    if not known[id_].records:
        return [[id_, "not run", "", "", "", ""]]
    lines = []
    for record in known[id_].records:
        row = record.row
        weights = "of the epoch that validation picks" if record.experiment.select == "best" else "of the last epoch"
        commit = (row["commit"] or "unknown")[:12]
        seeds = f"{row['seeds']} from root seed {record.experiment.seed}, {row['epochs']} epochs on {row['dataset']}"
        lines.append([id_, seeds, weights, row["hardware"], row["versions"]["jax"], commit])
    return lines


def _number(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.4g}" if math.isfinite(value) else "∞"

"""Rewrites the tables of the pages that PAGES names from the files under benchmarks/results/.

    python scripts/update_readme.py

`<!-- results: FILE -->` marks the start of a table made from benchmarks/results/FILE; `<!-- overview -->`,
`<!-- reported seconds -->` and `<!-- speed by hardware -->` mark tables made from all files, and `<!-- document: S4 -->`
those of a document. Each ends at `<!-- end -->`.
"""

import re
import sys
from pathlib import Path
from typing import Any

from jaxnets import registry
from jaxnets.analysis.document import markdown
from jaxnets.analysis.report import tables
from jaxnets.runs import records
from jaxnets.runs.reproduction import claims, document, evidence

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "RESULTS.md", "docs/spsa.md", "docs/reports.md", "docs/accelerators.md")
sys.path.insert(0, str(ROOT))

from benchmarks import (  # noqa: E402
    calibration,
    harness,
    reported,
    run_memory,
    spsa_head,
    spsa_memory,
    spsa_peers,
    spsa_study,
    spsa_theory,
    spsa_times,
    training_parity,
)

OWN = {
    "calibration": calibration.table,
    "run memory": run_memory.table,
    "spsa peers": spsa_peers.table,
    "spsa memory": spsa_memory.table,
    "spsa head": spsa_head.table,
    "spsa theory": spsa_theory.table,
    "spsa study": spsa_study.table,
    "spsa times": spsa_times.table,
}


def table(path: Path) -> str:
    """The Markdown table of one file: runs beside reported metrics, benchmarks beside PyTorch, or one of OWN."""
    rows = records.read(path)
    first = rows[0]
    if first["kind"] in OWN:
        circumstances = f"{first['hardware']}; jax {first['versions']['jax']}; raw data in `{path.name}`"
        return f"{OWN[first['kind']](rows)}\n\n{circumstances}\n"
    if first["kind"] == "training parity":
        compared = [found for name in training_parity.FAMILIES if (found := training_parity.compare(name, rows))]
        versions = f"jax {first['versions']['jax']}, torch {first['versions']['torch']}"
        return f"{training_parity.table(compared)}\n\n{first['hardware']}; {versions}; raw data in `{path.name}`\n"
    if first["kind"] != "benchmark":
        return tables.of_file(path)
    versions = f"jax {first['versions']['jax']}, torch {first['versions']['torch']}"
    rounds = " or ".join(str(n) for n in sorted({row["n"] for row in rows}))
    return f"{harness.table(rows)}\n\n{first['hardware']}; {versions}; n = {rounds} rounds; raw data in `{path.name}`\n"


def overview() -> str:
    """A row for each experiment with a reported test or validation accuracy: its longest run."""
    longest: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(RESULTS.glob("*.jsonl")):
        for row in records.read(path):
            key = row.get("id", ""), row.get("dataset", "")
            if row["kind"] == "run" and records.is_complete(row) and row["epochs"] >= longest.get(key, row)["epochs"]:
                longest[key] = row
    header = ["experiment", "data", "accuracy %", "reported", "ours", "seeds", "epochs"]
    body, epochs = [], []
    for _, run in sorted(longest.items()):
        split = next((s for s in ("test", "validation") if f"{s}_accuracy" in run["reported"]), None)
        if split and not run["synthetic"] and not run["id"].startswith("study/"):  # Studies are not about accuracy alone.
            row = tables.row(run)
            body.append([row.id, row.dataset, split, *row.metrics[f"{split}_accuracy"], row.seeds])
            epochs.append(row.epochs)
    cells = tables.compared(epochs)
    return tables.markdown(header, [[*line, cell] for line, cell in zip(body, cells, strict=True)])


def seconds() -> str:
    """The training times that the reports state beside those of the committed runs."""
    runs = reported.read(sorted(RESULTS.glob("*.jsonl")))
    comparisons, _ = reported.comparisons(registry.all_experiments().values(), runs)
    return f"{reported.table(comparisons)}\n"


def speed() -> str:
    """The ratios to PyTorch, by kind of machine."""
    rows = [row for path in sorted(RESULTS.glob("*.jsonl")) for row in records.read(path) if row["kind"] == "benchmark"]
    return f"{harness.by_hardware(rows)}\n"


def tables_of(name: str) -> str:
    """A document's tables and claims, by the committed runs."""
    loaded = document.load(name)
    gathered = evidence.gather(evidence.committed(), [])
    known = {id_: evidence.of(experiment, gathered) for id_, experiment in document.experiments(loaded.parts).items()}
    return f"{loaded.title}.\n\n{markdown.text(loaded, known, claims.ledger(loaded, known))}"


def updated(text: str) -> str:
    """The text of a page with every marked table made anew."""
    text = re.sub(
        r"(<!-- document: (\S+) -->\n).*?(<!-- end -->)",
        lambda match: match[1] + tables_of(match[2]) + match[3],
        text,
        flags=re.DOTALL,
    )
    text = re.sub(
        r"(<!-- results: (\S+) -->\n).*?(<!-- end -->)",
        lambda match: match[1] + table(RESULTS / match[2]) + match[3],
        text,
        flags=re.DOTALL,
    )
    for name, make in (("overview", overview), ("reported seconds", seconds), ("speed by hardware", speed)):
        mark = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text = re.sub(mark, lambda match, make=make: match[1] + make() + match[2], text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    for page in PAGES:
        (ROOT / page).write_text(updated((ROOT / page).read_text("utf-8")), "utf-8")

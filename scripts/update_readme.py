"""Rewrites the tables of README.md, RESULTS.md and docs/spsa.md from the files under benchmarks/results/.

    python scripts/update_readme.py

`<!-- results: FILE -->` marks the start of a table made from benchmarks/results/FILE; `<!-- overview -->`,
`<!-- reported seconds -->` and `<!-- speed by hardware -->` mark tables made from all files. Each ends at `<!-- end -->`.
"""

import re
import sys
from pathlib import Path
from typing import Any

from jaxnets import registry
from jaxnets.analysis.report import tables
from jaxnets.runs import records

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "RESULTS.md", "docs/spsa.md")
sys.path.insert(0, str(ROOT))

from benchmarks import harness, reported, spsa_head, spsa_memory, spsa_peers, training_parity  # noqa: E402

SPSA = {"spsa peers": spsa_peers.table, "spsa memory": spsa_memory.table, "spsa head": spsa_head.table}


def table(path: Path) -> str:
    """The Markdown table of one file: runs beside reported metrics, benchmarks beside PyTorch, or SPSA beside its peers."""
    rows = records.read(path)
    first = rows[0]
    if first["kind"] in SPSA:
        circumstances = f"{first['hardware']}; jax {first['versions']['jax']}; raw data in `{path.name}`"
        return f"{SPSA[first['kind']](rows)}\n\n{circumstances}\n"
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


def updated(text: str) -> str:
    """The text of a page with every marked table made anew."""
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

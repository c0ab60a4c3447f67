"""A document's tables and claims as Markdown, to be read beside the code: its page without the figures."""

from collections.abc import Sequence

from jaxnets.analysis.document import tables
from jaxnets.analysis.document.tables import Cell, Known
from jaxnets.analysis.report.tables import NOTHING, Compared, compared, markdown
from jaxnets.runs.reproduction.claims import Entry
from jaxnets.runs.reproduction.document import Document, Item
from jaxnets.runs.reproduction.evidence import COSTS


def text(document: Document, known: Known, entries: Sequence[Entry]) -> str:
    """The tables in the document's order, without costs, which are the hardware's; then what became of its claims."""
    parts = [_table(item, known) for item in document.items if set(item.measures) - set(COSTS)]
    if entries:
        body = [[e.claim.id, e.claim.says, e.verdict, NOTHING if e.decision == "not run" else f"{e.n}"] for e in entries]
        parts.append(f"**Claims**\n\n{markdown(['claim', 'what it says', 'verdict', 'n'], body)}")
    return "\n".join(parts)


def _table(item: Item, known: Known) -> str:
    lines = tables.lines(item, known)
    columns = {
        measure: compared([_compared(line.cells[i]) for line in lines])
        for i, measure in enumerate(item.measures)
        if measure not in COSTS
    }
    body = [[line.label, line.runs, *cells] for line, *cells in zip(lines, *columns.values(), strict=True)]
    note = f" {item.note}" if item.note else ""
    return f"**{item.name}: {item.title}** ({item.section}).{note}\n\n" + markdown(
        ["net", "runs", *map(tables.header, columns)], body
    )


def _compared(cell: Cell) -> Compared:
    """Ours with its verdict, in one line: "57.39 ± 0.52 [56.74, 58.04], reproduced", or "not run"."""
    found = [] if cell.ours == NOTHING else [cell.ours.replace("\n", " ")]
    return Compared(cell.reported, ", ".join(filter(None, [*found, cell.verdict])) or NOTHING)

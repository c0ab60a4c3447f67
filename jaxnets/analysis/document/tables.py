"""Tables of a document: reported | ours | verdict, the spread over seeds, and which variant is better how often."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxnets.analysis.report.tables import NOTHING, title
from jaxnets.runs.reproduction.document import Item, Row
from jaxnets.runs.reproduction.evidence import COSTS, Evidence, examples
from jaxnets.runs.reproduction.verdicts import Verdict, verdict
from jaxnets.runs.statistics import mean_interval, mean_std, probability_better, spread

Known = Mapping[str, Evidence]
"""Evidence by id of the experiment."""


class Cell(NamedTuple):
    """One measure of one row, as text."""

    reported: str = NOTHING
    ours: str = NOTHING
    """Mean and standard deviation, and on a line below the interval of the mean."""
    verdict: Verdict = ""


class Line(NamedTuple):
    """One row."""

    label: str
    id: str
    runs: str
    """What ours rests on: seeds, and where the runs depart from the document."""
    cells: tuple[Cell, ...]


def lines(item: Item, known: Known) -> list[Line]:
    """The rows of a table."""
    return [_line(row, item.measures, known) for row in item.rows]


def _line(row: Row, measures: Sequence[str], known: Known) -> Line:
    stated, evidence = row.stated(), known[row.of]
    return Line(row.label, row.of, basis(evidence), tuple(_cell(stated.get(m), m, evidence) for m in measures))


def _cell(reported: float | None, measure: str, evidence: Evidence) -> Cell:
    # The time of a run of another length says nothing beside the reported one.
    values = [] if measure == "gpu_seconds" and evidence.epochs is not None else evidence.values(measure)
    return Cell(_number(reported, measure), ours(values, measure), verdict(evidence, measure, reported))


def basis(evidence: Evidence) -> str:
    """What there is of an experiment: "8 seeds", "3 seeds, 30 of 200 epochs", "not run"."""
    if not evidence.records:
        return "not run"
    seeds = len({replica for record in evidence.records for replica in record.replicas})
    parts = [f"{seeds} seed{'s' if seeds > 1 else ''}"]
    if evidence.dataset:
        parts.append(f"on {evidence.dataset}")
    if evidence.epochs is not None:
        parts.append(f"{evidence.epochs} of {evidence.documented.epochs} epochs")
        if evidence.records[0].experiment.steps:
            parts[-1] = f"{evidence.records[0].experiment.steps} steps"
    return ", ".join(parts)


def ours(values: Sequence[float], measure: str) -> str:
    """Two lines such as "66.31 ± 0.20" and "[65.81, 66.81]": mean, standard deviation and 95 % interval of the mean."""
    if not values:
        return NOTHING
    result = mean_std(values)
    text = _number(result["mean"], measure)
    if len(values) == 1 or measure in COSTS or measure == "parameters":
        return text
    low, high = (_number(bound, measure) for bound in mean_interval(values))
    return f"{text} ± {_number(result['std'], measure)}\n[{low}, {high}]"


def _number(value: float | None, measure: str) -> str:
    if value is None or not math.isfinite(value):
        return NOTHING
    if measure in ("parameters", "gpu_seconds", "epochs_to_best"):
        return f"{value:,.0f}"
    return f"{value:.4f}" if "loss" in measure else f"{value:.2f}"


def header(measure: str) -> str:
    """The title of a measure's columns."""
    costs = {"gpu_seconds": "seconds", "gpu_utilization": "GPU %", "gpu_memory_gb": "memory GB"}
    name, _, of_class = measure.partition("/")
    return of_class or costs.get(measure) or title(name)


def better(item: Item, known: Known) -> tuple[str, list[str], list[list[str]]] | None:
    """(measure, labels, P(row better than column)) for the rows with two seeds or more; None for fewer than two rows."""
    measure = next((m for m in ("test_accuracy", "validation_accuracy") if m in item.measures), None)
    if measure is None:
        return None
    shown = {row.label: known[row.of] for row in item.rows}
    values = {label: e.values(measure) for label, e in shown.items() if not e.departs(measure)}
    values = {label: by_seed for label, by_seed in values.items() if len(by_seed) > 1}
    if len(values) < 2:
        return None
    body = [
        [
            label,
            *(NOTHING if label == other else f"{probability_better(values[label], values[other]):.2f}" for other in values),
        ]
        for label in values
    ]
    return header(measure), list(values), body


def spreads(item: Item, known: Known) -> list[list[str]]:
    """Rows (label, measure, standard deviation, its binomial part, the rest) for accuracies of two seeds or more."""
    body = []
    for row in item.rows:
        evidence = known[row.of]
        for measure in (m for m in ("validation_accuracy", "test_accuracy") if m in item.measures):
            values = [value / 100 for value in evidence.values(measure)]
            number = examples(evidence.records[0].row, measure.partition("_")[0]) if evidence.records else None
            if len(values) > 1 and number:
                parts = spread(values, number)
                body.append([row.label, header(measure), *(f"{100 * part:.2f}" for part in parts)])
    return body

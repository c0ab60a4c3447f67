"""The final word on a run: the chosen weights evaluated on every split, and what it took to find them."""

import math
from typing import Any

import jax
import numpy as np

from jaxnets import record
from jaxnets.config import Experiment
from jaxnets.metrics import values
from jaxnets.problems import Generated
from jaxnets.program import Program
from jaxnets.record import Json, Pictures, RunFolder
from jaxnets.state import TrainState


def evaluate(program: Program, params: Any, variables: Any, state: TrainState) -> tuple[Json, Json]:
    """(measures, details) of every split, over the seeds that did not fail: measures as spreads, details summed.

    The problem's baseline, which has no seeds, stands among the measures.
    """
    ok = np.asarray(state.failed_at) < 0
    final: Json = {}
    details: Json = {}
    for split in program.problem.arrays:
        metrics, extra = jax.device_get(program.evaluate(split, params, variables, True))
        final[split] = {
            name: record.spread(np.where(ok, np.asarray(found, np.float64), np.nan).tolist())
            for name, found in values(metrics, program.problem.task.derived).items()
        }
        if split != "train":
            details[split] = {name: array[ok].sum(0).tolist() for name, array in extra.items()}
    for name, figure in program.problem.baseline().items():
        split, _, measure = name.partition("_")
        final[split][measure] = record.spread([figure])
    return final, details


def write(program: Program, params: Any, variables: Any, state: TrainState) -> tuple[Json, Json | None]:
    """What the seeds that did not fail write: (measures of it as spreads by split, examples from before and after training).

    Examples are the first such seed's. Both are empty for models that write nothing.
    """
    generate = program.problem.generate
    if generate is None:
        return {}, None
    failed = np.asarray(state.failed_at) >= 0

    def by(seed: int, params: Any, variables: Any) -> Generated:
        own = jax.tree.map(lambda x: x[seed], {"params": params, **variables})
        return generate(program.model, own, state.key[seed])

    ends = {seed: by(seed, params, variables) for seed in np.flatnonzero(~failed).tolist()}
    first = min(ends)
    fresh = program.init()
    start = by(first, fresh.params, fresh.variables)
    figures: Json = {}
    for name in ends[first].figures:
        split, _, measure = name.partition("_")
        found = [ends[seed].figures[name] if seed in ends else math.nan for seed in range(len(failed))]
        figures.setdefault(split, {})[measure] = record.spread(found)
    before, after = (list(map(list, written.rows)) for written in (start, ends[first]))
    return figures, {"columns": list(start.columns), "before": before, "after": after}


def portray(program: Program, params: Any, variables: Any, state: TrainState) -> dict[str, Pictures]:
    """Pictures of the first seed that did not fail; none for models that cannot be looked at."""
    if program.problem.portray is None:
        return {}
    seed = int(np.flatnonzero(np.asarray(state.failed_at) < 0)[0])
    fresh = program.init()
    before, after = (
        jax.tree.map(lambda x: x[seed], {"params": own, **others})
        for own, others in ((fresh.params, fresh.variables), (params, variables))
    )
    return dict(program.problem.portray(program.model, before, after))


def summarize(
    experiment: Experiment,
    program: Program,
    run: RunFolder,
    state: TrainState,
    best_epoch: jax.Array,
    measured: tuple[Json, Json],
    written: tuple[Json, Json | None],
    seconds: dict[str, float],
) -> Json:
    """The content of summary.json; `measured` comes from `evaluate`, `written` from `write`."""
    final, details = measured
    figures, samples = written
    steps_per_epoch = program.steps_per_epoch
    trained = program.total_steps * program.problem.examples * experiment.seeds
    first = next((line["loss"] for line in run.metrics() if line["step"] == 1 and "epoch" not in line), None)
    return {
        "id": experiment.id,
        "dataset": experiment.dataset,
        "embedded": experiment.data.source == "embedded",
        "class_names": program.problem.labels,
        "seeds": experiment.seeds,
        "epochs": -(-program.total_steps // steps_per_epoch),
        "steps": program.total_steps,
        "select": experiment.select,
        "eval_examples": experiment.eval_examples,
        "parameters": program.parameters,
        "final": {split: {**final.get(split, {}), **figures.get(split, {})} for split in {**final, **figures}},
        "details": details,
        "samples": samples,
        "initial_loss": record.spread([math.nan if v is None else v for v in first]) if first else None,
        "best_epoch": np.asarray(best_epoch).tolist(),
        "failed_at": np.asarray(state.failed_at).tolist(),
        "seconds": {**seconds, "total": sum(seconds.values())},
        "examples_per_second": trained / seconds["train"],
        "peak_memory_bytes": program.compiler.peak_bytes,
        "layout": program.layout,
        "reported": dict(experiment.reported),
    }

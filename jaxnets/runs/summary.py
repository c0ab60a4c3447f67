"""The final word on a run: the selected weights evaluated on every split, and what it took to find them."""

import math
from typing import Any

import jax
import numpy as np

from jaxnets.config import Experiment
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.optim.optimizer import refused_steps
from jaxnets.runs import predictions
from jaxnets.runs.statistics import mean_std
from jaxnets.tasks.metrics import values
from jaxnets.tasks.task import GeneratedSamples, ImageGrid
from jaxnets.training import parallel
from jaxnets.training.engine import Engine
from jaxnets.training.state import TrainState

Json = dict[str, Any]


def evaluate(engine: Engine, variables: Any, state: TrainState) -> tuple[Json, Json]:
    """(metrics, details) of every split, over the seeds that did not fail: metrics as means with deviations, details of
    classifiers as in `predictions.describe`, but for the training split.

    The task's baseline, which has no seeds, is among the metrics.
    """
    ok = parallel.fetch(state.failed_at) < 0
    final: Json = {}
    details: Json = {}
    for split in engine.task.arrays:
        metrics, kept = parallel.fetch(engine.evaluate(split, variables, split != "train"))
        final[split] = {
            name: mean_std(np.where(ok, np.asarray(by_seed, np.float64), np.nan).tolist())
            for name, by_seed in values(metrics, engine.task.objective.derived).items()
        }
        if split != "train":
            details[split] = {}
        if kept:
            real = kept["mask"][0] > 0
            details[split] = predictions.describe(kept["logits"][:, real], kept["label"][0, real], ok)
    for name, value in engine.task.baseline().items():
        split, _, metric = name.partition("_")
        final[split][metric] = mean_std([value])
    return final, details


def generate_samples(engine: Engine, variables: Any, state: TrainState) -> tuple[Json, Json | None]:
    """Texts that the seeds that did not fail generate: (metrics by split, examples from before and after training).

    The examples are those of the first such seed. Both are empty for models that generate nothing.
    """
    generate = engine.task.generate
    if generate is None:
        return {}, None
    failed = parallel.fetch(state.failed_at) >= 0

    def by(seed: int, variables: Any) -> GeneratedSamples:
        key = jax.random.wrap_key_data(parallel.fetch_replica(jax.random.key_data(state.key), seed))
        return generate(engine.model, parallel.fetch_replica(variables, seed), key)

    after = {seed: by(seed, variables) for seed in np.flatnonzero(~failed).tolist()}
    first = min(after)
    before = by(first, engine.init().variables)
    metrics: Json = {}
    for name in after[first].metrics:
        split, _, metric = name.partition("_")
        by_seed = [after[seed].metrics[name] if seed in after else math.nan for seed in range(len(failed))]
        metrics.setdefault(split, {})[metric] = mean_std(by_seed)
    rows_before, rows_after = (list(map(list, samples.rows)) for samples in (before, after[first]))
    return metrics, {"columns": list(before.columns), "before": rows_before, "after": rows_after}


def visualize(engine: Engine, variables: Any, state: TrainState) -> dict[str, ImageGrid]:
    """Images of the first seed that did not fail; none for models whose insides cannot be drawn."""
    if engine.task.visualize is None:
        return {}
    seed = int(np.flatnonzero(parallel.fetch(state.failed_at) < 0)[0])
    before, after = (parallel.fetch_replica(tree, seed) for tree in (engine.init().variables, variables))
    return dict(engine.task.visualize(engine.model, before, after))


def summarize(
    experiment: Experiment,
    engine: Engine,
    dataset: Dataset,
    *,
    state: TrainState,
    best_epoch: jax.Array,
    evaluated: tuple[Json, Json],
    generated: tuple[Json, Json | None],
    first_losses: list[float | None] | None,
    seconds: dict[str, float],
) -> Json:
    """The content of summary.json; `evaluated` comes from `evaluate`, `generated` from `generate_samples`."""
    (final, details), (sample_metrics, samples) = evaluated, generated
    examples = engine.total_steps * engine.task.examples_per_step * experiment.seeds
    return {
        "id": experiment.id,
        "dataset": catalog.label(experiment, dataset),
        "synthetic": experiment.data.source == "synthetic",
        "class_names": engine.task.class_names,
        "seeds": experiment.seeds,
        "epochs": -(-engine.total_steps // engine.steps_per_epoch),
        "steps": engine.total_steps,
        "select": experiment.select,
        "eval_examples": experiment.eval_examples,
        "parameters": engine.num_parameters,
        "final": {split: {**final.get(split, {}), **sample_metrics.get(split, {})} for split in {**final, **sample_metrics}},
        "details": details,
        "samples": samples,
        "initial_loss": mean_std([math.nan if v is None else v for v in first_losses]) if first_losses else None,
        "best_epoch": parallel.fetch(best_epoch).tolist(),
        "failed_at": parallel.fetch(state.failed_at).tolist(),
        **refused(state),
        "seconds": {**seconds, "total": sum(seconds.values())},
        "examples_per_second": examples / seconds["train"],
        "peak_memory_bytes": engine.costs.peak_bytes,
        "layout": engine.layout.split,
        "devices": engine.layout.mesh.size,
        # Reported metrics are those of another data set.
        "reported": dict(experiment.reported) if catalog.is_published(experiment, dataset) else {},
    }


def refused(state: TrainState) -> Json:
    """{"refused": SPSA's steps so far that were refused, by seed}; empty for other rules."""
    return {name: parallel.fetch(counts).tolist() for name, counts in refused_steps(state.opt_state).items()}

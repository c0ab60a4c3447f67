"""A run folder that was made by hand."""

import numpy as np

from jaxnets.registry import all_experiments
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.statistics import mean_std


def make_run(folder, id_, test=(0.60, 0.62), synthetic=False, failed=(-1, -1), finished=True, **more):
    """A run folder as training leaves it."""
    run = RunFolder(folder / id_)
    run.open(
        all_experiments()[id_],
        {
            "versions": {"jax": "0"},
            "devices": {"platform": "cpu", "kind": "cpu", "count": 3, "cores": 2},
            "processor": "abacus",
            "commit": None,
        },
    )
    rng = np.random.default_rng(0)
    run.append([{"step": k, "loss": rng.random(2).tolist()} for k in range(1, 20)])
    metrics = lambda: {"loss": rng.random(2).tolist(), "accuracy": rng.random(2).tolist()}
    run.append([{"epoch": e, "step": 10 * e, "train": metrics(), "validation": metrics()} for e in range(1, 4)])
    final = {"accuracy": mean_std(list(test)), "loss": mean_std([1.0, 1.1])}
    if finished:
        run.finish(
            {
                "id": id_,
                "dataset": "shapes10" if synthetic else "cifar10",
                "synthetic": synthetic,
                "class_names": list("abcdefghij"),
                "seeds": 2,
                "epochs": 3,
                "steps": 30,
                "parameters": 62_458,
                "final": {split: final for split in ("train", "validation", "test")},
                "details": {"test": {"confusion": (np.eye(10) * 50 + 5).tolist()}},
                "initial_loss": mean_std([2.3, 2.4]),
                "select": "best",
                "best_epoch": [2, 3],
                "failed_at": list(failed),
                "seconds": {"train": 9.0, "eval": 1.0, "compile": 2.0, "total": 12.0},
                "examples_per_second": 1234.0,
                "peak_memory_bytes": 5e8,
                "layout": "seeds",
                "reported": all_experiments()[id_].reported,
                **more,
            }
        )
    run.close()
    return run

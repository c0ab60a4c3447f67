"""Makes the nets that come with jaxnets, from finished runs, and the file of their records.

    python scripts/ship_nets.py lenet=runs/cifar10/lenet/best names=runs/names/best

All nets of one release are named at once. Each becomes jaxnets/nets/NAME: the run's folder without checkpoints, images and
curves, its weights rounded to float16. The rounded weights are evaluated once more, on the data that the run was trained on;
the summary has these figures, and those before rounding as "final_float32".
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file, save

from jaxnets.data import catalog
from jaxnets.models.named import as_tree
from jaxnets.runs import files, fingerprint, records, shipped, summary, weights
from jaxnets.runs.folder import RunFolder
from jaxnets.training import engine, process

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / shipped.RESULTS
KEPT = ("config.json", "environment.json", "net.json", "metrics.jsonl")


def ship(runs: Mapping[str, Path], nets: Path, results: Path) -> None:
    """Writes NETS/NAME of each run, in place of all that is in NETS, and the records of all to `results`."""
    with tempfile.TemporaryDirectory() as temporary:
        made = [_rounded(run, Path(temporary) / name) for name, run in runs.items()]
        records.write(results, made)
        for run in made:
            (run.path / "metrics.jsonl").unlink()  # The records have the curves.
            run.finish(run.summary())
        shutil.rmtree(nets, ignore_errors=True)
        for run in made:
            shutil.copytree(run.path, nets / run.path.name)


def _rounded(source: Path, target: Path) -> RunFolder:
    """A copy of a run with rounded weights and their figures. The run's own files are checked as they are read."""
    trained = RunFolder(source)
    experiment, before = trained.experiment(), trained.summary()
    dataset = catalog.open_data(experiment.data)
    data = fingerprint.of(dataset)
    assert not fingerprint.changes(trained.environment()["data"], data, dataset), f"{dataset.name} changed since {source}"
    target.mkdir()
    for name in KEPT:
        files.replace(target / name, trained.content(name))
    trained.content(weights.WEIGHTS)
    with np.errstate(over="raise"):  # float16 ends at 65,504.
        tensors = {name: tensor.astype(np.float16) for name, tensor in load_file(source / weights.WEIGHTS).items()}
    files.replace(target / weights.WEIGHTS, save(tensors))

    built = engine.build(experiment, dataset)
    state = built.init()
    variables = jax.tree.map(lambda x, like: jnp.asarray(x, like.dtype), as_tree(tensors), state.variables)
    final, details = summary.evaluate(built, variables, state)
    generated, samples = summary.generate_samples(built, variables, state)
    figures = {split: {**final.get(split, {}), **generated.get(split, {})} for split in {**final, **generated}}
    shipped_run = RunFolder(target)
    shipped_run.finish(
        {**before, "final": figures, "final_float32": before["final"], "details": details, "samples": samples}
    )
    return shipped_run


if __name__ == "__main__":
    process.prepare()
    ship({name: Path(run) for name, _, run in (arg.partition("=") for arg in sys.argv[1:])}, shipped.FOLDER, RESULTS)
    for run in sorted(shipped.FOLDER.iterdir()):
        size = sum(path.stat().st_size for path in run.iterdir())
        print(f"{run.name}: {size / 1e3:,.0f} kB")

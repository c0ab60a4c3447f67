"""What can be measured of a workload. Each measurement is a function (workload's name, rounds) -> row."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from benchmarks import arithmetic, data, train_step, workloads
from benchmarks.facts import facts, torch_device
from benchmarks.harness import OURS, Candidate, interleave, row
from benchmarks.workloads import WORKLOADS, PreparedWorkload
from jaxnets import registry
from jaxnets.config import Experiment
from jaxnets.data import catalog, store
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.pipeline import images
from jaxnets.tasks import task as tasks
from jaxnets.training import engine, parallel, state
from jaxnets.training.loop import train_epoch

Row = dict[str, Any]
EIGHT_SEEDS, REPLICAS = "8 seeds", 8
FULL_RUNS, FULL_RUN_WORKLOAD = ("epoch", "time to accuracy"), "lenet_super"
"""The measures of whole training programs, and the one workload that has them."""
FULL_RUN_EXPERIMENT = "cifar10/lenet/super"
EPOCH_IMAGES = 45_000
"""Training images of CIFAR-10."""
TARGETS = {"cifar10": 0.60, "shapes10": 0.75}
"""Validation accuracy to reach: after about 5 epochs of CIFAR-10, 9 of the shapes."""
_MAX_EPOCHS = 60


def one_step(name: str, rounds: int) -> Row:
    """One training step."""
    workload = workloads.prepare(WORKLOADS[name])
    timings = interleave({OURS: train_step.candidate(workload), **_torch_steps(workload)}, rounds)
    flops = arithmetic.step_flops(*train_step.build(workload), workload.batch)
    fields = {**facts(), "batch": workload.units["examples"], "gigaflops": flops / 1e9}
    speeds = {form: round(flops / timing.median / 1e9, 2) for form, timing in timings.items()}
    return row(name, "train step", timings, fields, workload.units) | {"gigaflops_per_second": speeds}


def eight_seeds(name: str, rounds: int) -> Row:
    """One step of eight replicas at once; the ratio is to eight steps of PyTorch."""
    workload = workloads.prepare(WORKLOADS[name])
    timings = interleave({OURS: train_step.candidate(workload, REPLICAS), **_torch_steps(workload)}, rounds)
    fields = {**facts(), "batch": workload.units["examples"]}
    return row(name, EIGHT_SEEDS, timings, fields, workload.units, replicas=REPLICAS)


def epoch(name: str, rounds: int) -> Row:
    """An epoch of cifar10/lenet/super on images stored as bytes: shuffling, augmentation and training."""
    experiment = replace(registry.all_experiments()[FULL_RUN_EXPERIMENT], seeds=1)
    dataset = data.images(EPOCH_IMAGES)()
    built = engine.build(experiment, dataset)
    current = [built.init()]

    def run(epochs: int) -> None:
        for number in range(epochs):
            current[0] = _after_epoch(built, current[0], number)
        jax.block_until_ready(current[0])

    candidates = {OURS: Candidate(run, peak_bytes=lambda: built.costs.peak_bytes)}
    candidates |= _torch_epochs(_with_example_batch(experiment, dataset), dataset)
    timings = interleave(candidates, rounds, single_step=True)
    batch_size = built.task.examples_per_step
    return row(name, "epoch", timings, {**facts(), "batch": batch_size}, {"examples": built.steps_per_epoch * batch_size})


def time_to_accuracy(name: str, rounds: int) -> Row:
    """Training from random weights to a validation accuracy, evaluated after every epoch. Every round has another seed.

    All sides start from the same weights. Compilation is not counted.
    """
    experiment = replace(registry.all_experiments()[FULL_RUN_EXPERIMENT], seeds=1)
    source = "cifar10" if store.is_prepared("cifar10") else "shapes10"
    dataset, target = catalog.open_dataset(source), TARGETS[source]
    built = engine.build(experiment, dataset)
    # The first one is for the warm-up. Rounds that something disturbed are run again, with the first ones in the end.
    initial_states = _initial_states(built, rounds + 1)
    epochs: dict[str, list[int]] = {}
    """Epochs until the target, by side and training."""

    def train_to_target(side: str, train: Callable[[int], None], accuracy: Callable[[], float]) -> None:
        for number in range(_MAX_EPOCHS):
            train(number)
            if accuracy() >= target:
                epochs.setdefault(side, []).append(number + 1)
                return
        raise UserError(f"{side} does not reach {target:.0%} on {source} in {_MAX_EPOCHS} epochs")

    def run(steps: int) -> None:
        del steps
        current = [initial_states[len(epochs.get(OURS, ())) % len(initial_states)]]

        def train(number: int) -> None:
            current[0] = _after_epoch(built, current[0], number)

        def accuracy() -> float:
            metrics, _ = built.evaluate("validation", current[0].variables, False)
            return float(metrics["accuracy"].value[0])

        train_to_target(OURS, train, accuracy)

    def torch_run(side: str, trainer: Any) -> Callable[[int], None]:
        validation = trainer.stored(dataset.splits["validation"])

        def run(steps: int) -> None:
            del steps
            trainer.restart(*weights[len(epochs.get(side, ())) % len(weights)])
            train_to_target(side, lambda number: trainer.epoch(), lambda: trainer.accuracy(*validation))

        return run

    candidates = {OURS: Candidate(run)}
    weights = [jax.tree.map(lambda x: np.asarray(x[0]), (s.params, s.model_state)) for s in initial_states]
    for side, trainer in _torch_trainers(_with_example_batch(experiment, dataset), dataset).items():
        candidates[side] = Candidate(torch_run(side, trainer))
    timings = interleave(candidates, rounds, single_step=True)
    fields = {"dataset": source, "target": target, "epochs": {side: counts[1:] for side, counts in epochs.items()}}
    return row(name, "time to accuracy", timings, {**facts(), **fields}, {})


MEASUREMENTS: Mapping[str, Callable[[str, int], Row]] = {
    "train step": one_step,
    EIGHT_SEEDS: eight_seeds,
    "epoch": epoch,
    "time to accuracy": time_to_accuracy,
}
"""By the name of the measure."""


def _after_epoch(built: engine.Engine, current: state.TrainState, number: int) -> state.TrainState:
    for progress in train_epoch(built, current, number):
        current = progress.state
    return current


def _initial_states(built: engine.Engine, count: int) -> list[state.TrainState]:
    """Initial states of one replica each, from different keys."""
    first = built.init()

    def create(key: jax.Array, like: state.TrainState, shared: None) -> state.TrainState:
        variables = dict(built.model.init(state.stream(key, state.Stream.INIT), *built.task.sample_inputs, train=False))
        return like._replace(key=key, params=variables.pop("params"), model_state=variables)

    make = parallel.compile_over_seeds(create, built.layout)
    return [make(state.replica_keys(0, count)[k : k + 1], first, None) for k in range(count)]


def _with_example_batch(experiment: Experiment, dataset: Dataset) -> PreparedWorkload:
    """The experiment on its data. The batch only shows the shapes."""
    batch = {field: np.asarray(array[:2]) for field, array in dataset.splits["train"].items()}
    return PreparedWorkload(experiment, tasks.build(experiment, dataset), batch)


def _torch_steps(workload: PreparedWorkload) -> dict[str, Candidate]:
    """PyTorch's forms of the step; none where PyTorch cannot run."""
    device, reason = torch_device()
    if device is None:
        print(f"{reason}: our side alone is measured", flush=True)
        return {}
    from benchmarks.torch import forms

    return forms.candidates(workload, device)


def _torch_trainers(workload: PreparedWorkload, dataset: Dataset) -> dict[str, Any]:
    """PyTorch's training with images augmented in batches on the device, by form; none where PyTorch cannot run."""
    device, reason = torch_device()
    if device is None:
        print(f"{reason}: our side alone is measured", flush=True)
        return {}
    from benchmarks.torch import forms, training

    forms.prepare_device(device)
    normalization = images.normalization(workload.experiment.data, dataset.meta)
    return {
        name: training.Trainer(workload, normalization, dataset.splits["train"], form, device)
        for name, form in {"torch fused": forms.Form(), "torch compile": forms.Form(compile="default")}.items()
    }


def _torch_epochs(workload: PreparedWorkload, dataset: Dataset) -> dict[str, Candidate]:
    """PyTorch's epochs: augmented in batches, and image by image in a plain DataLoader."""
    trainers = _torch_trainers(workload, dataset)
    if not trainers:
        return {}
    from benchmarks.torch import training

    loader = training.loader(workload.experiment.data, dataset.splits["train"], parallel.available_cores())
    repeat = lambda epoch: lambda epochs: [epoch() for _ in range(epochs)] and None
    candidates = {name: Candidate(repeat(trainer.epoch)) for name, trainer in trainers.items()}
    fused = trainers["torch fused"]
    return candidates | {"torch DataLoader": Candidate(repeat(lambda: fused.loaded_epoch(loader)))}

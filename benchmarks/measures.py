"""What can be measured of a workload. Each measure is a function (workload's name, rounds) -> row."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from benchmarks import arithmetic, data, ours, workloads
from benchmarks.facts import facts, torch_device
from benchmarks.harness import OURS, Candidate, interleave, row
from benchmarks.workloads import WORKLOADS, Case
from jaxnets import registry
from jaxnets.data import catalog, store
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.pipeline import images
from jaxnets.tasks import task as tasks
from jaxnets.training import engine, parallel, state
from jaxnets.training.loop import train_epoch

Row = dict[str, Any]
SEEDS, PROGRAMS, WHOLE = "8 seeds", ("epoch", "time to accuracy"), "lenet_super"
"""The measure of several replicas; those of whole training programs, and the one workload these have."""
REPLICAS = 8
IMAGES = 45_000
"""Of an epoch: CIFAR-10's."""
EPOCH = "cifar10/lenet/super"
TARGETS = {"cifar10": 0.60, "shapes10": 0.75}
"""Validation accuracy to reach: after some 5 epochs of CIFAR-10, 9 of the shapes."""
_MOST_EPOCHS = 60


def train_step(name: str, rounds: int) -> Row:
    """A step of training."""
    case = workloads.prepare(WORKLOADS[name])
    timings = interleave({OURS: ours.train_step(case), **_torch_steps(case)}, rounds)
    step, create = ours.make(case)
    work = arithmetic.of_step(step, create, case.batch)
    about = {"batch": case.units["examples"], "gigaflops": work / 1e9}
    found = row(name, "train step", timings, {**facts(), **about}, case.units)
    found["gigaflops_per_second"] = {form: round(work / t.median / 1e9, 2) for form, t in timings.items()}
    return found


def eight_seeds(name: str, rounds: int) -> Row:
    """A step of eight replicas at once; the ratio is to eight steps of PyTorch's."""
    case = workloads.prepare(WORKLOADS[name])
    timings = interleave({OURS: ours.train_step(case, REPLICAS), **_torch_steps(case)}, rounds)
    about = {"batch": case.units["examples"]}
    return row(name, SEEDS, timings, {**facts(), **about}, case.units, replicas=REPLICAS)


def epoch(name: str, rounds: int) -> Row:
    """An epoch of cifar10/lenet/super: images stored as bytes, shuffled, augmented, learned."""
    experiment = replace(registry.all_experiments()[EPOCH], seeds=1)
    prepared = data.images(IMAGES)()
    built = engine.build(experiment, prepared)
    current = [built.init()]

    def run(epochs: int) -> None:
        for number in range(epochs):
            current[0] = _after_epoch(built, current[0], number)
        jax.block_until_ready(current[0])

    candidates = {OURS: Candidate(run, peak_bytes=lambda: built.costs.peak_bytes)}
    candidates |= _torch_epochs(_case(experiment, prepared), prepared)
    timings = interleave(candidates, rounds, whole=True)
    examples = built.steps_per_epoch * built.task.examples_per_step
    return row(name, "epoch", timings, {**facts(), "batch": built.task.examples_per_step}, {"examples": examples})


def time_to_accuracy(name: str, rounds: int) -> Row:
    """From fresh weights to a validation accuracy, evaluated after every epoch; every round is another seed.

    Both sides start from the same weights. Compilation is not counted.
    """
    experiment = replace(registry.all_experiments()[EPOCH], seeds=1)
    source = "cifar10" if store.is_prepared("cifar10") else "shapes10"
    prepared, target = catalog.open_dataset(source), TARGETS[source]
    built = engine.build(experiment, prepared)
    starts = _starts(built, rounds + 1)  # The first is for warming up.
    case, epochs = _case(experiment, prepared), {}

    def count(side: str, train: Callable[[int], None], accuracy: Callable[[], float]) -> None:
        for number in range(_MOST_EPOCHS):
            train(number)
            if accuracy() >= target:
                epochs.setdefault(side, []).append(number + 1)
                return
        raise UserError(f"{side} does not reach {target:.0%} on {source} in {_MOST_EPOCHS} epochs")

    def run(steps: int) -> None:
        del steps
        current = [starts[len(epochs.get(OURS, ()))]]

        def train(number: int) -> None:
            current[0] = _after_epoch(built, current[0], number)

        def accuracy() -> float:
            metrics, _ = built.evaluate("validation", current[0].variables, False)
            return float(metrics["accuracy"].value[0])

        count(OURS, train, accuracy)

    candidates = {OURS: Candidate(run)}
    weights = [jax.device_get((start.params, start.model_state)) for start in starts]
    for side, trainer in _trainers(case, prepared).items():
        candidates[side] = Candidate(_torch_run(side, trainer, weights, prepared, epochs, count))
    timings = interleave(candidates, rounds, whole=True)
    about = {"dataset": source, "target": target, "epochs": {side: found[1:] for side, found in epochs.items()}}
    return row(name, "time to accuracy", timings, {**facts(), **about}, {})


def _torch_run(side: str, trainer: Any, weights: Any, prepared: Dataset, epochs: Any, count: Any) -> Callable[[int], None]:
    """A training of PyTorch's side from the next of the weights."""
    from benchmarks.torch import training

    held_out = prepared.splits["validation"]
    images = training.stored(held_out["image"], trainer.device)
    labels = training.labels_of(held_out["label"], trainer.device)

    def run(steps: int) -> None:
        del steps
        params, variables = jax.tree.map(lambda x: x[0], weights[len(epochs.get(side, ()))])
        trainer.restart(params, variables)
        count(side, lambda number: trainer.epoch(), lambda: trainer.accuracy(images, labels))

    return run


MEASURES: Mapping[str, Callable[[str, int], Row]] = {
    "train step": train_step,
    SEEDS: eight_seeds,
    "epoch": epoch,
    "time to accuracy": time_to_accuracy,
}


def _after_epoch(built: engine.Engine, current: state.TrainState, number: int) -> state.TrainState:
    for progress in train_epoch(built, current, number):
        current = progress.state
    return current


def _starts(built: engine.Engine, count: int) -> list[state.TrainState]:
    """First states from different keys."""
    first = built.init()

    def create(key: jax.Array, like: state.TrainState, shared: None) -> state.TrainState:
        variables = dict(built.model.init(state.stream(key, state.Stream.INIT), *built.task.sample_inputs, train=False))
        return like._replace(key=key, params=variables.pop("params"), model_state=variables)

    make = parallel.compile_over_seeds(create, built.layout)
    return [make(state.replica_keys(0, count)[k : k + 1], first, None) for k in range(count)]


def _case(experiment: Any, prepared: Dataset) -> Case:
    """The experiment with its data; its batch is for the shapes alone."""
    task = tasks.build(experiment, prepared)
    shapes = {field: array[:2] for field, array in prepared.splits["train"].items()}
    return Case(experiment, task, {field: np.asarray(array) for field, array in shapes.items()})


def _torch_steps(case: Case) -> dict[str, Candidate]:
    device, why = torch_device()
    if device is None:
        print(f"{why}: our side alone is measured", flush=True)
        return {}
    from benchmarks.torch import forms

    return forms.candidates(case, device)


def _trainers(case: Case, prepared: Dataset) -> dict[str, Any]:
    """PyTorch's training with images augmented a batch at a time on the device, by form."""
    device, why = torch_device()
    if device is None:
        print(f"{why}: our side alone is measured", flush=True)
        return {}
    from benchmarks.torch import forms, training

    forms.prepare_device(device)
    split = prepared.splits["train"]
    normalization = images.normalization(case.experiment.data, prepared.meta)
    chosen = {"torch fused": forms.Form(), "torch compile": forms.Form(compile="default")}
    return {
        name: training.Trainer(case, normalization, split["image"], split["label"], form, device)
        for name, form in chosen.items()
    }


def _torch_epochs(case: Case, prepared: Dataset) -> dict[str, Candidate]:
    """PyTorch's epochs: augmented by batches, and by a plain DataLoader."""
    trainers = _trainers(case, prepared)
    if not trainers:
        return {}
    from benchmarks.torch import training

    split = prepared.splits["train"]
    loader = training.loader(case, split["image"], split["label"], parallel.available_cores())
    repeat = lambda epoch: lambda epochs: [epoch() for _ in range(epochs)] and None
    candidates = {name: Candidate(repeat(trainer.epoch)) for name, trainer in trainers.items()}
    plain = trainers["torch fused"]
    candidates["torch DataLoader"] = Candidate(repeat(lambda: plain.loaded_epoch(loader)))
    return candidates

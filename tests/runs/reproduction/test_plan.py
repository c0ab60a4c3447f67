"""Which runs are missing."""

import dataclasses

import pytest

from jaxnets import registry
from jaxnets.cli import run
from jaxnets.data import catalog, store
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.reproduction import pace, plan
from jaxnets.runs.reproduction.pace import Pace
from tests.runs.reproduction.evidence_made import record

PLAIN, BN, SUPER = (registry.all_experiments()[f"cifar10/lenet/{name}"] for name in ("plain", "bn", "super"))


class FixedPaces:
    """A hundredth of a second a step of 128 examples; of nets with BatchNorm a tenth."""

    def of(self, experiment):
        return Pace((0.1 if experiment.model.batch_norm else 0.01) / 128, 5.0, measured=False)


def missing(out, *experiments, seeds=8, gathered=(), **changes):
    changes = {path.replace("__", "."): value for path, value in changes.items()}
    wishes = [(plan.wish(e, {}, changes), seeds) for e in experiments]
    return plan.jobs(wishes, gathered, out, FixedPaces())


def test_nothing_there_means_all_seeds_cheapest_first(tmp_path):
    bn, plain = missing(tmp_path, BN, PLAIN)[::-1]
    assert (plain.wish.documented, plain.seed, plain.seeds) == (PLAIN, 0, 8)
    assert plain.seconds == pytest.approx(5 + 8 * 200 * 351 * 0.01)
    assert bn.wish.documented == BN


def test_only_the_missing_seeds_are_trained_from_a_root_of_their_own(tmp_path):
    three = record(PLAIN.id, [0.5] * 3)
    [job] = missing(tmp_path, PLAIN, gathered=[three])
    assert (job.seed, job.seeds) == (1, 5)
    assert missing(tmp_path, PLAIN, gathered=[three], seeds=3) == []
    assert missing(tmp_path, PLAIN, gathered=[three, record(PLAIN.id, [0.5] * 5, seed=1)]) == []
    [job] = missing(tmp_path, PLAIN, gathered=[three, record(PLAIN.id, [0.5] * 8, epochs=30)])
    assert job.seeds == 5


def test_experiments_that_differ_in_their_names_alone_are_trained_once(tmp_path):
    twin = registry.all_experiments()["study/init/cifar10_lenet/kaiming"]
    assert len(missing(tmp_path, SUPER, twin)) == 1


def test_an_unfinished_run_is_resumed_as_it_began(tmp_path):
    folder = RunFolder(tmp_path / "seed-0" / PLAIN.id)
    folder.open(dataclasses.replace(PLAIN, seeds=2), {"devices": {}})
    folder.append([{"epoch": 150, "step": 150 * 351, "train": {}, "validation": {}}])
    folder.close()
    resumed, added = sorted(missing(tmp_path, PLAIN), key=lambda job: job.seed)
    assert (resumed.seed, resumed.seeds, added.seed, added.seeds) == (0, 2, 1, 6)
    assert resumed.seconds == pytest.approx(5 + 2 * 50 * 351 * 0.01)
    assert resumed.folder.path == folder.path


def test_a_run_with_other_settings_keeps_its_folder(tmp_path):
    folder = RunFolder(tmp_path / "seed-0" / PLAIN.id)
    folder.open(dataclasses.replace(PLAIN, epochs=2), {"devices": {}})
    folder.close()
    [job] = missing(tmp_path, PLAIN)
    assert job.seed == 1


def test_a_job_is_a_run_command_with_the_wished_settings(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(run, "_train_all", lambda runs: started.extend(runs) or 0)
    [job] = missing(
        tmp_path, PLAIN, gathered=[record(PLAIN.id, [0.5], synthetic=True, epochs=2)], epochs=2, data__source="synthetic"
    )
    command, *arguments = job.arguments
    assert (command, run.run(arguments)) == ("run", 0)
    assert started[0].out / PLAIN.id == job.folder.path
    assert started[0].experiment == dataclasses.replace(job.wish.experiment, seeds=7, seed=1)


def test_stand_ins_serve_where_only_they_are_prepared(monkeypatch):
    mlp, prepared = registry.all_experiments()["nist36/mlp"], set()
    monkeypatch.setattr(catalog, "is_ready", lambda name: name in prepared)
    wished = lambda: plan.wish(mlp, {"nist36": "emnist36"}, {})
    assert wished().problem.startswith("data set nist36 is not prepared")
    prepared.add("emnist36")
    assert (wished().experiment.data.source, wished().problem) == ("emnist36", "")
    prepared.add("nist36")
    assert wished().experiment == mlp


def test_times_of_other_hardware_are_scaled_by_one_measurement(monkeypatch):
    """Of SUPER a step took 20 s / (2000 steps × 2 replicas) on the abacus, and takes twice as long here."""
    measured, evaluation = [], 3 / 212  # The last evaluation counts for twelve of 200.
    there = (20 + 200 * evaluation) / 4000 / 128
    monkeypatch.setattr(pace, "measure", lambda e: measured.append(e.id) or Pace(2 * there, 1.0, measured=True))
    told = []
    paces = pace.Paces([record(SUPER.id, [0.5, 0.6]), record(BN.id, [0.5, 0.6], epochs=100)], told.append)
    assert paces.of(BN).example == pytest.approx(2 * (20 + 100 * 3 / 112) / 2000 / 128)
    assert paces.of(dataclasses.replace(BN, data=dataclasses.replace(BN.data, batch_size=8))) == paces.of(BN)
    assert paces.of(BN).measured is False
    assert paces.of(PLAIN).measured is True
    assert measured == [SUPER.id, PLAIN.id]
    assert told == [f"timing a few steps of {id_}" for id_ in measured]


def test_a_pace_is_measured_without_the_data():
    small = dataclasses.replace(PLAIN, data=dataclasses.replace(PLAIN.data, batch_size=2))
    assert not store.is_prepared("cifar10")
    measured = pace.measure(small)
    assert measured.measured
    assert measured.example > 0 < measured.start

"""Estimates beside measured and reported times: the rows, and the table made of them."""

import json

import pytest

from benchmarks import calibration, harness
from jaxnets import registry
from jaxnets.errors import UserError
from jaxnets.training.estimate import Estimate
from jaxnets.training.memory import Memory

ESTIMATE = Estimate(
    needed=Memory(2_500_000_000),
    limit=50_000_000_000,
    split="seeds",
    steps_per_epoch=100,
    epochs=10.0,
    flops=3e9,
    bytes=4e6,
    kernels=50.0,
    collective_bytes=0.0,
    collectives=0.0,
    fastest=0.001,
    slowest=0.004,
)


@pytest.fixture
def estimated(monkeypatch):
    """What was estimated, (id, seeds, device) each."""
    asked = []

    def fake(experiment, spec, on):
        asked.append((experiment.id, experiment.seeds, on))
        return ESTIMATE

    monkeypatch.setattr(calibration.estimate, "estimate", fake)
    monkeypatch.setattr(calibration.process, "without_accelerators", lambda: None)
    monkeypatch.setattr(calibration, "choose_device", lambda name: None)
    return asked


def cells(line):
    return [cell.strip() for cell in line.strip("| \n").split("|")]


def test_a_reported_time_is_shared_out_over_its_steps(estimated, tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    assert calibration.main(["study/batch_size/128", "cifar10/resnet34/plain", "--on", "a6000", "--json", str(file)]) == 0
    assert estimated == [("study/batch_size/128", 1, "a6000"), ("cifar10/resnet34/plain", 1, "a6000")]
    first, second = (json.loads(line) for line in file.read_text().splitlines())
    # Table 7 of S4: 5,549.40 s for 100 epochs.
    assert first["milliseconds"] == pytest.approx(5549.40 / (100 * 100) * 1e3)
    assert (first["epochs_stated"], second["epochs_stated"]) == (True, False)
    assert {"versions", "commit", "hardware", "date", "kernels", "gigaflops"} <= set(first)
    head, _, row, starred = capsys.readouterr().out.splitlines()[-4:]
    shown = dict(zip(cells(head), cells(row), strict=True))
    assert shown["ms a step, estimated"] == "1.00–4.00"
    assert shown["reported"] == "554.94"
    assert shown["times the longer"] == "138.7"
    assert (shown["GB, estimated"], shown["GB, reported"], shown["GPU %"]) == ("2.50", "2.03", "–")
    assert cells(starred)[6].endswith("*")


def test_a_workload_is_measured_as_it_trains(estimated, monkeypatch, tmp_path, capsys):
    def fake(candidates, rounds):
        [(name, candidate)] = candidates.items()
        candidate.run(1)
        return {name: harness.Timing(0.1, (0.008,) * rounds)}

    monkeypatch.setattr(harness, "interleave", fake)
    file = tmp_path / "rows.jsonl"
    assert calibration.main(["nist36_mlp", "--json", str(file), "--rounds", "7"]) == 0
    assert estimated == [("nist36/mlp", 1, "cpu")]
    row = json.loads(file.read_text())
    assert (row["milliseconds"], row["spread"], row["n"], row["on"]) == (8.0, 0.0, 7, "cpu")
    assert row["batch"] == registry.all_experiments()["nist36/mlp"].data.batch_size
    assert {"hardware", "cores", "versions", "commit"} <= set(row)
    shown = dict(zip(*map(cells, capsys.readouterr().out.splitlines()[-3::2]), strict=True))
    assert (shown["measured"], shown["times the longer"]) == ("8.00", "2.0")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--on", "h100"], "--on must be cpu or a6000, for which there are times, got h100"),
        (["lent"], "unknown workload 'lent': choose from lenet, "),
        (["nist36/mlp", "--on", "a6000"], "nist36/mlp: the report states no time of it"),
        (["--rounds", "3"], "at least 7 rounds"),
    ],
)
def test_mistakes_are_one_line(estimated, args, message):
    with pytest.raises(UserError, match=message):
        calibration.main(args)


def test_default_names_are_known():
    assert set(calibration.MEASURED) <= set(calibration.WORKLOADS)
    known = registry.all_experiments()
    assert all("gpu_seconds" in known[id_].reported for id_ in calibration.REPORTED)

"""Searches: settings become replicas that train as they would alone, bad input is named, the best is confirmed."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
from rich.console import Console

from jaxnets import registry
from jaxnets.analysis.report.page import finished_runs
from jaxnets.cli import main
from jaxnets.config import TRACED, Optim, Spsa
from jaxnets.config.fields import field_at, with_field
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.runs import sweep
from jaxnets.runs.progress import Reporter
from jaxnets.runs.train import train
from jaxnets.tasks import metrics
from jaxnets.tasks import task as tasks
from jaxnets.training import engine

LENET = registry.all_experiments()["cifar10/lenet/plain"]
SMALL = dataclasses.replace(
    LENET, data=dataclasses.replace(LENET.data, source="synthetic", batch_size=32), epochs=1, seeds=2, steps=3
)
OTHER = {
    "lr": 0.03, "momentum": 0.5, "weight_decay": 0.1, "clip": 0.01,
    "spsa.a": 0.5, "spsa.big_a": 5.0, "spsa.c": 0.1, "spsa.alpha": 0.9, "spsa.gamma": 0.3,
}  # fmt: skip


@pytest.fixture(scope="module")
def baseline(shapes10):
    """For "sgd" and "spsa": an experiment with every field in use, and four of its replicas, trained."""

    @functools.cache
    def make(name):
        rule = Optim(name, lr=0.01, momentum=0.9, weight_decay=0.01, clip=0.05, spsa=Spsa(a=0.1))
        base = dataclasses.replace(SMALL, optim=rule)
        return base, trained(dataclasses.replace(base, seeds=4), shapes10)

    return make


OFF = {"momentum": 0.0, "weight_decay": 0.0, "clip": 0.0}


def trained(experiment, data):
    """Parameters after the experiment's steps, [seeds, ...]."""
    built = engine.build(experiment, data)
    state = built.init()
    plan = jax.tree.map(lambda x: x[:, : experiment.steps], built.batch_indices(state.key, 0))
    return built.train(state, plan)[0].params


@pytest.mark.parametrize(("field", "value"), [*OTHER.items(), *OFF.items()])
def test_a_replica_trains_as_its_setting_would_alone(field, value, shapes10, baseline):
    """Two settings × two seeds in one program: replicas 2 and 3 are those of an ordinary run with the other value."""
    base, first = baseline("spsa" if field.startswith("spsa") else "sgd")
    path = f"optim.{field}"
    settings = [{path: field_at(base, path)}, {path: value}]
    [group] = sweep.groups(base, settings)
    together = trained(group.experiment, shapes10)
    alone = trained(dataclasses.replace(with_field(base, path, value), seeds=4), shapes10)
    for replica in range(4):
        expected = first if replica < 2 else alone
        for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(ours[replica], theirs[replica], rtol=2e-4, atol=2e-6)
    # The other value must matter, or the comparison above shows nothing.
    moved = [np.abs(a[2] - b[2]).max() for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(first), strict=True)]
    assert max(moved) > 1e-5


def test_every_field_that_may_differ_is_tried():
    assert set(OTHER) == set(TRACED)


def test_what_is_compiled_in_makes_programs_of_its_own():
    settings = [{"optim.lr": lr, "data.batch_size": size} for lr in (0.1, 0.2, 0.3) for size in (16, 32)]
    groups = sweep.groups(SMALL, settings)
    assert [group.experiment.data.batch_size for group in groups] == [16, 32]
    for group in groups:
        assert group.experiment.grid == {"optim.lr": (0.1, 0.1, 0.2, 0.2, 0.3, 0.3)}
        assert group.experiment.seeds == 6


def test_all_combinations_or_random_ones():
    axes = [sweep.parse_axis(SMALL, text) for text in ("optim.lr=1e-3,1e-2", "data.batch_size=16,32,64")]
    assert len(sweep.settings(SMALL, axes, None)) == 6
    drawn = sweep.settings(SMALL, axes, 4)
    assert len(drawn) == 4
    assert len({json.dumps(setting) for setting in drawn}) == 4
    ranged = sweep.settings(SMALL, [sweep.parse_axis(SMALL, "optim.lr=1e-4..1e-1")], 200)
    rates = np.log10([setting["optim.lr"] for setting in ranged])
    assert rates.min() >= -4
    assert rates.max() <= -1
    np.testing.assert_allclose(np.quantile(rates, [0.25, 0.5, 0.75]), [-3.25, -2.5, -1.75], atol=0.25)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--over", "optim.rate=1,2"], "no field optim.rate: did you mean optim"),
        (["--over", "optim.lr=0.1,fast"], "optim.lr cannot be 'fast': float wanted"),
        (["--over", "optim.lr=0.1,-1"], "optim.lr must be a finite number above 0"),
        (["--over", "optim.name=adam,adamx"], "optim.name cannot be 'adamx': choose from sgd, adam"),
        (["--over", "model.dense=10,20"], "model.dense does not hold one number or word"),
        (["--over", "seeds=1,2"], "seeds is not a hyper-parameter"),
        (["--over", "optim.lr"], "give a field and its values"),
        (["--over", "optim.lr=1e-3..1e-1"], "is a range: say with --random"),
        (["--over", "optim.lr=1e-1..1e-3", "--random", "3"], "a range goes from a number above 0 to a larger one"),
        (["--over", "optim.lr=1,2", "--over", "optim.lr=3"], "names optim.lr twice"),
        (["--over", "optim.lr=1,2", "--metric", "test_accuracy"], "never on the test split; try val_accuracy"),
        (["--over", "optim.lr=1,2", "--metric", "speed"], "no such metric; choose from val_accuracy, val_loss"),
        (["--over", "optim.lr=1,2", "--metric", "val_bits"], "this task has no bits, only accuracy, loss"),
        (["--over", "optim.momentum=0.5..5", "--random", "3"], "optim.momentum must lie in [0, 1)"),
        (["--over", "optim.lr=0.1..inf", "--random", "3"], "a range goes from a number above 0 to a larger one"),
        (["--over", "optim.lr=1,2", "--random", "0"], "random must be at least 1"),
        ([], "sweep needs --over"),
    ],
)
def test_mistakes_are_one_line(args, message, capsys, tmp_path):
    assert main(["sweep", "cifar10/lenet/plain", "--data.source", "synthetic", "--out", str(tmp_path), *args]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_family_cannot_be_swept(capsys):
    assert main(["sweep", "cifar10/lenet", "--over", "optim.lr=1,2"]) == 2
    assert "cifar10/lenet is a family; sweep one of its experiments" in capsys.readouterr().err


def summary_of(experiment, folder, scores):
    """What training would return: each replica's score from its rate."""
    values = [scores(rate) for rate in experiment.grid["optim.lr"]]
    return {"final": {"validation": {"accuracy": {"values": values}, "loss": {"values": [-v for v in values]}}}}


def test_the_best_comes_first_and_failures_last(tmp_path):
    settings = [{"optim.lr": lr} for lr in (0.1, 0.2, 0.3)]
    train = lambda e, folder: summary_of(e, folder, lambda lr: {0.1: 0.5, 0.2: float("nan"), 0.3: 0.7}[lr])
    accuracy, loss = (sweep.Metric("validation", name) for name in ("accuracy", "loss"))
    results = sweep.run(SMALL, settings, accuracy, tmp_path, train)
    assert [r.setting["optim.lr"] for r in results] == [0.3, 0.1, 0.2]
    assert [r.score["n"] for r in results] == [2, 2, 0]
    by_loss = sweep.run(SMALL, settings, loss, tmp_path, train)
    assert [r.setting["optim.lr"] for r in by_loss] == [0.3, 0.1, 0.2]
    nothing = lambda e, folder: summary_of(e, folder, lambda lr: float("nan"))
    with pytest.raises(UserError, match="no setting came to a finite accuracy"):
        sweep.run(SMALL, settings, accuracy, tmp_path, nothing)


def test_a_program_whose_seeds_all_diverge_does_not_stop_the_others(tmp_path, shapes10):
    # Unlike tanh, this activation does not hide how large the weights have become.
    unbounded = dataclasses.replace(SMALL, model=dataclasses.replace(SMALL.model, activation="leaky_relu"))
    settings = [{"optim.name": name, "optim.lr": lr} for name, lr in (("sgd", 1e30), ("adam", 1e-3))]
    go = lambda experiment, folder: train(experiment, folder, Reporter(Console(quiet=True)))
    results = sweep.run(unbounded, settings, sweep.Metric("validation", "loss"), tmp_path, go)
    assert [r.setting["optim.name"] for r in results] == ["adam", "sgd"]
    assert [r.score["n"] for r in results] == [2, 0]


@pytest.mark.parametrize(
    ("id_", "best"),
    [("cifar10/lenet/plain", "accuracy"), ("text/char_lm", "loss"), ("word_lm/wikitext2", "loss"), ("names/best", "loss")],
)
def test_measures_are_known_before_anything_is_trained(id_, best):
    experiment = registry.all_experiments()[id_]
    asked = tasks.build(experiment, catalog.element_spec(experiment.dataset))
    found = engine.metric_names(experiment, asked)
    assert found[0] == best
    directions = {"accuracy": False, "loss": True, "perplexity": True, "bits": True}
    assert {name: metrics.lower_is_better(name) for name in found} == {name: directions[name] for name in found}


def test_from_the_command_line_and_again(tmp_path, capsys, shapes10):
    args = ["sweep", "cifar10/lenet/bn", "--data.source", "synthetic", "--data.batch-size", "64", "--steps", "40"]
    args += ["--seeds", "2", "--over", "optim.lr=1e-5,3e-3", "--over", "data.batch_size=64,128", "--out", str(tmp_path)]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert "4 settings × 2 seeds in 2 programs" in out
    assert "best: optim.lr 0.003" in out
    folder = tmp_path / "sweep" / "cifar10" / "lenet" / "bn"
    table = (folder / "table.md").read_text()
    assert table.count("\n| 0.003 ") == table.count("\n| 1e-05 ") == 2
    assert table.index("| 0.003 ") < table.index("| 1e-05 ")
    assert (folder / "sweep.png").stat().st_size > 5000
    # The confirming run has other seeds than the search.
    config = json.loads(next(folder.glob("best-*/config.json")).read_text())
    assert config["seed"] == 1000
    assert main(args) == 0
    assert capsys.readouterr().out.count("already finished") == 3
    # Its programs are not runs with so many seeds: only the confirming run is one.
    assert [run.path.name[:5] for run in finished_runs([tmp_path])] == ["best-"]

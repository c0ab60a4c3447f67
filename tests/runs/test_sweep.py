"""Searches: settings become replicas that train as they would alone, bad input is named, the best is confirmed."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
from rich.console import Console

from jaxnets import registry
from jaxnets.analysis.report import sweep_table
from jaxnets.analysis.report.page import finished_runs
from jaxnets.cli import main
from jaxnets.config import TRACED, Optim, Spsa
from jaxnets.config.fields import field_at, with_field
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.runs import sweep
from jaxnets.runs.progress import Reporter
from jaxnets.runs.statistics import mean_std
from jaxnets.runs.train import train
from jaxnets.tasks import metrics
from jaxnets.tasks import task as tasks
from jaxnets.training import engine

LENET = registry.all_experiments()["cifar10/lenet/plain"]
SMALL = dataclasses.replace(
    LENET, data=dataclasses.replace(LENET.data, source="synthetic", batch_size=32, shrink=2), epochs=1, seeds=2, steps=3
)
OTHER = {
    "lr": 0.03, "momentum": 0.5, "weight_decay": 0.1, "clip": 0.01, "ema": 0.9,
    "spsa.a": 0.5, "spsa.big_a": 5.0, "spsa.c": 0.1, "spsa.alpha": 0.9, "spsa.gamma": 0.3,
}  # fmt: skip
OFF = {"momentum": 0.0, "weight_decay": 0.0, "clip": 0.0, "ema": 0.0}
CHANGES = [*OTHER.items(), *OFF.items()]

# A small net on noise: what is compared is the rule, and every rule and setting is a program of its own.
MLP = registry.all_experiments()["nist36/mlp"]
RNG = np.random.default_rng(0)
NOISE = Dataset(
    "noise",
    {
        split: {"image": RNG.integers(0, 256, (24, 6, 6, 1), np.uint8), "label": np.arange(24, dtype=np.int32) % 3}
        for split in ("train", "validation")
    },
    {"class_names": list("abc"), "mean": [0.5], "std": [0.5]},
)


def by_rule(name):
    """An experiment with every field of the rule in use."""
    return dataclasses.replace(
        MLP,
        data=dataclasses.replace(MLP.data, batch_size=8),
        model=dataclasses.replace(MLP.model, hidden=(5,)),
        optim=Optim(name, lr=0.01, momentum=0.9, weight_decay=0.01, clip=0.05, ema=0.5, spsa=Spsa(a=0.1, c=0.5)),
        seeds=2,
    )


def trained(experiment):
    """All parameters after an epoch of three steps, as they would be evaluated, [seeds, parameters]."""
    built = engine.build(experiment, NOISE, devices=jax.devices()[:1])
    state = built.init()
    params = built.train(state, built.epoch_indices(state.key, 0))[0].eval_params
    return np.concatenate([np.reshape(leaf, (experiment.seeds, -1)) for leaf in jax.tree.leaves(params)], axis=1)


def rule_of(field):
    return "spsa" if field.startswith("spsa") else "sgd"


@pytest.fixture(scope="module")
def together():
    """Replicas [settings, seeds, parameters] of one program for each rule: the rule as it is, then each of the changes."""

    @functools.cache
    def train_all(name):
        base = by_rule(name)
        settings = [{f"optim.{field}": field_at(base, f"optim.{field}") for field, _ in CHANGES if rule_of(field) == name}]
        settings += [{**settings[0], f"optim.{field}": value} for field, value in CHANGES if rule_of(field) == name]
        [group] = sweep.groups(base, settings)
        return trained(group.experiment).reshape(len(settings), base.seeds, -1)

    return train_all


@pytest.fixture(scope="module")
def alone():
    """The same replicas in a program of one setting, an ordinary run."""

    @functools.cache
    def train_one(name, *change):
        base = by_rule(name)
        experiment = with_field(base, *change) if change else base
        seeds = base.seeds * (1 + sum(rule_of(field) == name for field, _ in CHANGES))
        replicas = trained(dataclasses.replace(experiment, seeds=seeds))
        return replicas.reshape(-1, base.seeds, replicas.shape[-1])

    return train_one


@pytest.mark.parametrize(("field", "value"), CHANGES)
def test_a_replica_trains_as_its_setting_would_alone(field, value, together, alone):
    """The replicas of one setting among others are those of an ordinary run with its values."""
    name = rule_of(field)
    index = 1 + [change for change in CHANGES if rule_of(change[0]) == name].index((field, value))
    expected, unchanged = alone(name, f"optim.{field}", value), alone(name)
    np.testing.assert_allclose(together(name)[index], expected[index], rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(together(name)[0], unchanged[0], rtol=2e-4, atol=2e-6)
    # The value must matter, or the comparison above shows nothing.
    assert np.abs(expected[index] - unchanged[index]).max() > 1e-5


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
        (
            ["--over", "optim.name=adam,adamx"],
            "optim.name must be sgd, adam, adamw, rmsprop, spsa, an optax factory such as optax.lion",
        ),
        (["--over", "model.dense=10,20"], "model.dense does not hold one number or word"),
        (["--over", "seeds=1,2"], "seeds is not a hyper-parameter"),
        (["--over", "optim.lr"], "give a field and its values"),
        (["--over", "optim.lr=1e-3..1e-1"], "is a range: say with --random"),
        (["--over", "optim.lr=1e-1..1e-3", "--random", "3"], "a range goes from a number above 0 to a larger one"),
        (["--over", "optim.lr=1,2", "--over", "optim.lr=3"], "names optim.lr twice"),
        (["--over", "optim.lr=1,2", "--metric", "test_accuracy"], "never on the test split; try validation_accuracy"),
        (
            ["--over", "optim.lr=1,2", "--metric", "speed"],
            "no such metric; choose from validation_accuracy, validation_loss",
        ),
        (
            ["--over", "optim.lr=1,2", "--metric", "val_loss"],
            "--metric val_loss: no such metric; choose from validation_acc",
        ),
        (["--over", "optim.lr=1,2", "--metric", "validation_bits"], "this task has no bits, only accuracy, loss"),
        (["--over", "optim.momentum=0.5..5", "--random", "3"], "optim.momentum must lie in [0, 1)"),
        (["--over", "optim.lr=0.1..inf", "--random", "3"], "a range goes from a number above 0 to a larger one"),
        (["--over", "optim.lr=1,2", "--random", "0"], "random must be at least 1"),
        (["--over", "optim.lr=1,2", "--rungs", "0"], "rungs must be at least 1"),
        (["--over", "optim.lr=1,2", "--rungs", "3", "--epochs", "5"], "begins with a 9th of 5 epochs; give at least 9"),
        (["--over", "optim.lr=1,2", "--part", "3/2"], "part must be K/N with K from 1 to N, such as 2/8, got 3/2"),
        (["--over", "optim.lr=1,2", "--part", "1/2", "--rungs", "2"], "which settings climb depends on all others"),
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


def rate_after(lr, steps):
    """A score in which the largest rates lead at first."""
    return lr * min(steps, 0.4 / lr**2)


def test_on_every_rung_the_best_third_climbs(tmp_path):
    settings = [{"optim.lr": lr / 100} for lr in range(1, 21)]
    trained = []

    def train(experiment, folder):
        rates = experiment.grid["optim.lr"]
        trained.append((folder.parent.name, experiment.steps, len(set(rates))))
        return summary_of(experiment, folder, lambda lr: rate_after(lr, experiment.steps))

    experiment = dataclasses.replace(SMALL, steps=90)
    results = sweep.climb(experiment, settings, 3, sweep.Metric("validation", "accuracy"), tmp_path, train)
    assert trained == [("rung1", 10, 20), ("rung2", 30, 7), (tmp_path.name, 90, 3)]
    assert [r.length for r in results] == [1] * 3 + [1 / 3] * 4 + [1 / 9] * 13
    assert sorted(r.setting["optim.lr"] for r in results) == [s["optim.lr"] for s in settings]
    scores = {r.setting["optim.lr"]: r.score["mean"] for r in results}
    assert all(scores[lr] == pytest.approx(rate_after(lr, 90 * r.length)) for r in results for lr in r.setting.values())
    # Within a rung the best comes first, and those that went on had been the best of it.
    for rung in (results[:3], results[3:7], results[7:]):
        assert [r.score["mean"] for r in rung] == sorted((r.score["mean"] for r in rung), reverse=True)
    assert {r.setting["optim.lr"] for r in results[:7]} == {0.14, 0.15, 0.16, 0.17, 0.18, 0.19, 0.20}


def test_one_rung_is_the_whole_search(tmp_path):
    settings = [{"optim.lr": lr} for lr in (0.1, 0.2)]
    accuracy = sweep.Metric("validation", "accuracy")
    train = lambda e, folder: summary_of(e, folder, lambda lr: lr)
    assert sweep.climb(SMALL, settings, 1, accuracy, tmp_path, train) == sweep.run(
        SMALL, settings, accuracy, tmp_path, train
    )


def test_the_table_says_how_long_each_trained():
    metric = sweep.Metric("validation", "accuracy")
    results = [
        sweep.Result({"optim.lr": lr}, mean_std([lr]), length) for lr, length in ((0.3, 1.0), (0.1, 1 / 3), (0.2, 1 / 9))
    ]
    head, body = sweep_table.cells(results, metric)
    assert head[:2] == ["optim.lr", "length"]
    assert [row[:2] for row in body] == [["0.3", "full"], ["0.1", "1/3"], ["0.2", "1/9"]]
    assert sweep_table.cells(results[:1], metric)[0] == ["optim.lr", "validation accuracy %", "seeds"]


@pytest.mark.usefixtures("few_shapes")
def test_a_program_whose_seeds_all_diverge_does_not_stop_the_others(tmp_path):
    # Unlike tanh, this activation does not hide how large the weights have become.
    unbounded = dataclasses.replace(SMALL, model=dataclasses.replace(SMALL.model, activation="leaky_relu"))
    settings = [{"optim.name": name, "optim.lr": lr} for name, lr in (("sgd", 1e30), ("adam", 1e-3))]
    go = lambda experiment, folder: train(experiment, folder, Reporter(Console(quiet=True)))
    hot, mild = sweep.groups(unbounded, settings)
    assert sweep.run_part([hot], [hot, mild], tmp_path, go) == 1
    assert sweep.run_part([mild], [hot, mild], tmp_path, go) == 0
    results = sweep.run(unbounded, settings, sweep.Metric("validation", "loss"), tmp_path, go)
    assert [r.setting["optim.name"] for r in results] == ["adam", "sgd"]
    assert [r.score["n"] for r in results] == [2, 0]


@pytest.mark.parametrize(
    ("id_", "names"),
    [
        ("cifar10/lenet/plain", ("accuracy", "loss")),
        ("nist36/autoencoder", ("loss", "psnr")),
        ("text/char_lm", ("loss", "bits")),
        ("word_lm/tiny_shakespeare", ("loss", "perplexity")),
        ("word_lm/wikitext2", ("loss", "perplexity")),
        ("names/best", ("loss", "accuracy")),
        ("imdb/best", ("accuracy", "loss")),
        ("translate/best", ("loss", "accuracy", "perplexity")),
    ],
)
def test_metrics_are_known_before_anything_is_trained(id_, names):
    """The first is what settings are ranked by unless another is asked for."""
    experiment = registry.all_experiments()[id_]
    task = tasks.build(experiment, catalog.element_spec(experiment.dataset))
    assert engine.metric_names(experiment, task) == names


def test_which_metrics_are_better_when_lower():
    lower = {"loss": True, "perplexity": True, "bits": True, "accuracy": False, "psnr": False}
    assert {name: metrics.lower_is_better(name) for name in lower} == lower


@pytest.mark.usefixtures("few_shapes")
def test_from_the_command_line_and_again(tmp_path, capsys):
    args = ["sweep", "cifar10/lenet/bn", "--data.source", "synthetic", "--data.batch-size", "16", "--steps", "20"]
    args += ["--seeds", "2", "--over", "optim.lr=1e-5,3e-3", "--over", "data.batch_size=16,32", "--out", str(tmp_path)]
    assert main([*args, "--part", "2/2"]) == 0
    out = capsys.readouterr().out
    assert "4 settings × 2 seeds in 2 programs" in out
    assert "1 of 2 programs are left to other parts" in out
    assert main([*args, "--part", "1/2"]) == 0
    out = capsys.readouterr().out
    assert "already finished" in out  # That of the other part.
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

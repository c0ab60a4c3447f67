"""What runs measure and record: failed seeds, parts of splits, TensorBoard."""

import dataclasses
import io
import json
import sys

import numpy as np
import pytest
from rich.console import Console

from jaxnets import registry
from jaxnets.analysis.report import tables
from jaxnets.config import Optim, Spsa
from jaxnets.data import catalog
from jaxnets.errors import Diverged, UserError
from jaxnets.runs import records
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.progress import Reporter
from jaxnets.runs.train import train
from jaxnets.tasks import task as tasks
from tests.runs.run_small import SMALL

pytestmark = pytest.mark.usefixtures("few_shapes", "engines_built_once")


def test_one_seed_may_fail(tmp_path, monkeypatch):
    """A seed poisoned at the start is reported once and left out of the means."""
    import jax.numpy as jnp

    from jaxnets.training import engine

    build = engine.build

    def poisoned(experiment, data):
        built = build(experiment, data)

        def init():
            state = built.init()
            bias = state.params["head"]["bias"]
            state.params["head"]["bias"] = jnp.asarray(np.array(bias) * np.array([[1.0], [np.nan]], np.float32))
            return state

        return built._replace(init=init)

    monkeypatch.setattr(engine, "build", poisoned)
    output = io.StringIO()
    summary = train(dataclasses.replace(SMALL, epochs=1), tmp_path, Reporter(Console(file=output, width=300)))
    said = output.getvalue()
    assert said.count("seed 1 stopped at step 1") == 1
    assert "the other seeds continue" in said
    assert summary["failed_at"] == [-1, 0]
    assert summary["final"]["test"]["accuracy"]["n"] == 1
    json.loads((tmp_path / "summary.json").read_text())


def test_when_every_seed_fails_the_run_says_so_and_keeps_its_record(tmp_path, reporter):
    hot = dataclasses.replace(SMALL, optim=dataclasses.replace(SMALL.optim, name="sgd", lr=1e30))
    with pytest.raises(UserError, match=r"every seed's loss or weights became infinite or NaN.*try a lower optim\.lr"):
        train(hot, tmp_path, reporter)
    assert RunFolder(tmp_path).metrics()
    assert not RunFolder(tmp_path).finished
    # Training again would come to the same end.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json*")}
    with pytest.raises(Diverged, match=r"every seed diverged when .*; try a lower optim.lr .* and another --out"):
        train(hot, tmp_path, reporter)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json*")} == before
    with pytest.raises(UserError, match=r"a run of another configuration: optim\.lr"):
        train(dataclasses.replace(hot, optim=dataclasses.replace(hot.optim, lr=0.1)), tmp_path, reporter)


def test_tensorboard_without_its_package(tmp_path, reporter, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match="needs the package tensorboardX"):
        train(SMALL, tmp_path, reporter, tensorboard=True)


def test_a_part_of_each_split_is_evaluated_and_tables_say_so(tmp_path, reporter):
    part = dataclasses.replace(SMALL, steps=20, eval_examples=150)
    summary = train(part, tmp_path, reporter)
    assert np.sum(summary["details"]["test"]["confusion"]) == 2 * 150
    assert tables.row(summary).dataset == "shapes10 (synthetic) (150 evaluated)"
    [row] = records.rows([RunFolder(tmp_path)])
    assert not records.is_complete(row)


def test_a_part_of_running_text_is_its_first_tokens():
    experiment = registry.all_experiments()["word_lm/tiny_shakespeare"]
    data = catalog.open_dataset(experiment.data.synthetic, experiment.data.synthetic)
    part = dataclasses.replace(experiment, eval_examples=211, eval_batch_size=3)
    indices = tasks.build(part, data).eval_loader("test").epoch_indices(None, 0)
    assert np.sum(indices["count"].clip(0, part.data.window)) == 210
    with pytest.raises(UserError, match="eval_batch_size must be below 211"):
        tasks.build(dataclasses.replace(part, eval_batch_size=211), data)


def test_refused_steps_are_recorded_by_epoch_and_seed(tmp_path):
    """Perturbations of 1e38 lead to losses that are not finite."""
    optim = Optim("spsa", spsa=Spsa(c=1e38, gamma=0.0))
    spsa, output = dataclasses.replace(SMALL, optim=optim, epochs=2, steps=60), io.StringIO()
    summary = train(spsa, tmp_path, Reporter(Console(file=output, width=300)))
    lines = [line for line in RunFolder(tmp_path).metrics() if "epoch" in line]
    assert [line["refused"] for line in lines] == [[40, 40], [60, 60]]
    assert summary["refused"] == [60, 60]
    assert "of 60 steps SPSA refused, by seed: 60, 60" in output.getvalue()


def test_the_norm_of_the_gradient_and_the_rate_are_recorded_for_tensorboard_too(tmp_path, reporter):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    recorded = dataclasses.replace(SMALL, optim=dataclasses.replace(SMALL.optim, record=True, lr=3e-4), steps=3)
    train(recorded, tmp_path, reporter, tensorboard=True)
    events = next((tmp_path / "tensorboard").iterdir()).read_bytes()
    for name in (b"validation/accuracy", b"train/gradient_norm", b"train/learning_rate"):
        assert name in events
    [line] = [line for line in RunFolder(tmp_path).metrics() if "epoch" in line]
    assert line["train"]["learning_rate"] == pytest.approx([3e-4, 3e-4])
    assert min(line["train"]["gradient_norm"]) > 0
    assert "learning_rate" not in line["validation"]

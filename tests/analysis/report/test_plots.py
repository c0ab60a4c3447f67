"""Plots draw what runs recorded, from run folders made by hand."""

import json

import numpy as np
import pytest

from jaxnets.analysis.report import families, plots, sweep_plot, tables
from jaxnets.analysis.report.image_sheets import sheet
from jaxnets.analysis.report.page import write_report
from jaxnets.config import to_json
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.statistics import mean_std
from jaxnets.tasks.task import ImageGrid
from tests.analysis.report.run_made import make_run


def test_curves_draw_what_was_recorded(tmp_path):
    metrics = make_run(tmp_path, "cifar10/lenet/super").metrics()
    axes = plots.curves(metrics, "accuracy", {"test": 66.0}, chance=10).axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    epochs = [line for line in metrics if "epoch" in line]
    expected = [100 * np.mean(line["validation"]["accuracy"]) for line in epochs]
    np.testing.assert_allclose(drawn["validation"].get_ydata(), expected)
    assert drawn["reported test"].get_ydata()[0] == 66
    assert all(tick == round(tick) for tick in axes.get_xticks())  # Three epochs: none of them is 1.5.
    bars = plots.per_class(np.eye(10) * 3 + 1, [str(i) for i in range(10)], {}).axes[0].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], 100 * 4 / 13)


def test_null_measures_leave_gaps():
    lines = [{"epoch": e, "step": e, "validation": {"loss": [None, 1.0]}} for e in (1, 2)]
    lines = [json.loads(json.dumps(line)) for line in lines]
    axes = plots.compare({"a": lines}, "loss").axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [1.0, 1.0])


def test_configs_round_trip_through_a_run_folder(tmp_path):
    run = make_run(tmp_path, "cifar10/lenet/super")
    assert to_json(run.experiment()) == run.read("config.json")


def test_runs_of_other_batch_sizes_are_drawn_against_them(tmp_path, undrawn):
    for size, score in ((128, 0.3), (256, 0.4), (16384, 0.35)):
        make_run(tmp_path, f"study/batch_size/{size}", test=(score, score + 0.02))
    page = write_report([tmp_path], tmp_path).read_text()
    assert "By batch size: study/batch_size" in page
    assert "The first steps: study/batch_size" in page
    runs = {size: RunFolder(tmp_path / f"study/batch_size/{size}").read("summary.json") for size in (128, 256, 16384)}
    figure = families.by_batch_size(runs)
    figure.canvas.draw()
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [128, 256, 16384])
    np.testing.assert_allclose(line.get_ydata(), [31, 41, 36])
    reported = figure.axes[1].lines[1]
    np.testing.assert_allclose(reported.get_ydata(), [2.03, 2.48, 46])


def test_runs_that_differ_in_more_are_not(tmp_path, undrawn):
    make_run(tmp_path, "cifar10/lenet/plain")
    make_run(tmp_path, "cifar10/lenet/bn")
    page = write_report([tmp_path], tmp_path).read_text()
    assert "By batch size" not in page
    assert "The first steps: cifar10/lenet" in page


def test_spsa_is_drawn_against_loss_evaluations(tmp_path, undrawn):
    make_run(tmp_path, "study/spsa/gd")
    make_run(tmp_path, "study/spsa/spsa_16")
    assert "By loss evaluations: study/spsa" in write_report([tmp_path], tmp_path).read_text()
    steps = [{"step": k, "loss": [float(k), None]} for k in range(1, 26)]
    epochs = [{"epoch": e, "step": 20 * e, "train": {"loss": [0.5 / e, 0.7 / e]}} for e in (1, 2)]
    figure = families.by_evaluations({"a": steps + epochs}, {"a": 32})
    figure.canvas.draw()
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [320, 640, 800, 1280])
    np.testing.assert_allclose(line.get_ydata(), [5.5, 15.5, 23, 0.3])


@pytest.mark.parametrize(("bad", "scale"), [(3.0, "linear"), (40.0, "log")])
def test_first_steps_side_by_side(bad, scale):
    lines = lambda level: [{"step": k, "loss": [level - k / 10, level + k / 10]} for k in range(1, 5)]
    figure = plots.hockey_sticks({"good": lines(2.3), "bad": lines(bad)}, 10)
    axes = figure.axes[0]
    assert axes.get_yscale() == scale
    np.testing.assert_allclose([line.get_ydata()[0] for line in axes.lines[:2]], [2.3, bad])
    np.testing.assert_allclose(axes.lines[2].get_ydata(), np.log(10))


def test_a_search_is_drawn_along_the_field_with_most_values():
    scores = {(lr, width): lr * 10 + width / 100 for lr in (0.01, 0.02, 0.04) for width in (8, 16)}
    results = [({"optim.lr": lr, "model.width": w}, mean_std([s, s + 0.02])) for (lr, w), s in scores.items()]
    axes = sweep_plot.draw(results, "validation accuracy").axes[0]
    assert axes.get_xlabel() == "optim.lr"
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"model.width 8", "model.width 16"}
    many = [({"optim.lr": i / 10, "model.width": i}, mean_std([i / 100])) for i in range(1, 31)]
    assert len(sweep_plot.draw(many, "validation accuracy").axes[0].get_yticklabels()) == 30


def test_most_confused_pairs():
    counts = [[8, 2, 0], [0, 3, 1], [5, 0, 5]]
    assert tables.most_confused(counts, "abc", 2) == ["a for c 50 %", "c for b 25 %"]
    assert tables.most_confused([[0, 0], [0, 4]], "ab") == []


def test_climbs_to_the_best_accuracy():
    lines = lambda *values: [{"epoch": i + 1, "validation": {"accuracy": v}} for i, v in enumerate(values)]
    runs = {
        "slow": lines([0.1, 0.3], [0.4, 0.4], [0.5, None]),
        "fast": lines([0.3, 0.5], [0.6, 0.6], [0.9, 0.7], [0.8, 0.8]),
    }
    found = tables.climbs(runs)
    assert found["slow"] == (pytest.approx(0.5), 3, 2)
    assert found["fast"] == (pytest.approx(0.8), 3, 3)


def test_sheets_of_pictures_keep_their_order_and_range():
    images = np.zeros((2, 3, 4, 5, 1))
    images[1, 2, 0, 0] = 1.0  # Row 1, column 2: the lower right picture's first pixel.
    figure = sheet(ImageGrid(images, ["a", "b", "c"]))
    drawn = figure.axes[0].images[0].get_array()
    # ImageGrid of 4×5 in lines one pixel wide.
    assert drawn.shape == (2 * 5 + 1, 3 * 6 + 1)
    assert drawn[6, 13] == 1
    assert drawn[7:10, 13:18].max() == 0
    signed = sheet(ImageGrid(np.linspace(-2, 1, 40).reshape(1, 2, 4, 5, 1), signed=True))
    low, high = signed.axes[0].images[0].get_clim()
    assert low == -high
    assert high == pytest.approx(2, abs=0.1)


def test_what_only_training_measures_has_a_plot(tmp_path):
    """The gradient's norm and the rate, with `optim.record`."""
    make_run(tmp_path, "cifar10/lenet/bn")
    run = RunFolder(tmp_path / "cifar10/lenet/bn")
    lines = run.metrics()
    for line in lines:
        if "epoch" in line:
            line["train"] |= {"gradient_norm": [0.5, 0.7], "learning_rate": [0.1, 0.1]}
    run.path.joinpath("metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run.finish(run.summary())
    page = write_report([tmp_path], tmp_path).read_text()
    assert "Gradient norm by epoch" in page
    assert "Learning rate by epoch" in page

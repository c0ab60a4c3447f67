"""Tables, plots and the page, from run folders made by hand."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from jaxnets.analysis.report import families, plots, tables
from jaxnets.analysis.report.image_sheets import sheet
from jaxnets.analysis.report.page import write_report
from jaxnets.config import to_json
from jaxnets.errors import UserError
from jaxnets.registry import all_experiments
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.statistics import mean_std
from jaxnets.tasks.task import ImageGrid


def make_run(folder, id_, test=(0.60, 0.62), synthetic=False, failed=(-1, -1), finished=True):
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
            }
        )
    return run


OVERVIEW = ["Reported and ours", "Validation loss", "Validation accuracy", "The first steps: cifar10/lenet"]
RUN = [
    "Loss by epoch",
    "Accuracy by epoch",
    "The first steps",
    "Confusion on the test split, %",
    "Accuracy by class on the test split",
]


def pictures(page):
    """Captions and pixels of the pictures in a page, each of which is a file beside it too, and not blank."""
    embedded = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)">', page.read_text())
    contents = [base64.b64decode(data) for data, _ in embedded]
    assert sorted(contents) == sorted(path.read_bytes() for path in page.parent.glob("*.png"))
    pixels = [np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in contents]
    assert all(picture.std() > 5 for picture in pixels)
    return [caption for _, caption in embedded], pixels


def test_pictures_of_a_run_differ(tmp_path):
    captions, pixels = pictures(write_report([make_run(tmp_path, "cifar10/lenet/super").path], tmp_path))
    assert captions == RUN
    assert len({picture.tobytes() for picture in pixels}) == len(RUN)


def test_rows_set_reported_beside_ours(tmp_path):
    row = tables.row(make_run(tmp_path, "cifar10/lenet/super").read("summary.json"))
    assert row.metrics["test_accuracy"] == ("66.00", "61.00 ± 1.41")
    assert row.metrics["initial_loss"] == ("2.2972", "2.3500 ± 0.0707")
    assert row.seeds == "2"


def test_a_stand_in_is_named_and_not_compared(tmp_path):
    row = tables.row(make_run(tmp_path, "cifar10/lenet/super", synthetic=True).read("summary.json"))
    assert row.dataset == "shapes10 (synthetic)"
    assert row.metrics["test_accuracy"] == ("–", "61.00 ± 1.41")


def test_failed_seeds_show(tmp_path):
    run = make_run(tmp_path, "cifar10/lenet/super", test=(0.6, float("nan")), failed=(-1, 7))
    row = tables.row(run.read("summary.json"))
    assert row.seeds == "1 of 2"
    assert row.metrics["test_accuracy"][1] == "60.00"


def test_tables_line_up(tmp_path):
    rows = [tables.row(make_run(tmp_path, f"cifar10/lenet/{v}").read("summary.json")) for v in ("plain", "super_badinit")]
    header, body = tables.cells(rows)
    lines = tables.text(header, body).splitlines()
    assert len({line.index("|") for line in lines[1:]}) == 1
    markdown = tables.markdown(header, body).splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown}) == 1
    assert "test %" in header


def test_a_column_without_reported_values_shows_ours_alone(tmp_path):
    summaries = [
        make_run(tmp_path, f"cifar10/lenet/{variant}", test=test).read("summary.json")
        for variant, test in (("plain", (0.5, 0.52)), ("best", (0.7, 0.72)))  # No report has a net called "best".
    ]
    compared = tables.compared
    header, body = tables.cells([tables.row(summary) for summary in summaries])
    column = {name: [line[i] for line in body] for i, name in enumerate(header)}
    assert column["test %"] == ["58.98 | 51.00 ± 1.41", "– | 71.00 ± 1.41"]
    assert column["epochs"] == ["200 | 3", "– | 3"]
    assert column["test loss"] == ["1.0500 ± 0.0707"] * 2
    assert tables.legend(body) == "reported | ours, mean ± standard deviation over seeds"

    header, body = tables.cells([tables.row(summaries[1])])
    assert body[0][header.index("test %")] == "71.00 ± 1.41"
    assert tables.legend(body) == "mean ± standard deviation over seeds"
    assert "|" not in tables.text(header, body)
    assert tables.legend([["cifar10", "71.00"]]) == ""

    missing = tables.Compared()
    assert compared([missing, tables.Compared(ours="1.00")]) == ["–", "1.00"]
    assert compared([missing, tables.Compared("2.00", "1.00")]) == ["–", "2.00 | 1.00"]


def test_report_is_one_self_contained_page(tmp_path):
    make_run(tmp_path, "cifar10/lenet/super")
    make_run(tmp_path, "cifar10/lenet/plain")
    make_run(tmp_path, "cifar10/lenet/bn", finished=False)
    page = write_report([tmp_path], tmp_path)
    text = page.read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    captions, _ = pictures(page)
    assert captions == OVERVIEW + RUN + RUN
    assert "66.00 | 61.00 ± 1.41" in text
    assert "abacus" in text
    assert "Not finished and left out" in text
    assert "cifar10/lenet/super" in (page.parent / "table.md").read_text()


def test_reading_runs_needs_no_data_set(tmp_path):
    text = write_report([make_run(tmp_path, "cifar10/tutorial_net").path], tmp_path).read_text()
    assert "cifar10/tutorial_net" in text


def test_two_runs_of_one_id_stay_apart(tmp_path):
    make_run(tmp_path / "a", "cifar10/lenet/super")
    make_run(tmp_path / "b", "cifar10/lenet/super", test=(0.7, 0.7))
    page = write_report([tmp_path, tmp_path / "a"], tmp_path)
    text = page.read_text()
    assert pictures(page)[0] == OVERVIEW + RUN + RUN
    assert "cifar10/lenet/super (a)" in text
    assert "cifar10/lenet/super (b)" in text


def test_a_language_model_has_no_accuracy_and_no_confusion(tmp_path):
    run = make_run(tmp_path, "cifar10/lenet/super")
    summary = run.read("summary.json")
    measures = {"loss": mean_std([4.0, 4.2]), "perplexity": mean_std([54.0, 66.0])}
    summary |= {"final": {"train": measures, "validation": measures}, "details": {"validation": {}}, "class_names": []}
    summary["reported"] = {"validation_perplexity": 65.8}
    lines = [
        {"epoch": 1, "step": 1, **{s: {"loss": [4.0, 4.2], "perplexity": [54.0, 66.0]} for s in ("train", "validation")}}
    ]
    (run.path / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in [{"step": 1, "loss": [9.0, 9.1]}, *lines])
    )
    run.finish(summary)
    text = write_report([tmp_path], tmp_path).read_text()
    assert "65.80 | 60.00 ± 8.49" in text
    assert "Perplexity by epoch" in text
    assert "Confusion" not in text


def test_names_are_no_formulas(tmp_path):
    """A "$" in the name of a folder, or in two."""
    for name in ("$a^", "b$$", "$\\frac{"):
        make_run(tmp_path / name, "cifar10/lenet/super")
    write_report([tmp_path], tmp_path)
    figure, axes = plots.new_axes()
    axes.plot([1, 1000], [1, 1000], label="$HOME and $x^2$")
    axes.set(xscale="log", title="$")
    axes.legend()
    plots.literal(figure).canvas.draw()
    legend, ticks = axes.get_legend().get_texts()[0], [tick.label1 for tick in axes.xaxis.get_major_ticks()]
    assert not legend.get_parse_math()
    assert all(tick.get_parse_math() for tick in ticks if tick.get_text())


def test_a_run_whose_record_is_lost_is_reported_without_curves(tmp_path):
    runs = [make_run(tmp_path, f"cifar10/lenet/{variant}") for variant in ("super", "bn", "plain")]
    (runs[0].path / "metrics.jsonl").write_text("")
    runs[0].finish(runs[0].summary())
    captions, _ = pictures(write_report([tmp_path], tmp_path))
    assert captions.count("The first steps") == 2
    assert captions.count("Confusion on the test split, %") == 3


def test_nothing_to_report(tmp_path):
    with pytest.raises(UserError, match="none at all"):
        write_report([tmp_path], tmp_path)
    make_run(tmp_path, "cifar10/lenet/bn", finished=False)
    with pytest.raises(UserError, match="1 unfinished"):
        write_report([tmp_path], tmp_path)


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


def test_runs_of_other_batch_sizes_are_drawn_against_them(tmp_path):
    for size, score in ((128, 0.3), (256, 0.4), (16384, 0.35)):
        make_run(tmp_path, f"study/batch_size/{size}", test=(score, score + 0.02))
    page = write_report([tmp_path], tmp_path).read_text()
    assert "By batch size: study/batch_size" in page
    assert "The first steps: study/batch_size" in page
    runs = {size: RunFolder(tmp_path / f"study/batch_size/{size}").read("summary.json") for size in (128, 256, 16384)}
    figure = families.by_batch_size(runs)
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [128, 256, 16384])
    np.testing.assert_allclose(line.get_ydata(), [31, 41, 36])
    reported = figure.axes[1].lines[1]
    np.testing.assert_allclose(reported.get_ydata(), [2.03, 2.48, 46])


def test_runs_that_differ_in_more_are_not(tmp_path):
    make_run(tmp_path, "cifar10/lenet/plain")
    make_run(tmp_path, "cifar10/lenet/bn")
    page = write_report([tmp_path], tmp_path).read_text()
    assert "By batch size" not in page
    assert "The first steps: cifar10/lenet" in page


def test_spsa_is_drawn_against_loss_evaluations(tmp_path):
    make_run(tmp_path, "study/spsa/gd")
    make_run(tmp_path, "study/spsa/spsa_16")
    assert "By loss evaluations: study/spsa" in write_report([tmp_path], tmp_path).read_text()
    steps = [{"step": k, "loss": [float(k), None]} for k in range(1, 26)]
    epochs = [{"epoch": e, "step": 20 * e, "train": {"loss": [0.5 / e, 0.7 / e]}} for e in (1, 2)]
    line = families.by_evaluations({"a": steps + epochs}, {"a": 32}).axes[0].lines[0]
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
    axes = plots.sweep(results, "validation accuracy").axes[0]
    assert axes.get_xlabel() == "optim.lr"
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"model.width 8", "model.width 16"}
    many = [({"optim.lr": i / 10, "model.width": i}, mean_std([i / 100])) for i in range(1, 31)]
    assert len(plots.sweep(many, "validation accuracy").axes[0].get_yticklabels()) == 30


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

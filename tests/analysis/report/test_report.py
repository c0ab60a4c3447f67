"""Tables and the page, from run folders made by hand."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from jaxnets.analysis.report import plots, tables
from jaxnets.analysis.report.page import write_report
from jaxnets.errors import UserError
from jaxnets.runs.statistics import mean_std
from tests.analysis.report.run_made import make_run

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


def test_refused_steps_of_spsa_show(tmp_path, undrawn):
    make_run(tmp_path / "a", "study/spsa/spsa_1", refused=[0, 1200])
    assert "0, 1,200 of 30 steps, by seed" in write_report([tmp_path / "a"], tmp_path / "a").read_text()
    make_run(tmp_path / "b", "study/spsa/spsa_1", refused=[0, 0])
    assert "refused" not in write_report([tmp_path / "b"], tmp_path / "b").read_text()


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


def test_reading_runs_needs_no_data_set(tmp_path, undrawn):
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
    for plot in (
        plots.confusion([[1, 1], [0, 1]], ["$a^{$", "b$_{$"]),
        plots.per_class([[1, 1], [0, 1]], ["$a^{$", "$"], {}),
    ):
        plots.literal(plot).savefig(io.BytesIO())


def test_a_run_whose_record_is_lost_is_reported_without_curves(tmp_path):
    runs = [make_run(tmp_path, f"cifar10/lenet/{variant}") for variant in ("super", "bn")]
    (runs[0].path / "metrics.jsonl").write_text("")
    runs[0].finish(runs[0].summary())
    captions, _ = pictures(write_report([tmp_path], tmp_path))
    assert captions.count("The first steps") == 1
    assert captions.count("Confusion on the test split, %") == 2


def test_nothing_to_report(tmp_path):
    with pytest.raises(UserError, match="none at all"):
        write_report([tmp_path], tmp_path)
    make_run(tmp_path, "cifar10/lenet/bn", finished=False)
    with pytest.raises(UserError, match="1 unfinished"):
        write_report([tmp_path], tmp_path)

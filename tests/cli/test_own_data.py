"""Data of the user's own from the command line: run, resume, report, and the nets that come of it."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from jaxnets import cli


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder to work in, and an empty store."""
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(capsys, *args):
    status = cli.main(list(args))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def draw(folder):
    rng = np.random.default_rng(0)
    for name in ("noise", "plain"):
        (folder / name).mkdir(parents=True)
        for i in range(20):
            pixels = (
                rng.integers(0, 256, (40, 50, 3), np.uint8) if name == "noise" else np.full((36, 36, 3), 10 * i, np.uint8)
            )
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    (folder / "plain" / "notes.txt").write_text("no picture")


RUN = ("run", "cifar10/lenet/bn", "--data.source", "pictures", "--data.size", "16", "--data.batch-size", "8", "--seeds", "2")


def test_pictures_from_run_to_report(capsys, here):
    draw(here / "pictures")
    status, out, _ = call(capsys, *RUN, "--epochs", "2")
    assert status == 0
    assert f"{here}/pictures: left out unreadable files: 1 (plain/notes.txt)" in out
    assert re.search(r"cifar10/lenet/bn +pictures +2 +2 ", out)
    assert "60.77" not in out  # The report's accuracy is that of CIFAR-10.
    run = here / "runs" / "cifar10" / "lenet" / "bn"
    assert json.loads((run / "config.json").read_text())["data"]["source"] == str(here / "pictures")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["class_names"] == ["noise", "plain"]
    assert np.shape(summary["details"]["test"]["confusion"]) == (2, 2)
    assert call(capsys, *RUN, "--epochs", "2")[1].count("already finished") == 1
    assert call(capsys, "report", "runs")[0] == 0
    page = (here / "runs" / "report" / "index.html").read_text()
    assert "pictures" in page
    assert "synthetic" not in page
    status, out, _ = call(capsys, "visualize", str(run), "filters")
    assert status == 0


def test_a_run_does_not_go_on_with_other_pictures(capsys, here):
    draw(here / "pictures")
    assert call(capsys, *RUN, "--steps", "2")[0] == 0
    (here / "pictures" / "noise" / "0.png").unlink()
    status, _, err = call(capsys, *RUN, "--steps", "2")
    assert status == 2
    assert f"{here}/pictures changed since the run in runs/cifar10/lenet/bn began" in err


def test_an_interrupted_run_resumes_in_another_folder(capsys, here, monkeypatch):
    from jaxnets.training import signals

    draw(here / "pictures")
    whole = (*RUN, "--epochs", "2", "--out", str(here / "whole"))
    assert call(capsys, *whole)[0] == 0
    defer = signals.defer_signals
    monkeypatch.setattr(signals, "defer_signals", lambda: _already(defer()))
    parts = (*RUN, "--epochs", "2", "--out", str(here / "parts"))
    assert call(capsys, *parts)[0] == 128 + 15
    monkeypatch.setattr(signals, "defer_signals", defer)
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    status, out, _ = call(capsys, *(str(here / "pictures") if arg == "pictures" else arg for arg in parts))
    assert status == 0
    assert "resuming cifar10/lenet/bn" in out
    final = [json.loads((here / p / "cifar10/lenet/bn/summary.json").read_text())["final"] for p in ("whole", "parts")]
    assert final[0] == final[1]


def _already(context):
    """A signal that comes before the first step."""
    import contextlib

    @contextlib.contextmanager
    def received():
        with context as numbers:
            numbers.append(15)
            yield numbers

    return received()


def test_reviews_of_three_classes(capsys, here):
    with (here / "reviews.csv").open("w", newline="") as file:
        rows = [(f"a {word} film", word) for word in ("good", "bad", "fair") for _ in range(20)]
        csv.writer(file).writerows([("text", "label"), *rows])
    small = (
        "--steps",
        "2",
        "--model.hidden",
        "4",
        "--model.embedding",
        "4",
        "--data.batch-size",
        "8",
        "--data.vocab-size",
        "9",
    )
    status, out, _ = call(capsys, "run", "imdb/lstm", "--data.source", "reviews.csv", *small)
    assert status == 0
    assert "ln(3)" in out
    status, out, _ = call(capsys, "classify", "runs/imdb/lstm", "a good film")
    assert status == 0
    assert out.split()[0] in {"bad", "fair", "good"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("cifar10/lenet/bn", "--data.source", "./nothing"), "nothing: there is no such file or folder; give another path"),
        (("cifar10/lenet/bn", "--data.source", "reviews.csv"), "there is no such file or folder"),
        (("cifar10/lenet/bn", "--data.source", "tfds:kmnist"), "download_and_prepare"),
        (("cifar10/lenet/bn", "--data.source", "./nothing", "--data.size", "0"), "data.size must be at least 1, got 0"),
        (("names/best", "--data.source", "cifra10"), "unknown data set 'cifra10': did you mean cifar10?"),
    ],
)
def test_mistakes_are_one_line(capsys, args, message):
    status, _, err = call(capsys, "run", *args)
    assert status == 2
    assert err.count("\n") == 1
    assert message in err

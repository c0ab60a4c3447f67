"""Every kind of net for text, trained for a few steps from the command line, and asked."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxnets import cli
from jaxnets.runs import load

IDS = ("names/conditional_rnn", "names/char_rnn", "text/char_lm", "word_lm/tiny_shakespeare", "imdb/best", "translate/best")
SMALL = {
    "names/conditional_rnn": ("--model.hidden", "16"),
    "names/char_rnn": ("--model.hidden", "16"),
    "text/char_lm": ("--model.hidden", "16", "--data.batch-size", "8", "--eval-batch-size", "40"),
    "word_lm/tiny_shakespeare": (
        *("--model.hidden", "16", "--model.embedding", "16", "--model.layers", "1", "--eval-batch-size", "40"),
    ),
    "imdb/best": ("--model.hidden", "8", "--model.layers", "1", "--data.max_length", "20"),
    "translate/best": ("--model.hidden", "16", "--data.teacher-forcing", "1", "0.5"),
}
pytestmark = pytest.mark.usefixtures("few_shapes", "engines_built_once")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, few_shapes, engines_built_once):
    """A finished run of each."""
    out = tmp_path_factory.mktemp("runs")
    for id_ in IDS:
        shared = ("--data.source", "synthetic", "--steps", "4", "--seeds", "2", "--out", str(out))
        assert cli.main(["run", id_, *shared, *SMALL[id_]]) == 0
    return out


def ask(capsys, *args):
    status = cli.main([str(arg) for arg in args])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


def test_names(runs, capsys):
    run = runs / "names" / "conditional_rnn"
    args = ("sample", run, "--category", "Droth", "--start", "Gri", "--number", "7")
    status, names, _ = ask(capsys, *args)
    assert status == 0
    assert len(names) == 7
    assert all(name.startswith("Gri") for name in names)
    assert ask(capsys, *args)[1] == names
    assert ask(capsys, *args, "--seed", "1")[1] != names
    assert ask(capsys, "sample", runs / "names" / "char_rnn", "--start", "é")[1][0].startswith("e")


def test_running_text(runs, capsys):
    words = runs / "word_lm" / "tiny_shakespeare"
    status, lines, _ = ask(capsys, "sample", words, "--prompt", "We are", "--length", "5", "--number", "2")
    assert status == 0
    assert sum(line.startswith("we are") for line in lines) == 2
    beam = ("sample", words, "--prompt", "we are", "--length", "4", "--beam", "3")
    assert ask(capsys, *beam)[1] == ask(capsys, *beam, "--seed", "5")[1]
    letters = "\n".join(
        ask(capsys, "sample", runs / "text" / "char_lm", "--prompt", "we ", "--length", "9", "--number", "1")[1]
    )
    assert letters.startswith("we ")


def test_reviews(runs, capsys):
    status, lines, _ = ask(capsys, "classify", runs / "imdb" / "best", "The story is brilliant.", "an awful script")
    assert status == 0
    assert all(line.split()[0] in ("positive", "negative") for line in lines)
    assert len(lines) == 2


def test_sentences(runs, capsys):
    run = runs / "translate" / "best"
    for beam in ("1", "3"):
        status, lines, _ = ask(capsys, "translate", run, "Je suis triste.", "il est ici .", "--beam", beam)
        assert status == 0
        assert len(lines) == 2


def test_images_are_classified_as_in_evaluation(tmp_path, capsys, few_shapes):
    """The share of right answers is the accuracy that training reported; picture files get the same answers."""
    small = ("--steps", "8", "--seeds", "2", "--model.width", "4", "--data.batch-size", "16", "--data.source", "synthetic")
    assert cli.main(["run", "cifar10/gray_cnn/best", *small, "--out", str(tmp_path)]) == 0
    run = tmp_path / "cifar10" / "gray_cnn" / "best"
    accuracies = json.loads((run / "summary.json").read_text())["final"]["test"]["accuracy"]["values"]
    split = few_shapes.splits["test"]
    answers = np.stack([load.load(run, replica).predictor(split["image"]) for replica in range(2)])
    np.testing.assert_allclose(answers.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose((answers.argmax(-1) == split["label"]).mean(1), accuracies, atol=1e-6)

    files = [tmp_path / "0.png", tmp_path / "1.png"]
    for file, pixels in zip(files, split["image"][:2], strict=True):
        Image.fromarray(pixels).save(file)
    capsys.readouterr()
    status, lines, _ = ask(capsys, "classify", run, *files, "--out", tmp_path / "answers.png")
    assert status == 0
    for line, file, by_seed in zip(lines, files, np.moveaxis(answers, 1, 0)[:2], strict=False):
        best = by_seed.mean(0).argmax()
        mean, spread = 100 * by_seed.mean(0)[best], 100 * abs(np.diff(by_seed[:, best])[0]) / 2**0.5
        assert line == f"{few_shapes.meta['class_names'][best]}  {mean:.1f} ± {spread:.1f} %  {file}"
    with Image.open(tmp_path / "answers.png") as drawn:
        assert drawn.height > 200
    for name, message in ((__file__, "is not a picture"), ("none.png", "cannot read the picture none.png")):
        status, _, error = ask(capsys, "classify", run, name)
        assert (status, message in error, len(error.splitlines())) == (2, True, 1)


@pytest.mark.parametrize(
    ("command", "id_", "args", "message"),
    [
        ("sample", "names/conditional_rnn", ("--category", "Elvish"), "unknown category 'Elvish': choose from Arvan"),
        ("sample", "names/conditional_rnn", (), "this net needs --category"),
        ("sample", "names/char_rnn", ("--category", "Arvan"), "trained without categories"),
        ("sample", "names/char_rnn", ("--start", "ж"), "'ж' not among the 59 known symbols"),
        ("sample", "names/char_rnn", ("--start", ""), "the start of a name is empty"),
        ("sample", "names/char_rnn", ("--temperature", "0"), "temperature must be at least 1e-06, got 0"),
        ("sample", "names/char_rnn", ("--replica", "2"), "has replicas 0 to 1, not 2"),
        ("sample", "names/char_rnn", ("--prompt", "A"), "--prompt is for nets that generate text; "),
        ("sample", "names/char_rnn", ("--length", "200"), "--length is for nets that generate text; "),
        ("sample", "names/char_rnn", ("--beam", "0"), "names/char_rnn generates names: leave it out"),
        ("sample", "text/char_lm", ("--start", "A"), "--start is for nets that generate names; "),
        ("sample", "text/char_lm", ("--category", "Arvan"), "text/char_lm generates text: leave it out"),
        ("sample", "text/char_lm", ("--prompt", ""), "the prompt is empty"),
        ("sample", "word_lm/tiny_shakespeare", ("--prompt", "we zebra"), "'zebra' never occurred in the training text"),
        ("classify", "imdb/best", ("",), "has no word that the net knows"),
        ("classify", "imdb/best", (), "classify needs pictures or texts"),
        ("translate", "translate/best", ("je suis un zebre",), "the word 'zebre' is not among the 52"),
        ("translate", "translate/best", ("je " * 10,), "has 10 words and marks; the net was trained on at most 9"),
        ("translate", "translate/best", (" ?!"[:1],), "has no words to translate"),
        ("translate", "names/char_rnn", ("je suis",), "this net cannot translate; use `jaxnets sample`"),
        ("translate", "nowhere", ("je suis",), "no such run"),
    ],
)
def test_bad_questions_get_one_line(runs, capsys, command, id_, args, message):
    status, lines, error = ask(capsys, command, runs / id_, *args)
    assert status == 2
    assert not lines
    assert message in error
    assert len(error.splitlines()) == 1


def test_what_was_written_is_in_the_summary_and_the_report(runs, capsys):
    summary = json.loads((runs / "translate" / "best" / "summary.json").read_text())
    assert summary["samples"]["columns"] == ["split", "French", "English", "ours"]
    assert len(summary["final"]["test"]["bleu"]["values"]) == 2
    assert summary["samples"]["before"][0][:3] == summary["samples"]["after"][0][:3]
    assert cli.main(["report", str(runs)]) == 0
    page = (runs / "report" / "index.html").read_text()
    assert "Samples before training" in page
    assert summary["samples"]["after"][0][2] in page

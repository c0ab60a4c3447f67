"""The nets that come with jaxnets: whole, small, measured, and able to do what they are for, without any data set."""

import json
import re
import shutil
import string
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import jaxnets
from jaxnets import cli
from jaxnets.data import catalog, glyphs36, shapes
from jaxnets.runs import load, records, shipped
from jaxnets.runs.folder import RunFolder

ROOT = Path(__file__).parent.parent.parent
ROWS = records.read(ROOT / "benchmarks" / "results" / shipped.RESULTS)
NAMES = shipped.names()
TOLERANCE = {"accuracy": 2e-3, "bits": 2e-3, "loss": 5e-3, "perplexity": 2e-2, "bleu": 0.5, "chrf": 0.5, "in_training": 0.05}
"""What rounding to float16 may cost."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to work in, and no data sets."""
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)


def ask(capsys, *args):
    status = cli.main([str(arg) for arg in args])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


def test_they_are_these_and_small():
    assert NAMES == ["lenet", "letters", "names", "shakespeare", "translate"]
    assert sum(path.stat().st_size for path in shipped.FOLDER.rglob("*") if path.is_file()) <= 5_000_000


@pytest.mark.parametrize("name", NAMES)
def test_every_replica_loads_in_its_models_own_type(name, tmp_path):
    """The weights are those of the file; they are float16 there, and float32 in the net."""
    stored = load_file(shipped.FOLDER / name / "weights.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {np.dtype(np.float16)}
    for replica, net in enumerate(load.load_all(Path(name))):
        kernel = net.variables["params"]["head"]["kernel"]
        assert kernel.dtype == np.float32
        np.testing.assert_array_equal(kernel, stored["params/head/kernel"][replica])
    assert replica + 1 == RunFolder(shipped.FOLDER / name).summary()["seeds"]
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", NAMES)
def test_its_figures_are_those_of_the_results(name):
    """Of the very weights that are shipped; rounding them changed next to nothing."""
    run = RunFolder(shipped.FOLDER / name)
    summary = run.summary()
    [row] = [row for row in ROWS if row["config"] == run.read("config.json") and row["final"] == summary["final"]]
    assert row["n"] == summary["seeds"]
    assert row["commit"] == run.environment()["commit"]
    assert not row["synthetic"]
    for split, metrics in summary["final"].items():
        for metric, rounded in metrics.items():
            trained = summary["final_float32"][split][metric]
            np.testing.assert_allclose(rounded["values"], trained["values"], rtol=0, atol=TOLERANCE[metric])
    assert len(ROWS) == len(NAMES)


FILES = ("config.json", "environment.json", "net.json", "weights.safetensors", "summary.json", "SHA256SUMS")


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_is_refused(file, tmp_path, monkeypatch):
    copy = shutil.copytree(shipped.FOLDER, tmp_path / "nets")
    monkeypatch.setattr(shipped, "FOLDER", copy)
    content = bytearray((copy / "letters" / file).read_bytes())
    assert jaxnets.load("letters")
    for place in (0, len(content) // 2, len(content) - 2):
        changed = content.copy()
        changed[place] ^= 1
        (copy / "letters" / file).write_bytes(changed)
        with pytest.raises(jaxnets.UserError, match="is damaged: it is not what the run wrote"):
            load.load(Path("letters")), RunFolder(copy / "letters").summary(), RunFolder(copy / "letters").environment()


def test_letters_are_read():
    """Glyphs of our own, by fonts that come with matplotlib; guessing is right once in 36."""
    drawn = glyphs36.draw(np.random.default_rng(5), 360)
    probabilities = jaxnets.load("letters")(drawn["image"])
    assert (probabilities.argmax(1) == drawn["label"]).mean() > 0.8


def test_pictures_and_their_mirror_images_are_much_the_same():
    """The net learned from both; it never saw pictures upside down."""
    pictures = shapes.draw(np.random.default_rng(5), 200)["image"]
    for replica in range(3):
        net = jaxnets.load("lenet", replica)
        answers = net(pictures)
        np.testing.assert_allclose(answers.sum(1), 1, rtol=1e-5)
        mirrored, turned = (net(others) for others in (pictures[:, :, ::-1], pictures[:, ::-1]))
        assert np.abs(mirrored - answers).mean() < np.abs(turned - answers).mean()


def test_names_are_of_their_alphabet_and_nationality(capsys):
    """Italian names end in vowels, others less often."""
    ending = {}
    for category in ("Italian", "English"):
        status, names, _ = ask(capsys, "sample", "names", "--category", category, "--start", "B", "--number", "200")
        assert status == 0
        assert set("".join(names)) <= set(string.ascii_letters + " .,;'-")
        assert all(name.startswith("B") for name in names)
        ending[category] = np.mean([name[-1] in "aeiou" for name in names])
    assert ending["Italian"] > ending["English"] + 0.3


SENTENCES = (
    ("Je suis fatigué.", "i m tired ."),
    ("je suis pret .", "i m ready ."),
    ("elle est tres belle .", "she is very beautiful ."),
)


def test_sentences_are_translated(capsys):
    assert ask(capsys, "translate", "je suis fatigué .", "il est ici .")[:2] == (2, [])  # The first of several is RUN.
    for french, english in SENTENCES:
        assert ask(capsys, "translate", french) == (0, [english], "")
        assert ask(capsys, "translate", "translate", french)[1] == [english]


def test_the_list_tells_what_they_are_and_where_their_data_comes_from(capsys):
    status, lines, _ = ask(capsys, "nets")
    assert status == 0
    for name in NAMES:
        [line] = [line for line in lines if line.startswith(f"{name} ")]
        dataset = load.experiment(Path(name)).dataset
        assert dataset in line
        [source] = [line for line in lines if line.startswith(f"  {dataset}: ")]
        assert catalog.get(dataset).description in source
    assert "CC BY 2.0 FR" in "\n".join(lines)
    found = {net["name"]: net for net in json.loads("\n".join(ask(capsys, "nets", "--json")[1]))}
    assert list(found) == NAMES
    for name, net in found.items():
        assert net["test"] == RunFolder(shipped.FOLDER / name).summary()["final"]["test"]


def test_text_is_continued_in_english_words(capsys):
    text = "\n".join(ask(capsys, "sample", "shakespeare", "--prompt", "ROMEO:", "--length", "600", "--number", "3")[1])
    words = re.findall("[a-z]+", text.lower())
    common = "the and to of i you my a that in is not for with me it be your his this but he have as thou him so".split()
    assert np.mean([word in common for word in words]) > 0.15


def test_every_seed_is_asked_for_a_picture(capsys, tmp_path):
    Image.fromarray(shapes.draw(np.random.default_rng(0), 1)["image"][0]).resize((90, 70)).save("picture.png")
    status, [line], _ = ask(capsys, "classify", "lenet", "picture.png")
    assert status == 0
    assert line.split()[0] in catalog.get("cifar10").contents.meta["class_names"]
    assert "±" in line  # Three seeds were asked.


def test_a_run_of_that_name_comes_first(capsys, tmp_path):
    """A folder without a run does not."""
    (tmp_path / "translate").mkdir()
    assert ask(capsys, "translate", "translate", "je suis desole .")[1] == ["i m sorry ."]
    shutil.copytree(shipped.FOLDER / "letters", tmp_path / "translate", dirs_exist_ok=True)
    assert "this net cannot translate; use `jaxnets classify`" in ask(capsys, "translate", "translate", "je suis ici .")[2]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("sample", "letter"), "letter: no such run; did you mean letters?"),
        (("export", "detector"), f"detector: no such run; the nets that come with jaxnets are {', '.join(NAMES)}"),
        (("classify", 5000 * "x", "picture.png"), "run is not a valid path"),
        (("translate",), "translate needs a sentence"),
        (("translate", "translate"), "translate needs a sentence"),
        (("translate", 5000 * "x"), "is not among the"),
        (("ocr",), "ocr reads one page, not 0"),
        (("ocr", "letters"), "ocr reads one page, not 0"),
        (("ocr", "letters", "a.png", "b.png"), "ocr reads one page, not 2"),
        (("ocr", "nowhere.png"), "nowhere.png: no such file"),
    ],
)
def test_mistakes_are_one_line(capsys, args, message):
    status, lines, error = ask(capsys, *args)
    assert (status, lines) == (2, [])
    assert message in error
    assert len(error.splitlines()) == 1


def test_what_is_made_of_them_is_written_here(capsys, tmp_path):
    status, lines, _ = ask(capsys, "export", "letters")
    assert status == 0
    assert {(tmp_path / line).relative_to(tmp_path).parts[:2] for line in lines} == {("letters", "export")}

"""What the trials share: small runs, and how many trials there are.

The suite has a short form of them; `make test-reliability` sets JAXNETS_RELIABILITY=full.
"""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from jaxnets import cli, registry
from tests.conftest import few_shapes_in

FULL = os.environ.get("JAXNETS_RELIABILITY") == "full"
SMALL = {
    "image": ("cifar10/gray_cnn/best", "--model.width", "4", "--data.batch-size", "40"),
    "names": ("names/char_rnn", "--model.hidden", "8"),
}
MORE = {
    "conditional": ("names/conditional_rnn", "--model.hidden", "8"),
    "reviews": ("imdb/best", "--model.hidden", "8", "--model.layers", "1", "--data.max-length", "20"),
    "pairs": ("translate/best", "--model.hidden", "8"),
    "words": (
        *("word_lm/tiny_shakespeare", "--model.hidden", "8", "--model.embedding", "8", "--model.layers", "1"),
        *("--eval-batch-size", "40"),
    ),
}


@pytest.fixture(scope="session")
def full():
    """Whether this is the long form."""
    return FULL


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A data folder with the sets that the runs were trained on."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def runs(tmp_path_factory, store):
    """Folders of finished runs of two seeds, by name. Trials damage copies of them."""
    out = tmp_path_factory.mktemp("runs")
    with few_shapes_in(store):
        for id_, *options in {**SMALL, **(MORE if FULL else {})}.values():
            shared = ("--data.source", "synthetic", "--steps", "2", "--seeds", "2", "--out", str(out))
            assert cli.main(["run", id_, *shared, *options]) == 0
    return {name: out / id_ for name, (id_, *_) in {**SMALL, **(MORE if FULL else {})}.items()}


class Places:
    """What malformed calls are made of, and a folder for what they need."""

    def __init__(self, runs, store, picture, use_store):
        self.runs, self.store, self.picture, self.use_store = runs, store, picture, use_store
        self.document = registry.folder("documents") / "S1.toml"
        self.folder = Path.cwd()

    def fill(self, command):
        """A command with its placeholders, such as {names}, replaced by paths."""
        known = {**self.runs, "picture": self.picture}
        known.setdefault("conditional", self.runs["names"])
        return [str(known.get(part[1:-1], part)) if part.startswith("{") else str(part) for part in command]

    def asking(self, name, run):
        """The commands that use a run of this name."""
        run = str(run)
        return {
            "image": [
                *(["classify", run, str(self.picture)], ["visualize", run, "filters", "--out", str(self.folder)]),
                ["export", run, "--out", str(self.folder / "export")],
            ],
            "names": [["sample", run, "--number", "2"], ["export", run, "--out", str(self.folder / "export")]],
            "conditional": [["sample", run, "--category", "Arvan", "--number", "2"]],
            "reviews": [["classify", run, "The story is brilliant."]],
            "pairs": [["translate", run, "je suis triste"]],
            "words": [["sample", run, "--prompt", "we are", "--length", "2", "--number", "1"]],
        }[name]


@pytest.fixture
def places(runs, store, few_shapes, tmp_path, monkeypatch):
    """A folder of its own, in which the process is, with a good picture beside it."""
    (tmp_path / "trial").mkdir()
    picture = tmp_path / "good.png"
    Image.fromarray(few_shapes.splits["test"]["image"][0]).save(picture)
    monkeypatch.chdir(tmp_path / "trial")
    monkeypatch.setenv("JAXNETS_DATA", str(store))
    return Places(runs, store, picture, lambda path: monkeypatch.setenv("JAXNETS_DATA", str(path)))


@pytest.fixture
def anew(places):
    """A function that empties the folder of a trial and takes the usual store of data sets."""

    def empty():
        shutil.rmtree(places.folder)
        places.folder.mkdir()
        os.chdir(places.folder)
        places.use_store(places.store)

    return empty


@pytest.fixture(scope="session")
def seed():
    """Of the trials: the same each time, unless JAXNETS_RELIABILITY_SEED is another."""
    return int(os.environ.get("JAXNETS_RELIABILITY_SEED", "22"))

"""Finding experiments by id, family and file."""

import ast
import re
import sys

import pytest

from jaxnets import registry
from jaxnets.cli import run
from jaxnets.config import field_at
from jaxnets.errors import UserError

CONFIG_FILES = sorted(registry.config_folder().glob("*.py"))
LENETS = ("plain", "bn", "dropout", "bn_dropout", "l2", "super_badinit", "super", "best", "distilled", "spsa")


def test_a_family_id_means_all_its_variants():
    assert [e.id for e in registry.select(["cifar10/lenet"])] == [f"cifar10/lenet/{v}" for v in LENETS]


def test_naming_an_experiment_twice_runs_it_once():
    assert len(registry.select(["cifar10/lenet/super", "cifar10/lenet"])) == len(LENETS)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cifar10/lenet/supper", "cifar10/lenet/super"), ("cifar10/lent", "cifar10/lenet"), ("zzz", "jaxnets list")],
)
def test_an_unknown_id_suggests_the_nearest(name, hint):
    with pytest.raises(UserError, match=hint):
        registry.select([name])


MINE = """
from __future__ import annotations

import dataclasses

import beside
from jaxnets.registry import all_experiments


@dataclasses.dataclass
class Choice:
    rate: float = beside.RATE


def experiments() -> list[Experiment]:
    base = all_experiments()["names/best"]
    return [dataclasses.replace(base, id="mine", optim=dataclasses.replace(base.optim, lr=Choice().rate))]
"""


@pytest.mark.parametrize("folder", ["plain", "with: colons", "[brackets] *"])
def test_a_config_file_is_a_program_like_others(tmp_path, folder):
    """With a dataclass, postponed annotations, and an import of what lies beside it; its path may be any."""
    path = tmp_path / folder / "mine.py"
    path.parent.mkdir()
    path.write_text(MINE)
    path.with_name("beside.py").write_text("RATE = 0.125")
    before = list(sys.path)
    for name in (str(path), f"{path}:mine"):
        [found] = registry.select([name])
        assert (found.id, found.optim.lr) == ("mine", 0.125)
    with pytest.raises(UserError, match=r"mine\.py has no experiment 'yours'"):
        registry.select([f"{path}:yours"])
    assert sys.path == before


@pytest.mark.parametrize("ending", ["import sys; sys.exit()", "raise SystemExit(3)"])
def test_what_ends_the_program_is_named(tmp_path, monkeypatch, ending):
    (tmp_path / "ending.py").write_text(ending)
    with pytest.raises(UserError, match=r"ending\.py: it ends the program"):
        registry.select([str(tmp_path / "ending.py")])
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="a config names 'ending:loss', which cannot be imported"):
        registry.resolve("ending:loss")


# Their reports list no layers, or the layers for another vocabulary; or these are our networks next to the reported ones.
WITHOUT_COUNT = (
    "mnist_rows/",
    "names/conditional_rnn",
    "names/best",
    "text/",
    "word_lm/wikitext2",
    "imdb/best",
    "translate/best",
    "cifar10/gray_cnn/",
    "cifar10/cnn",
    "nist36/cnn",
    "nist36/best",
    "nist36/autoencoder_best",
    "study/spsa/head",
    "study/spsa/scales",
    "sun/bow",
)


def test_every_experiment_names_its_source_and_reported_parameters():
    for experiment in registry.all_experiments().values():
        assert experiment.source[:2] in ("S0", "S1", "S2", "S3", "S4")
        assert ("parameters" in experiment.reported) != experiment.id.startswith(WITHOUT_COUNT), experiment.id


REPORTED = re.compile(
    r"epochs|parameters|initial_loss|gpu_seconds|gpu_utilization|gpu_memory_gb"
    r"|(train|validation|test)_(accuracy|loss|psnr|nearest_accuracy)|test_accuracy/\w+"
)


def test_fitted_settings_exist_and_name_what_is_reported():
    for experiment in registry.all_experiments().values():
        for path, measures in experiment.fitted.items():
            assert field_at(experiment, path) is not None
            assert measures, (experiment.id, path)
            assert set(measures) <= experiment.reported.keys(), (experiment.id, path)


def test_reported_figures_have_names_that_tables_know():
    for experiment in registry.all_experiments().values():
        assert [name for name in experiment.reported if not REPORTED.fullmatch(name)] == [], experiment.id


@pytest.mark.parametrize("file", CONFIG_FILES, ids=lambda file: file.stem)
def test_every_config_file_states_command_sources_and_expectations(file):
    text = ast.get_docstring(ast.parse(file.read_text()))
    assert "    jaxnets run " in text
    assert re.search(r"^(Stated in the reports?|Inferred from)", text, re.MULTILINE)
    assert re.search(r"^(Expected|Not run)", text, re.MULTILINE)
    family = {id_.split("/")[0] for id_ in registry.family(file.stem)}
    assert all(name in text for name in family)


@pytest.mark.parametrize("file", CONFIG_FILES, ids=lambda file: file.stem)
def test_the_commands_of_config_files_are_valid(file, monkeypatch):
    """Comments follow after two spaces or more."""
    started = []
    monkeypatch.setattr(run, "_train_all", lambda runs: started.extend(runs) or 0)
    commands = re.findall(r"^    jaxnets run (.+?)(?:  |$)", ast.get_docstring(ast.parse(file.read_text())), re.MULTILINE)
    for command in commands:
        started.clear()
        assert run.run(command.split()) == 0
        assert started
    assert commands


def test_a_user_can_have_config_files(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import replace\n"
        "from jaxnets.registry import all_experiments\n"
        "def experiments():\n"
        "    base = all_experiments()['cifar10/lenet/plain']\n"
        "    yield replace(base, id='mine/slow', epochs=3)\n"
        "    yield replace(base, id='mine/fast', epochs=1)\n"
    )
    assert [e.id for e in registry.select([str(file)])] == ["mine/slow", "mine/fast"]
    assert [e.epochs for e in registry.select([f"{file}:mine/fast"])] == [1]
    with pytest.raises(UserError, match="no experiment 'mine/other'"):
        registry.select([f"{file}:mine/other"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def experiments(:\n", "line 1: "),
        ("import nothing_of_that_name\n", "ModuleNotFoundError"),
        ("x = 1\n", "experiments"),
        ("def experiments():\n    return []\n", "yields nothing"),
    ],
)
def test_broken_config_files_are_named(tmp_path, text, message):
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(UserError, match=r"broken\.py.*" + message):
        registry.select([str(file)])


def test_a_missing_config_file_is_named():
    with pytest.raises(UserError, match=r"nowhere\.py: no such file"):
        registry.select(["nowhere.py"])

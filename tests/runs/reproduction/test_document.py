"""The documents: what they name exists, what the catalogue reports stands in them, mistakes are named."""

import dataclasses
import re

import pytest

from jaxnets import registry
from jaxnets.errors import UserError
from jaxnets.runs.reproduction import document

DOCUMENTS = {name: document.load(name) for name in document.names()}
MEASURE = re.compile(
    r"(train|validation|test)_(accuracy|loss|psnr|bleu|nearest_accuracy)(/\w+|@\d+)?|(train|validation)_gap"
    r"|initial_loss|steps_above_chance|epochs_to_best|fluctuation|parameters|gpu_(seconds|memory_gb|utilization)"
)
HEAD = 'title = "t"\nwhat = "w"\n'


def test_there_are_five():
    assert list(DOCUMENTS) == ["S0", "S1", "S2", "S3", "S4"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_measures_are_those_that_evidence_has(name):
    measures = [m for item in DOCUMENTS[name].items for m in item.measures]
    for claim in DOCUMENTS[name].claims:
        measures += [m for c in claim.compare for m in (c.measure, c.than_measure) if m]
    assert [m for m in measures if not MEASURE.fullmatch(m)] == []


def test_every_reported_figure_stands_in_a_table_of_its_document():
    """Epochs aside, which tell how long a run is; of study/init the rows are those of the nets it repeats."""
    for experiment in registry.all_experiments().values():
        if experiment.id.startswith("study/init") or experiment.id == "imdb/best":
            continue
        tables = [
            item for item in DOCUMENTS[experiment.source[:2]].items if any(row.of == experiment.id for row in item.rows)
        ]
        shown = {m for item in tables for m in item.measures}
        reported = {m for m in experiment.reported if m not in ("epochs", "parameters")}
        assert reported <= shown, experiment.id


def test_s4_has_its_tables_and_figures_in_order():
    ids = [item.id for item in DOCUMENTS["S4"].items]
    assert [id_ for id_ in ids if id_.startswith("table")] == [f"table{i}" for i in range(1, 9)]
    figures = [id_ for id_ in ids if re.fullmatch(r"figure\d+", id_)]
    assert figures == [f"figure{i}" for i in (*range(8, 39), 42, 43, 44, 46, 47, 48, 49)]


def test_the_ten_claims_of_the_catalogue_are_there():
    numbers = {int(re.match(r"claim(\d+)", c.id)[1]) for name in ("S2", "S3", "S4") for c in DOCUMENTS[name].claims}
    assert set(range(1, 11)) <= numbers


def test_the_reported_confusion_matrix_has_the_reported_accuracies():
    """Rows hold a thousand images; one row of the report sums to 1001 and more, as printed."""
    [item] = [item for item in DOCUMENTS["S0"].items if item.confusion]
    reported = registry.all_experiments()["cifar10/tutorial_net"].reported
    classes = [name for name in reported if name.startswith("test_accuracy/")]
    assert [row[i] / 10 for i, row in enumerate(item.confusion)][:9] == [reported[name] for name in classes][:9]


def test_parts_are_selected_by_id_and_mistakes_suggest_the_nearest():
    assert [part.id for part in DOCUMENTS["S4"].select(["claim3", "table1"])] == ["claim3", "table1"]
    assert len(DOCUMENTS["S4"].select([])) == len(DOCUMENTS["S4"].parts)
    with pytest.raises(UserError, match="S4 has no tabel1: did you mean table1"):
        DOCUMENTS["S4"].select(["tabel1"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "Invalid value"),
        ('title = "t"\n', "what is missing"),
        (HEAD + '[[item]]\nid = "a"\ntitle = "t"\ncolour = 1\n', "colour"),
        (HEAD + '[[item]]\nid = "a"\ntitle = "t"\nof = ["cifar10/lenet/plane"]\n', "did you mean cifar10/lenet/plain"),
        (HEAD + '[[item]]\nid = "a"\ntitle = "t"\ndraw = ["colors"]\n', "cannot draw 'colors'"),
        (HEAD + 2 * '[[item]]\nid = "a"\ntitle = "t"\n', "a occurs twice"),
        (
            HEAD
            + '[[claim]]\nid = "c"\nsays = "s"\nsection = ""\ncompare = [{ of = "cifar10/cnn", measure = "test_loss" }]\n',
            "needs more_than or less_than",
        ),
    ],
)
def test_a_document_of_ones_own_is_checked(tmp_path, text, message):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=rf"mine\.toml: .*{message}"):
        document.load(str(file))


def test_the_number_of_seeds_is_that_of_the_longest_prefix():
    s4, known = DOCUMENTS["S4"], registry.all_experiments()
    of = lambda id_: s4.planned_seeds(known[id_])
    assert [of("cifar10/lenet/plain"), of("tiny_imagenet/lenet/plain"), of("imdb/lstm")] == [8, 3, 1]
    narrower = dataclasses.replace(s4, seeds={"cifar10": 2, "cifar10/lenet": 5, "cifar10/len": 9})
    assert narrower.planned_seeds(known["cifar10/lenet/plain"]) == 5
    for loaded in DOCUMENTS.values():
        assert all(registry.select([id_]) for id_ in loaded.seeds)


def test_an_unknown_document_is_named():
    with pytest.raises(UserError, match="no document 'S9': choose from S0, S1"):
        document.load("S9")

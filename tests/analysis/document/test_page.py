"""Pages of documents, from committed results and from runs that the command makes."""

import dataclasses
import json
import re
from types import SimpleNamespace

import pytest

from jaxnets import cli
from jaxnets.analysis.document import page, tables
from jaxnets.analysis.report.tables import NOTHING
from jaxnets.cli import parse, reproduce
from jaxnets.errors import UserError
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.reproduction import claims, document, evidence, pace, plan
from tests.runs.reproduction.evidence_made import record

OWN = """
title = "Two nets"
what = "A document of one's own."
[[item]]
id = "table1"
title = "Two LeNets"
measures = ["test_accuracy", "initial_loss", "gpu_seconds", "parameters"]
rows = [{ label = "plain", of = "cifar10/lenet/plain" }, { label = "BN", of = "cifar10/lenet/bn" }]
[[item]]
id = "figures2and3"
title = "By epoch"
of = ["cifar10/lenet/bn"]
draw = ["accuracy", "loss", "first_steps", "filters", "confusion"]
[[claim]]
id = "claim1"
says = "BN helps."
section = "1"
measure = "test_accuracy"
compare = [{ of = "cifar10/lenet/bn", than = "cifar10/lenet/plain", more_than = 0 }]
"""


def text_of(path):
    """The text of a page without its pictures."""
    return re.sub(r'src="[^"]*"', "", path.read_text())


def test_a_page_of_committed_results_has_every_part_in_order(tmp_path):
    loaded = document.load("S3")
    html = text_of(page.write(loaded, tmp_path))
    places = [html.index(f'<h2 id="{item.id}">') for item in loaded.items]
    assert places == sorted(places)
    assert "68.19" in html
    assert "(synthetic)" not in html
    ledger = json.loads((tmp_path / "S3" / "claims.json").read_text())
    assert [entry["id"] for entry in ledger] == [claim.id for claim in loaded.claims]
    assert all(entry["verdict"] in html for entry in ledger)
    assert (tmp_path / "S3" / "figure1-0.png").exists()
    assert "68.19" in (tmp_path / "S3" / "tables.md").read_text("utf-8")


def test_every_document_makes_a_page_without_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "committed", list)
    for name in document.names():
        html = text_of(page.write(document.load(name), tmp_path))
        assert "reproduced</td>" not in html
        assert "not run" in html


def test_cells_have_mean_deviation_and_interval():
    plain = "cifar10/lenet/plain"
    item = document.Item("t", "", measures=("test_accuracy", "initial_loss"), rows=(document.Row("LeNet", plain),))
    experiment = dataclasses.replace(document.experiment(plain), fitted={})
    known = {plain: evidence.of(experiment, [record(plain, [0.58, 0.59, 0.60])])}
    [line] = tables.lines(item, known)
    assert line.runs == "3 seeds"
    assert line.cells[0] == ("58.98", "59.00 ± 1.00\n[56.52, 61.48]", "reproduced")
    assert line.cells[1].reported == NOTHING
    [spread] = tables.spreads(item, known)
    assert spread == ["LeNet", "test %", "1.00", f"{100 * (0.59 * 0.41 / 200) ** 0.5:.2f}", "0.00"]


def test_the_probability_of_the_better_row():
    ids = ("cifar10/lenet/plain", "cifar10/lenet/bn")
    item = document.Item("t", "", measures=("test_accuracy",), rows=tuple(document.Row(id_, id_) for id_ in ids))
    runs = [record(ids[0], [0.5, 0.6]), record(ids[1], [0.55, 0.7])]
    _, labels, body = tables.better(item, {id_: evidence.of(document.experiment(id_), runs) for id_ in ids})
    assert labels == list(ids)
    assert body == [[ids[0], NOTHING, "0.25"], [ids[1], "0.75", NOTHING]]


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory, few_shapes, engines_built_once):
    """A shortened synthetic reproduction of a document of one's own: (folder, commands that were run)."""
    folder, commands = tmp_path_factory.mktemp("reproduced"), []
    (folder / "mine.toml").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "measure", lambda experiment: pace.Pace(0.01, 1.0, measured=True))
        patch.setattr(reproduce, "_run", lambda command: commands.append(command[3:]) or cli.main(command[3:]))
        for only in ("table1", "figures2and3,claim1"):
            assert cli.main([*arguments(folder), "--only", only]) == 0
    return folder, commands


def arguments(folder):
    options = ["--data.source", "synthetic", "--steps", "2", "--eval-examples", "60", "--seeds", "2"]
    return ["reproduce", str(folder / "mine.toml"), *options, "--out", str(folder / "out")]


def test_what_is_there_is_not_trained_again(reproduced):
    folder, commands = reproduced
    assert sorted(command[1] for command in commands) == ["cifar10/lenet/bn", "cifar10/lenet/plain"]
    assert RunFolder(folder / "out" / "seed-0" / "cifar10/lenet/bn").finished
    assert (folder / "out" / "mine" / "index.html").exists()
    assert not (
        folder / "out" / "mine" / "tables.md"
    ).exists()  # Synthetic figures beside reported ones, without a page's marks.


def test_a_synthetic_page_says_so_everywhere_and_compares_nothing(reproduced):
    folder, _ = reproduced
    html = text_of(folder / "out" / "mine" / "index.html")
    headings = re.findall(r"<h[12][^>]*>(.*?)</h", html)
    assert all("(synthetic)" in heading for heading in headings[:-2])
    assert html.count("other data") >= 4
    assert "cannot be compared" in html
    assert not re.search(r"(reproduced|ours higher|ours lower)</td>", html)
    assert re.search(r"(holds|undecided at n = 2|does not hold) on synthetic data", html)
    assert "filters of the first convolution" in html
    assert "loss of the first steps" in html


def test_a_page_of_real_data_ignores_synthetic_runs(reproduced, monkeypatch):
    folder, _ = reproduced
    monkeypatch.setattr(evidence, "committed", list)
    html = text_of(page.write(document.load(str(folder / "mine.toml")), folder / "out"))
    assert "not run" in html
    assert "2 seeds" not in html


def test_parts_share_the_work_out_and_time_limits_it(tmp_path, monkeypatch, capsys, few_shapes):
    (tmp_path / "mine.toml").write_text(OWN)
    commands = []
    monkeypatch.setattr(pace, "measure", lambda experiment: pace.Pace(0.01, 1.0, measured=True))
    monkeypatch.setattr(reproduce, "_run", lambda command: commands.append(command[4]) or 0)
    for part in ("1/2", "2/2"):
        assert cli.main([*arguments(tmp_path), "--part", part]) == 0
    assert commands == ["cifar10/lenet/plain", "cifar10/lenet/bn"]
    capsys.readouterr()
    assert cli.main([*arguments(tmp_path), "--hours", "0.0005"]) == 0
    assert "not in 0.0005 h" in capsys.readouterr().out
    assert len(commands) == 2


def test_a_run_of_another_process_is_left_to_it(tmp_path, capsys):
    wish = plan.wish(document.experiment("cifar10/lenet/plain"), {}, {"steps": 2})
    job = plan.Job(wish, 0, 3, tmp_path, 1.0, measured=True)
    other = job.folder
    other.open(wish.experiment, {"devices": {}})
    assert reproduce._train([job], None) == 0
    assert "another process is training it" in capsys.readouterr().out
    other.close()
    assert not job.folder.busy


def test_every_look_of_a_part_is_at_its_own_share(tmp_path, monkeypatch):
    """An experiment belongs to one part, whatever that part sees decided."""
    (tmp_path / "mine.toml").write_text(OWN)
    looks = {"1/2": [], "2/2": []}
    undecided = lambda loaded, known: [SimpleNamespace(claim=loaded.claims[0], decision="undecided")]
    monkeypatch.setattr(evidence, "committed", list)
    monkeypatch.setattr(claims, "ledger", undecided)
    monkeypatch.setattr(page, "write", lambda *_, **__: tmp_path)
    monkeypatch.setattr(reproduce, "_plan", lambda options, loaded, ids, *_: looks[options.part].append(ids) or [])
    for part in looks:
        arguments = ["--hours", "1", "--part", part, "--out", str(tmp_path / "out")]
        assert cli.main(["reproduce", str(tmp_path / "mine.toml"), *arguments]) == 0
    assert looks == {"1/2": [["cifar10/lenet/plain"]] * claims.LOOKS, "2/2": [["cifar10/lenet/bn"]] * claims.LOOKS}


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "a/b"])
def test_a_part_is_k_of_n(part):
    with pytest.raises(UserError, match=r"part must be K/N"):
        parse.part(part)

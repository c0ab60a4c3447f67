"""Memory of runs as processes: what the system counts, and what is made of it."""

import json
import os

import pytest

from benchmarks import run_memory
from jaxnets.errors import UserError


def test_what_a_process_holds_at_most_is_counted():
    held = "block = b'x' * 300_000_000; del block"
    more = run_memory.resident(["-c", held], os.environ) - run_memory.resident(["-c", "pass"], os.environ)
    assert more == pytest.approx(300e6, rel=0.05)


def test_a_process_that_fails_is_named():
    with pytest.raises(UserError, match=r"^-c raise .*: status 1: it is full$"):
        run_memory.resident(["-c", "raise SystemExit('it is full')"], os.environ)


@pytest.mark.slow
def test_a_run_holds_more_than_the_libraries_alone():
    small = ["--data.source", "synthetic", "--data.batch-size", "20", "--model.hidden", "4"]
    row = run_memory.row("nist36/mlp", 2, small)
    assert row["imported_bytes"] < row["resident_bytes"] < 4e9
    assert row["program_bytes"] < row["resident_bytes"]
    assert (row["dataset"], row["seeds"], row["n"]) == ("glyphs36", 2, 1)


def test_rows_of_a_file_are_shown_and_not_measured_again(tmp_path, monkeypatch, capsys):
    row = {"kind": "run memory", "id": "mine", "dataset": "mnist", "parameters": 1234}
    row |= {"program_bytes": 170e6, "resident_bytes": 1.4e9, "imported_bytes": 165e6}
    measured = []
    monkeypatch.setattr(run_memory, "row", lambda id_, seeds: measured.append(seeds) or row | {"seeds": seeds})
    file = tmp_path / "rows.jsonl"
    for _ in range(2):
        assert run_memory.main(["mine", "--json", str(file)]) == 0
    assert measured == [*run_memory.SEEDS]
    assert [json.loads(line)["seeds"] for line in file.read_text().splitlines()] == measured
    assert "| mine | mnist | 8 | 1,234 | 170 | 1,400 | 165 |" in capsys.readouterr().out

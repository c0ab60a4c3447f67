"""Times of SPSA and its peers: what is run in a round, and what is made of its seconds."""

import json

import numpy as np
import pytest

from benchmarks import harness, spsa_peers, spsa_times
from benchmarks.harness import Timing
from jaxnets.errors import UserError

NAME = "noisy quadratic, 10"


def test_a_step_is_a_run_of_all_evaluations(monkeypatch, calls):
    """Of each candidate, whatever the seed: counted where the function is in NumPy."""
    monkeypatch.setattr(spsa_times, "OURS", {"jaxnets": spsa_peers.OURS["jaxnets"]})
    monkeypatch.setattr(spsa_times, "PEERS", {"Spall in NumPy": spsa_peers.PEERS["Spall in NumPy"]})
    found = spsa_times.candidates(NAME, evaluations=100)
    assert list(found) == ["the function", "jaxnets", "Spall in NumPy"]
    for name, count in (("the function", 200), ("Spall in NumPy", 200), ("jaxnets", 0)):
        calls.clear()
        found[name].run(2)
        assert len(calls) == count


def test_what_takes_too_long_is_left_out():
    assert "Qiskit" not in spsa_times.candidates("noisy quadratic, 10,000")


def test_seconds_become_microseconds_an_evaluation(tmp_path, monkeypatch, capsys):
    seconds = np.array([1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0])
    timings = {"the function": Timing(0, tuple(seconds / 1000)), "jaxnets": Timing(0, tuple(seconds), disturbed=2)}
    asked = []

    def interleave(candidates, rounds, single_step):
        asked.append((list(candidates), rounds, single_step))
        return timings

    monkeypatch.setattr(harness, "interleave", interleave)
    file = tmp_path / "rows.jsonl"
    for _ in range(2):  # The second time it is only shown.
        assert spsa_times.main([NAME, "--json", str(file), "--rounds", "7"]) == 0
    [(methods, rounds, single_step)] = asked
    assert (methods[:2], rounds, single_step) == (["the function", "jaxnets"], 7, True)
    [row] = map(json.loads, file.read_text().splitlines())
    assert row["microseconds"] == {"the function": pytest.approx(4.0), "jaxnets": pytest.approx(4000.0)}
    assert (row["n"], row["disturbed_rounds"], row["evaluations"]) == (7, 2, 500)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "| µs an evaluation | the function | jaxnets |"
    assert shown[2] == shown[5] == f"| {NAME} | 4.0 ± 2.0 (noisy) | 4,000.0 ± 2,000.0 (noisy) |"


def test_bad_arguments_are_named():
    with pytest.raises(UserError, match="unknown problem 'nosuch'"):
        spsa_times.main(["nosuch"])
    with pytest.raises(UserError, match="at least 7 rounds, got 3"):
        spsa_times.main([NAME, "--rounds", "3"])

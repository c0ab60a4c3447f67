"""SPSA beside its peers: every method gets the same number of evaluations, and rows become a table."""

import json
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import spsa_memory, spsa_peers
from jaxnets.errors import UserError


@pytest.mark.parametrize("name", spsa_peers.PROBLEMS)
def test_a_problem_has_the_same_values_for_all_methods(name):
    problem = spsa_peers.PROBLEMS[name]()
    x = problem.start + np.random.default_rng(0).normal(size=problem.start.shape)
    assert float(problem.value(jnp, jnp.asarray(x, jnp.float32))) == pytest.approx(float(problem.value(np, x)), rel=1e-4)


def test_spall_in_numpy_descends_with_all_its_evaluations(calls):
    problem = spsa_peers.PROBLEMS["noisy quadratic, 10"]()
    end = spsa_peers._spall(problem, 400, seed=0)
    assert len(calls) == 400
    assert problem.value(np, end) < problem.value(np, problem.start) / 10


def test_missing_packages_are_left_out(monkeypatch, capsys):
    monkeypatch.setattr(spsa_peers, "SEEDS", 2)
    monkeypatch.setattr(spsa_peers, "OURS", {"jaxnets": spsa_peers.OURS["jaxnets"]})
    for package in ("qiskit_algorithms", "qiskit_algorithms.optimizers", "nevergrad"):
        monkeypatch.setitem(sys.modules, package, None)
    rows = list(spsa_peers.measure("noisy quadratic, 10", evaluations=400, seeds=2))
    assert [row["method"] for row in rows] == ["jaxnets", "Spall in NumPy"]
    assert all(len(row["values"]) == 2 and max(row["values"]) < row["start"] / 2 for row in rows)
    assert "Qiskit is left out" in capsys.readouterr().err
    last = spsa_peers.table(rows).splitlines()[-1]
    assert last.startswith("| noisy quadratic, 10 | 2.75 | ")


def test_the_quartic_starts_where_spall_does_and_has_its_minimum_at_0():
    problem = spsa_peers.PROBLEMS["Spall's quartic, 10"]()
    assert problem.value(np, problem.start) == pytest.approx(4.178, abs=1e-3)
    assert problem.value(np, np.zeros(10)) == 0


def test_what_a_file_has_is_not_measured_again(tmp_path, monkeypatch, capsys):
    calls = []
    one = lambda problem, evaluations, seed: calls.append(seed) or problem.start
    monkeypatch.setattr(spsa_peers, "OURS", {})
    monkeypatch.setattr(spsa_peers, "PEERS", {"first": one, "second": one})
    monkeypatch.setattr(spsa_peers, "PACKAGES", {"second": ("pytest",)})
    file = tmp_path / "rows.jsonl"
    assert spsa_peers.main(["error count, 20", "--json", str(file)]) == 0
    assert calls == 2 * list(range(spsa_peers.SEEDS))
    lines = file.read_text().splitlines()
    assert [json.loads(line)["versions"].get("pytest") for line in lines] == [None, pytest.__version__]
    file.write_text(lines[1] + "\n")
    assert spsa_peers.main(["error count, 20", "--json", str(file)]) == 0
    assert len(calls) == 3 * spsa_peers.SEEDS
    assert sorted(file.read_text().splitlines()) == sorted(lines)
    first, second = capsys.readouterr().out.split("| problem")[1:]
    assert first == second


def test_scratch_of_evaluations_in_turn_does_not_grow_with_perturbations():
    axis, size, config, shape = next(case for case in spsa_memory.cases() if case[:2] == ("LeNet, batch", 32))
    of = {rule: spsa_memory.scratch_bytes(spsa_memory.RULES[rule], config, shape) for rule in list(spsa_memory.RULES)[3:]}
    together, in_turn = (costs["scratch_bytes"] for costs in of.values())
    assert in_turn < together / 2
    rows = [{"axis": axis, "size": size, "rule": rule, **costs} for rule, costs in of.items()]
    assert spsa_memory.table(rows).splitlines()[-1].startswith("| LeNet, batch 32 |")


def test_factored_directions_cost_less_by_all_counts():
    of = {form: spsa_memory.low_rank_costs(form, 16, units=128) for form in spsa_memory.LOW_RANK}
    assert all(of["factored"][field] < of["whole"][field] / 2 for field in ("scratch_bytes", "bytes"))
    rows = [{"axis": "low rank", "size": 16, "rule": form, **costs} for form, costs in of.items()]
    assert spsa_memory.table(rows).splitlines()[-1].startswith("| 16 | ")


def test_an_unknown_problem_is_named():
    with pytest.raises(UserError, match="unknown problem 'nosuch': choose from Rosenbrock, 2; "):
        spsa_peers.main(["nosuch"])

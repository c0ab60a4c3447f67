"""Cases and rows of the comparison of kernels with XLA."""

import json

import jax
import numpy as np
import pytest

from benchmarks import harness, kernels
from jaxnets.errors import UserError
from jaxnets.nn import kernels as interface

needs_kernels = pytest.mark.skipif(
    interface.backend() != "native", reason="the CPU kernels were not compiled: no C++ compiler"
)


@needs_kernels
@pytest.mark.parametrize("name", kernels.CASES)
def test_one_side_is_the_kernel_and_the_other_is_not(name):
    case = kernels.CASES[name]
    operands = [jax.ShapeDtypeStruct(shape, np.float32) for shape in case.operands]

    def lowered(native):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(interface, "backend", lambda: "native" if native else "xla")
            return jax.jit(lambda *a: case.run(*a)).lower(*operands).as_text()

    programs = {native: lowered(native) for native in (True, False)}
    assert "@jaxnets_" in programs[True]
    assert "@jaxnets_" not in programs[False]


@needs_kernels
def test_a_row_for_each_case(monkeypatch, tmp_path, capsys):
    def fake(candidates, rounds):
        for candidate in candidates.values():
            candidate.run(1)
        return {name: harness.Timing(0, (k + 1.0,) * rounds) for k, name in enumerate(candidates)}

    monkeypatch.setattr(harness, "interleave", fake)
    monkeypatch.setattr(kernels, "choose_device", lambda name: None)
    assert kernels.main(["channel sums", "--json", str(tmp_path / "rows.jsonl"), "--rounds", "7"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["workload"] for row in rows] == [name for name in kernels.CASES if name.startswith("channel sums")]
    assert {"hardware", "versions", "commit", "n", "instruction_set"} <= set(rows[0])
    assert (rows[0]["ratio"], rows[0]["n"], rows[0]["noisy"]) == (2, 7, False)
    assert capsys.readouterr().out.count("| 2.0 |") == len(rows)


def test_an_unknown_kernel_is_refused():
    with pytest.raises(UserError, match="no case begins with 'pooling': names begin with convolution, "):
        kernels.main(["pooling"])
    with pytest.raises(UserError, match="at least 7 rounds"):
        kernels.main(["--rounds", "3"])

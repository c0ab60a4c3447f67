"""The rows of SPSA's gains, and their plot."""

import json

import numpy as np

from benchmarks import spsa_gains


def test_larger_perturbations_than_the_noise_and_a_calibrated_gain_end_lower(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(spsa_gains, "C", (0.01, 0.3))
    monkeypatch.setattr(spsa_gains, "A", (0.3, 1.0))
    measure = spsa_gains.measure
    monkeypatch.setattr(spsa_gains, "measure", lambda: measure(seeds=3, steps=400))
    file, plot = tmp_path / "rows.jsonl", tmp_path / "plot.png"
    assert spsa_gains.main(["--json", str(file), "--out", str(plot)]) == 0
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["rule"], row["c"]) for row in rows[-2:]] == [("calibrated", 0.01), ("calibrated", 0.3)]
    assert len(rows) == 6
    median = {(row["rule"], row["c"], str(row["a"])): np.median(row["values"]) for row in rows}
    assert median["fixed", 0.3, "0.3"] < median["fixed", 0.01, "0.3"]
    assert np.median(rows[-1]["values"]) < 1.0
    assert all(0.1 < a < 10 for a in rows[-1]["a"])
    first = capsys.readouterr().out
    plot.unlink()
    assert spsa_gains.main(["--json", str(file), "--out", str(plot)]) == 0
    assert capsys.readouterr().out == first
    assert plot.exists()
    assert len(file.read_text().splitlines()) == 6

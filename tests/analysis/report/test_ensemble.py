"""The seeds of a run asked together: their row in tables, and their calibration."""

import numpy as np

from jaxnets.analysis.report import plots, tables
from jaxnets.runs import predictions
from tests.analysis.report.run_made import make_run


def details(seeds):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500)
    logits = rng.normal(size=(seeds, 500, 10)) + 2 * np.eye(10)[labels]
    return predictions.describe(logits, labels, np.ones(seeds, bool))


def test_a_run_of_several_seeds_has_a_row_for_their_ensemble(tmp_path):
    summary = make_run(tmp_path, "cifar10/lenet/bn").summary()
    assert [row.id for row in tables.rows(summary)] == ["cifar10/lenet/bn"]
    summary["details"]["test"] = details(2)
    one, together = tables.rows(summary, "bn (here)")
    assert (one.id, together.id, together.seeds) == ("bn (here)", "bn (here), ensemble", "2 as one")
    assert together.parameters == 2 * one.parameters
    accuracy = summary["details"]["test"]["ensemble"]["accuracy"]
    assert together.metrics["test_accuracy"] == tables.Compared(ours=f"{100 * accuracy:.2f}")
    header, body = tables.cells([one, together], brief=True)
    assert body[1][header.index("train %")] == tables.NOTHING


def test_calibration_is_drawn_for_single_nets_and_their_ensemble():
    for seeds, lines in ((1, 2), (3, 3)):
        found = details(seeds)
        [axes] = plots.calibration(found).axes
        assert len(axes.lines) == lines
        shown = np.asarray(axes.lines[1].get_xydata())
        examples, right, confidence = np.asarray(found["reliability"])[np.asarray(found["reliability"])[:, 0] > 0].T
        np.testing.assert_allclose(shown, np.stack([100 * confidence / examples, 100 * right / examples], 1))

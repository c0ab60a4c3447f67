"""Power laws, rows and plots of how cost grows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import harness, scaling
from jaxnets.errors import UserError


@given(st.floats(0.01, 100), st.floats(-3, 3), st.lists(st.integers(1, 10**6), min_size=2, max_size=8, unique=True))
def test_the_slope_of_a_power_law_is_its_exponent(factor, exponent, sizes):
    costs = [factor * size**exponent for size in sizes]
    # Sizes close together tell little of the exponent.
    assert scaling.slope(sizes, costs) == pytest.approx(exponent, abs=1e-6 / np.ptp(np.log(sizes)))


@pytest.mark.parametrize(("sizes", "costs"), [([2], [1]), ([2, 2], [1, 3]), ([1, 2], [0, 1]), ([0, 2], [1, 1])])
def test_what_has_no_slope_is_refused(sizes, costs):
    with pytest.raises(ValueError, match="a power law needs"):
        scaling.slope(sizes, costs)


def fake_interleave(candidates, rounds):
    """Time grows as the square of the position, memory linearly; the largest does not fit."""
    fitting = list(candidates)[:-1]
    return {name: harness.Timing(0, ((k + 1) ** 2 / 1e3,) * rounds, 1000 * (k + 1)) for k, name in enumerate(fitting)}


@pytest.mark.parametrize("name", scaling.AXES)
def test_rows_and_a_plot_for_every_axis(name, monkeypatch, tmp_path):
    monkeypatch.setattr(harness, "interleave", fake_interleave)
    axis = scaling.AXES[name]._replace(sizes=scaling.AXES[name].sizes[:3])
    monkeypatch.setitem(scaling.AXES, name, axis)
    rows = scaling.measure(name, 7)
    sizes = [row["size"] for row in rows]
    assert len(rows) == 2
    assert sizes == sorted(set(sizes))
    assert [row["workload"] for row in rows] == [axis.workload(size).id for size in axis.sizes[:2]]
    assert {"axis", "workload", "device", "hardware", "versions", "commit", "n"} <= set(rows[0])
    assert [row["milliseconds"] for row in rows] == [1, 4]
    assert [row["peak_bytes"] for row in rows] == [1000, 2000]
    scaling.draw(rows, tmp_path / "plots" / "a.png")
    assert (tmp_path / "plots" / "a.png").stat().st_size > 1000


def test_mistakes_end_in_one_line(tmp_path):
    with pytest.raises(UserError, match="unknown axis 'depth': choose from batch, seeds, length, parameters"):
        scaling.main(["depth"])
    with pytest.raises(UserError, match="at least 7 rounds"):
        scaling.main(["batch", "--rounds", "2"])

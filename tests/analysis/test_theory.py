"""The checks of theory, against what is known of them."""

import jax
import numpy as np
import pytest

from jaxnets.analysis import theory

KEY = jax.random.key(0)


def test_softmax_is_shift_invariant_and_the_naive_formula_overflows():
    found = theory.softmax_shifts(KEY)
    assert all(ours < 1e-3 for ours, _ in found.values())
    assert found[10.0][1] < 1e-4
    assert np.isnan(found[1000.0][1])


@pytest.mark.parametrize(("activation", "bound"), [("sigmoid", 0.25), ("tanh", 1.0)])
def test_slopes_are_bounded(activation, bound):
    slope, at = theory.steepest(activation)
    assert slope == pytest.approx(bound, rel=1e-4)
    assert abs(at) < 0.02


def test_gradients_vanish_faster_through_sigmoids_than_through_tanh():
    first_to_last = {name: (n := theory.gradient_norms(name, 6, KEY))[0] / n[-1] for name in ("sigmoid", "tanh")}
    # Each sigmoid layer shrinks the gradient by its slope, 1/4 at most; Xavier weights keep its length about.
    assert first_to_last["sigmoid"] < 0.3**5
    assert first_to_last["tanh"] > 0.05
    shallow = theory.gradient_norms("sigmoid", 1, KEY)
    assert shallow[0] / shallow[-1] > 30 * first_to_last["sigmoid"]


def test_units_that_start_equal_stay_equal():
    equal, loss_equal = theory.distinct_units(True, KEY)
    distinct, loss_distinct = theory.distinct_units(False, KEY)
    assert (equal, distinct) == (1, 32)
    assert loss_distinct < 0.5 * loss_equal

"""NaN and infinities reach what depends on them and nothing else, in the kernels as in XLA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxnets.nn import kernels
from jaxnets.nn.cells import CELLS
from jaxnets.nn.pool import max_pool
from jaxnets.nn.rnn import rnn_scan
from tests.nn.test_conv import WIDE, operands, reference, value_and_grads
from tests.nn.test_rnn import gradients
from tests.nn.test_rnn import operands as sequences

BAD = (np.nan, np.inf, -np.inf)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    n=st.sampled_from([1, 7, 37]),
    h=st.integers(3, 6),
    window=st.integers(1, 3),
    stride=st.integers(1, 3),
)
def test_max_pool_and_its_gradient_are_those_of_xla(instruction_set, seed, n, h, window, stride):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.choice([*BAD, -1.0, 0.0, 1.0, 2.0], (n, h, h + 1, 2), p=[0.2, 0.1, 0.1, 0.15, 0.15, 0.15, 0.15]))
    y, pullback = jax.vjp(lambda x: max_pool(x, window, stride), x.astype(jnp.float32))
    theirs = lambda x: nn.max_pool(x, (window, window), (stride, stride))
    expected, expected_pullback = jax.vjp(theirs, x.astype(jnp.float32))
    np.testing.assert_array_equal(y, expected)
    dy = jnp.asarray(rng.integers(1, 9, y.shape), jnp.float32)
    np.testing.assert_array_equal(pullback(dy)[0], expected_pullback(dy)[0])


@pytest.fixture
def torch():
    """PyTorch. Before `instruction_set`, it skips a test that would make no program without it."""
    return pytest.importorskip("torch", reason="torch is not installed: agreement with PyTorch is not tested")


@pytest.mark.parametrize("instruction_set", kernels.INSTRUCTION_SETS, indirect=True)
def test_max_pool_hands_on_every_nan_as_torch_does(torch, instruction_set):
    """Wherever it lies in its window. XLA itself (jax 0.10.2) loses all of these on a CPU; narrower images keep them."""
    x = np.ones((9, 6, 6, 20), np.float32)
    for n in range(9):
        x[n, n // 3 :: 3, n % 3 :: 3] = np.nan
    theirs = torch.nn.functional.max_pool2d(torch.tensor(x.transpose(0, 3, 1, 2)), 3)
    np.testing.assert_array_equal(max_pool(jnp.asarray(x), 3), theirs.permute(0, 2, 3, 1))
    assert theirs.isnan().all()


# Inside the image, and the middle one of the taps: see below for what happens at its border.
PLACES = {"x": (0, (1, 2, 3, 0)), "w": (1, (1, 1, 0, 1)), "b": (2, (1,)), "dy": (3, (1, 1, 1, 1))}
DIRECT = (5, 7, 6, 3, 4)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("operand", PLACES)
@pytest.mark.parametrize(("shape", "stride"), [(DIRECT, 1), (DIRECT, 2), (WIDE, 1)])
def test_convolutions(instruction_set, shape, stride, operand, bad):
    geometry = {"stride": stride, "padding": ((1, 1), (1, 1))}
    args = [np.array(a) for a in operands(0, *shape, 3, 3, **geometry)]
    which, place = PLACES[operand]
    args[which][place] = bad
    with np.errstate(invalid="ignore"):
        expected = reference(*args, **geometry)
    for found, wanted in zip(value_and_grads(*map(jnp.asarray, args), **geometry), expected, strict=True):
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(wanted))
        # By fewer products an infinity may become a NaN, as the transforms subtract it from itself.
        if shape is not WIDE or np.isnan(bad):
            np.testing.assert_array_equal(np.where(np.isfinite(wanted), 0, found), np.where(np.isfinite(wanted), 0, wanted))


@pytest.mark.parametrize("corner", [(0, 0), (0, 5), (5, 0), (5, 5)])
def test_at_the_border_fewer_products_lose_no_nan(instruction_set, corner):
    """A corner is read by four taps alone. The filters' gradient by fewer products may be NaN at the others as well."""
    geometry = {"stride": 1, "padding": ((1, 1), (1, 1))}
    args = [np.array(a) for a in operands(0, *WIDE, 3, 3, **geometry)]
    args[0][(3, *corner, 7)] = np.nan
    found = value_and_grads(*map(jnp.asarray, args), **geometry)
    y, dx, dw, db = (np.isnan(a) for a in reference(*args, **geometry))
    np.testing.assert_array_equal(np.isnan(found[0]), y)
    assert not dx.any()
    assert not np.isnan(found[1]).any()
    assert dw.sum() == 4 * WIDE[-1]
    assert np.isnan(found[2])[dw].all()
    assert np.isnan(found[2])[:, :, 7].sum() == np.isnan(found[2]).sum()
    assert not db.any()


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("n", [1, 16, 70])
def test_moments_and_sums_of_channels(instruction_set, n, bad):
    """For each place in the batch: first, inside a vector, or behind the last whole one."""
    rng = np.random.default_rng(0)
    for k in {0, n // 2, n - 1}:
        x, dy = rng.normal(size=(2, n, 3, 2, 4)).astype(np.float32)
        x[k, 1, 0, 2], dy[k, 0, 1, 1] = bad, bad
        mean, variance = kernels.channel_moments(jnp.asarray(x))
        plain, product = kernels.channel_sums(jnp.asarray(dy), jnp.asarray(x), jnp.zeros(4))
        np.testing.assert_array_equal(np.where(np.isfinite(mean), 0, mean), [0, 0, bad, 0])
        np.testing.assert_array_equal(np.where(np.isfinite(variance), 0, variance), [0, 0, np.nan, 0])
        np.testing.assert_array_equal(np.where(np.isfinite(plain), 0, plain), [0, bad, 0, 0])
        wanted = [0, bad * x[k, 0, 1, 1], bad * dy[k, 1, 0, 2], 0]
        np.testing.assert_array_equal(np.where(np.isfinite(product), 0, product), wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_a_nan_stays_in_its_sequence_and_does_not_reach_back(instruction_set, cell):
    args = sequences(cell, 0, 6, 9, 5)
    args["lengths"] = jnp.asarray([6, 6, 2, 6, 5, 6, 1, 6, 3])
    outputs, (h, c) = rnn_scan(cell, **args)
    bad = {**args, "gx": args["gx"].at[3, 4].set(jnp.nan)}
    bad_outputs, (bad_h, bad_c) = rnn_scan(cell, **bad)
    touched = np.zeros((6, 9), bool)
    touched[3:5, 4] = True
    np.testing.assert_array_equal(np.isnan(bad_outputs).all(-1), touched)
    np.testing.assert_array_equal(np.where(touched[..., None], 0, bad_outputs), np.where(touched[..., None], 0, outputs))
    others = np.arange(9) != 4
    assert np.isnan(bad_h[4]).all()
    np.testing.assert_array_equal(bad_h[others], h[others])
    np.testing.assert_array_equal(bad_c[others], c[others])


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_through_a_nan_are_nan_where_those_of_a_scan_are(instruction_set, cell, monkeypatch):
    args = sequences(cell, 0, 6, 9, 5)
    args["lengths"] = jnp.asarray([6, 6, 2, 6, 5, 6, 1, 6, 3])
    args["gx"] = args["gx"].at[3, 4, 2].set(jnp.nan)
    found = gradients(rnn_scan, cell, args)
    monkeypatch.setattr(kernels, "backend", lambda: "xla")
    expected = gradients(rnn_scan, cell, args)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.isnan(a), np.isnan(b)), found, expected)
    assert not np.isnan(found["gx"][:, :4]).any()
    # A linear cell's gradient does not depend on its states.
    assert np.isnan(found["w"]).any()


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_behind_a_sequence_reaches_a_gradient(instruction_set, cell):
    args = sequences(cell, 1, 6, 9, 5)
    args["lengths"] = jnp.asarray([6, 6, 2, 6, 5, 6, 1, 6, 3])
    behind = (jnp.arange(6)[:, None] >= args["lengths"][None, :])[..., None]
    clean = gradients(rnn_scan, cell, args)
    for bad in BAD:
        found = gradients(rnn_scan, cell, {**args, "gx": jnp.where(behind, bad, args["gx"])})
        jax.tree.map(np.testing.assert_array_equal, found, clean)

"""Losses and metrics against NumPy, and the property that padding never changes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from jaxnets.tasks import classification, losses, metrics
from jaxnets.tasks.metrics import Mean


def batch(rng, n, classes):
    return rng.normal(size=(n, classes)).astype(np.float32) * 3, rng.integers(0, classes, n)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 20), classes=st.integers(2, 12), padding=st.integers(0, 5))
def test_against_numpy_and_under_padding(seed, n, classes, padding):
    rng = np.random.default_rng(seed)
    logits, labels = batch(rng, n, classes)
    wide = logits.astype(np.float64)
    log_probs = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    loss = -log_probs[np.arange(n), labels].sum()

    more, more_labels = batch(rng, padding, classes)
    full = np.concatenate([logits, more]), np.concatenate([labels, more_labels]).astype(np.int32)
    mask = np.r_[np.ones(n), np.zeros(padding)].astype(np.float32)
    mean, accuracy = jax.jit(lambda *a: (losses.cross_entropy(*a), metrics.accuracy(*a).value))(*full, mask)
    np.testing.assert_allclose(mean.total, loss, rtol=1e-5, atol=1e-5)
    assert mean.weight == n
    np.testing.assert_allclose(accuracy, (logits.argmax(1) == labels).mean(), rtol=1e-6)


def test_loss_survives_huge_logits():
    logits = jnp.array([[1e4, -1e4, 0.0]])
    assert losses.cross_entropy(logits, jnp.array([0]), jnp.ones(1)).value == 0
    assert losses.cross_entropy(logits, jnp.array([1]), jnp.ones(1)).value == 2e4


def test_unequal_batches_merge_exactly():
    rng = np.random.default_rng(0)
    logits, labels = batch(rng, 10, 4)
    task = classification.objective("image")
    expected = task.metrics(jnp.asarray(logits), {"label": jnp.asarray(labels), "mask": jnp.ones(10)})
    halves = [(slice(0, 7), [1.0] * 7), (slice(3, 10), [0.0] * 4 + [1.0] * 3)]
    parts = [
        task.metrics(jnp.asarray(logits[s]), {"label": jnp.asarray(labels[s]), "mask": jnp.asarray(m)}) for s, m in halves
    ]
    stacked = {name: metrics.Mean(*(jnp.stack(x) for x in zip(*(p[name] for p in parts), strict=True))) for name in expected}
    for name, mean in metrics.merge(stacked).items():
        np.testing.assert_allclose(mean.value, expected[name].value, rtol=1e-6)


@pytest.mark.parametrize("max_logits", [1 << 22, 40])
def test_head_cross_entropy_is_that_of_all_logits(max_logits, monkeypatch):
    monkeypatch.setattr(losses, "_MAX_LOGITS", max_logits)
    rng = np.random.default_rng(0)
    features, kernel, bias = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((3, 5, 4), (4, 11), (11,)))
    labels = jnp.asarray(rng.integers(0, 11, (3, 5)))
    mask = jnp.asarray(rng.integers(0, 2, (3, 5)))

    def at_once(args):
        return losses.cross_entropy(args[0] @ args[1] + args[2].reshape(1, 1, -1), labels, mask)

    def in_chunks(args):
        return losses.head_cross_entropy(*args, labels, mask)

    args = features, kernel, bias
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), in_chunks(args), at_once(args))
    actual, expected = (jax.grad(lambda args: f(args).value)(args) for f in (in_chunks, at_once))  # noqa: B023
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), actual, expected)


@pytest.mark.parametrize("label", [-1, 11])
def test_a_label_that_is_no_class_passes_for_none(label):
    args = jnp.ones((1, 1, 4)), jnp.ones((4, 11)), jnp.zeros(11)
    loss = lambda args: losses.head_cross_entropy(*args, jnp.full((1, 1), label), jnp.ones((1, 1))).value
    assert np.isnan(loss(args))
    assert np.isnan(jax.value_and_grad(loss)(args)[0])


def test_derived_metrics():
    values = metrics.values({"loss": Mean(np.array([6.0, 2.0]), np.array([3.0, 2.0]))}, {"ppl": ("loss", np.exp)})
    np.testing.assert_allclose(values["loss"], [2.0, 1.0])
    np.testing.assert_allclose(values["ppl"], np.exp([2.0, 1.0]))


def test_reconstructions_are_measured_as_skimage_measures_them():
    rng = np.random.default_rng(0)
    targets, predictions = rng.uniform(size=(2, 4, 8, 6, 1)).astype(np.float32)
    mask = jnp.asarray([1.0, 1.0, 1.0, 0.0])
    expected = [peak_signal_noise_ratio(t, p, data_range=1) for t, p in zip(targets[:3], predictions[:3], strict=True)]
    assert float(metrics.psnr(predictions, targets, mask).value) == pytest.approx(np.mean(expected), rel=1e-5)
    errors = np.square(targets - predictions)[:3].sum()
    assert float(losses.squared_error(predictions, targets, mask).value) == pytest.approx(errors / 3, rel=1e-5)

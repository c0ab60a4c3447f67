"""Whitening filters against the covariance of what they put out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.config.model import Init
from jaxnets.nn.conv import conv2d
from jaxnets.nn.init import kernel_init
from jaxnets.nn.layers import BatchNorm, Conv, Dense
from jaxnets.nn.whiten import whitening_filters


def correlated(n=300, side=6, channels=2):
    """Images whose neighboring pixels and channels are alike."""
    noise = np.random.default_rng(0).normal(size=(n, side + 1, side + 1, channels))
    smooth = noise[:, 1:, 1:] + 0.8 * noise[:, :-1, :-1] + 0.5 * noise[:, 1:, :-1]
    return (smooth @ np.array([[1.0, 0.7], [0.0, 0.4]])).astype(np.float32)


@pytest.mark.parametrize("epsilon", [1e-9, 0.3])
def test_outputs_are_uncorrelated_with_the_stated_variances(epsilon):
    images = correlated()
    filters = whitening_filters(images, 2, epsilon)
    assert filters.shape == (2, 2, 2, 16)
    np.testing.assert_array_equal(filters[..., 8:], -filters[..., :8])
    outputs = np.asarray(conv2d(jnp.asarray(images), jnp.asarray(filters[..., :8]), jnp.zeros(8)), np.float64)
    moments = np.einsum("nhwi,nhwj->ij", outputs, outputs) / outputs[..., 0].size
    patches = np.stack([images[:, u : u + 5, v : v + 5] for u in (0, 1) for v in (0, 1)], 3).reshape(-1, 8)
    variances = np.linalg.eigvalsh(patches.T.astype(np.float64) @ patches / len(patches))[::-1]
    np.testing.assert_allclose(moments, np.diag(variances / (variances + epsilon)), atol=1e-4)


def test_a_constant_image_leaves_the_filters_finite():
    assert np.isfinite(whitening_filters(np.zeros((3, 4, 4, 1), np.float32), 2)).all()


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (4, 4), (5, 3)])
def test_identity_filters_pass_their_inputs_on(inputs, outputs):
    kernel = kernel_init(Init(identity=True))(jax.random.key(0), (3, 3, inputs, outputs))
    x = jax.random.normal(jax.random.key(1), (2, 6, 6, inputs))
    y = conv2d(x, kernel, jnp.zeros(outputs), padding=1)
    passed = min(inputs, outputs)
    np.testing.assert_allclose(y[..., :passed], x[..., :passed], atol=1e-6)
    drawn = kernel_init(Init())(jax.random.key(0), (3, 3, inputs, outputs))
    np.testing.assert_array_equal(kernel[..., passed:], drawn[..., passed:])
    makes = [kernel_init(Init(identity=on)) for on in (False, True)]
    np.testing.assert_array_equal(*(make(jax.random.key(0), (2, 2, inputs, outputs)) for make in makes))


def test_what_is_fixed_is_no_parameter():
    x = jnp.ones((2, 4, 4, 3))
    conv = Conv(5, 3, Init(), fixed=True).init(jax.random.key(0), x)
    assert (set(conv["params"]), set(conv["fixed"])) == ({"bias"}, {"kernel"})
    norm = BatchNorm(fixed_scale=True, momentum=0.6)
    variables = norm.init(jax.random.key(0), x, train=False)
    assert (set(variables["params"]), set(variables["fixed"])) == ({"bias"}, {"scale"})
    x = jax.random.normal(jax.random.key(1), (50, 2, 2, 3)) + 2
    y, updated = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(updated["batch_stats"]["mean"], 0.4 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1, rtol=1e-3)
    assert set(Dense(4, Init(), bias=False).init(jax.random.key(0), jnp.ones((1, 3)))["params"]) == {"kernel"}

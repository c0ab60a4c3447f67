"""The deconvolutional network: unpooling, rectification, transposed filters, each against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnets import models
from jaxnets.analysis.visualize import deconvnet
from jaxnets.config.model import CNNConfig, LeNetConfig, ResNetConfig
from jaxnets.models import features


def _net(config, seed=0):
    model = models.build(config, {"classes": 4})
    images = jax.random.uniform(jax.random.key(seed), (3, 12, 12, 3))
    return model, jax.jit(lambda key: model.init(key, images, train=False))(jax.random.key(seed + 1)), images


def _transposed(signal, w, pad):
    """Every value of `signal` adds its multiple of the filter to the pixels that the filter saw."""
    n, h, width, _ = signal.shape
    k = w.shape[0]
    out = np.zeros((n, h + k - 1, width + k - 1, w.shape[2]))
    for i in range(h):
        for j in range(width):
            out[:, i : i + k, j : j + k] += np.einsum("no,klio->nkli", signal[:, i, j], w)
    return out[:, pad:-pad, pad:-pad]


def _unpooled(signal, x):
    """2×2 windows, the first of equal maxima."""
    out = np.zeros_like(x)
    for n, i, j, c in np.ndindex(*signal.shape):
        block = x[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        a, b = np.unravel_index(block.argmax(), (2, 2))
        out[n, 2 * i + a, 2 * j + b, c] = signal[n, i, j, c]
    return out


def test_two_convolutions_by_hand():
    model, variables, images = _net(CNNConfig(width=4, dense=8))
    function = lambda images: features.feature_maps(model, variables, images)
    maps, pullback = jax.vjp(lambda x: features.deconvolutional(function)(x)["Activation_1"], images)
    signal = np.asarray(jax.random.normal(jax.random.key(5), maps.shape))
    params = jax.tree.map(np.asarray, variables["params"])
    first, second = (np.asarray(function(images)[name]) for name in ("Conv_0", "Conv_1"))
    below = _transposed(_unpooled(np.maximum(signal, 0), second), params["Conv_1"]["kernel"], 1)
    expected = _transposed(_unpooled(np.maximum(below, 0), first), params["Conv_0"]["kernel"], 1)
    np.testing.assert_allclose(pullback(jnp.asarray(signal))[0], expected, rtol=1e-4, atol=1e-5)


def test_one_convolution_by_hand():
    model, variables, images = _net(CNNConfig(width=4, convolutions=1, dense=8))
    function = features.deconvolutional(lambda images: features.feature_maps(model, variables, images))
    maps, pullback = jax.vjp(lambda x: function(x)["Activation_0"], images)
    signal = np.asarray(jax.random.normal(jax.random.key(5), maps.shape))
    first = np.asarray(features.feature_maps(model, variables, images)["Conv_0"])
    expected = _unpooled(np.maximum(signal, 0), first)
    expected = _transposed(expected, np.asarray(variables["params"]["Conv_0"]["kernel"]), 1)
    np.testing.assert_allclose(pullback(jnp.asarray(signal))[0], expected, rtol=1e-4, atol=1e-5)


def _positive(variables):
    """With positive weights, biases and images every signal is positive, forwards and backwards."""
    return jax.tree.map(jnp.abs, variables)


@pytest.mark.parametrize("config", [CNNConfig(width=4, dense=8, batch_norm=True), ResNetConfig(blocks=(1, 1), width=4)])
def test_where_all_signals_are_positive_it_is_the_gradient(config):
    model, variables, images = _net(config)
    function = lambda images: features.feature_maps(model, _positive(variables), images)
    layer = [layer.name for layer in features.layers(model, variables, images).values() if layer.is_spatial][-1]
    gradient = jax.vjp(lambda x: function(x)[layer], images)[1]
    projection = jax.vjp(lambda x: features.deconvolutional(function)(x)[layer], images)[1]
    signal = jnp.ones_like(function(images)[layer])
    np.testing.assert_allclose(projection(signal)[0], gradient(signal)[0], rtol=1e-5)
    assert not np.allclose(projection(-signal)[0], gradient(-signal)[0])


@pytest.mark.parametrize("activation", ["tanh", "leaky_relu"])
def test_values_stay_and_other_activations_do_as_told(activation):
    model = models.build(LeNetConfig(activation=activation), {"classes": 4})
    images = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
    variables = jax.jit(lambda key: model.init(key, images, train=False))(jax.random.key(1))
    function = lambda images: features.feature_maps(model, variables, images)
    plain, back = jax.vjp(lambda x: features.deconvolutional(function)(x)["Activation_0"], images)
    np.testing.assert_array_equal(plain, function(images)["Activation_0"])
    signal = jax.random.normal(jax.random.key(2), plain.shape)
    at_convolution = np.where(signal > 0, signal, 0.01 * signal)
    if activation == "tanh":
        at_convolution = signal * (1 - np.square(plain))
    transposed = jax.vjp(lambda x: function(x)["Conv_0"], images)[1]
    np.testing.assert_allclose(back(signal)[0], transposed(jnp.asarray(at_convolution))[0], rtol=1e-4, atol=1e-5)


def test_projections_come_from_the_strongest_place_alone():
    w = jax.random.normal(jax.random.key(0), (3, 2))
    layer = lambda x: x @ w
    images = jax.random.normal(jax.random.key(1), (4, 5, 5, 3))
    channels = jnp.asarray([0, 1, 1, 0])
    found = np.asarray(deconvnet.project(layer, images, channels))
    for image, channel, own in zip(np.asarray(images), channels, found, strict=True):
        value = image @ np.asarray(w)[:, channel]
        at = np.unravel_index(value.argmax(), value.shape)
        expected = np.zeros_like(image)
        expected[at] = value.max() * np.asarray(w)[:, channel]
        np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-6)


def test_best_images_equal_a_sort():
    images = jax.random.normal(jax.random.key(1), (23, 4, 4, 3))
    best = deconvnet.best_images(lambda x: x, images, 5, batch=7)
    largest = np.asarray(images).max((1, 2))
    for channel in range(3):
        np.testing.assert_array_equal(best.images[channel], np.argsort(-largest[:, channel])[:5])
        np.testing.assert_allclose(best.activations[channel], np.sort(largest[:, channel])[::-1][:5])


@given(seed=st.integers(0, 2**31), size=st.integers(4, 12), n=st.integers(1, 4))
def test_windows_hold_all_that_a_projection_reaches(seed, size, n):
    rng = np.random.default_rng(seed)
    projections = np.zeros((n, size, size, 3))
    spans = []
    for projection in projections:
        (top, left), (height, width) = rng.integers(0, size, 2), rng.integers(1, size + 1, 2)
        reached = projection[top : top + height, left : left + width]
        reached[:] = rng.normal(size=reached.shape)
        spans += [min(height, size - top), min(width, size - left)]
    places = deconvnet.windows(projections)
    pieces = deconvnet.cut(projections, places)
    assert pieces.shape[1] == pieces.shape[2] == max(spans)
    np.testing.assert_allclose(np.abs(pieces).sum((1, 2, 3)), np.abs(projections).sum((1, 2, 3)))

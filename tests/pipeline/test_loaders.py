"""Plans cover what they should, and evaluation sees every example once."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.config import ImageData
from jaxnets.pipeline import images, loaders

PLAIN = images.Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
IMAGES = images.image_batches(ImageData("x"), PLAIN)


@settings(max_examples=30)
@given(examples=st.integers(1, 60), batch=st.integers(1, 20), drop_last=st.booleans())
def test_training_plan(examples, batch, drop_last):
    if batch > examples:
        return
    built = loaders.train_batches(batch, examples, IMAGES, drop_last)
    plan = np.asarray(built.epoch_indices(jax.random.key(0), 3))
    assert plan.shape == (built.steps, batch)
    counts = np.bincount(plan.ravel(), minlength=examples)
    assert len(counts) == examples
    if drop_last:
        assert built.steps == examples // batch
        assert counts.max() == 1
    else:
        # Everything once, and the last batch filled up with examples seen before.
        assert counts.min() == 1
        assert counts.sum() - examples < batch


def test_order_depends_on_key_and_epoch():
    built = loaders.train_batches(10, 100, IMAGES)
    plans = [np.asarray(built.epoch_indices(jax.random.key(k), e)) for k, e in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert (plans[0] == plans[3]).all()
    assert not (plans[0] == plans[1]).all()
    assert not (plans[0] == plans[2]).all()


@settings(max_examples=20)
@given(examples=st.integers(1, 40), batch=st.integers(1, 50))
def test_evaluation_sees_every_example_once(examples, batch):
    built = loaders.eval_batches(batch, examples, IMAGES)
    plan = built.epoch_indices(None, 0)
    real = np.asarray(plan["index"])[np.asarray(plan["mask"]) == 1]
    np.testing.assert_array_equal(np.sort(real), np.arange(examples))


@settings(max_examples=20)
@given(examples=st.integers(1, 40), most=st.integers(1, 50), batch=st.integers(1, 50))
def test_evaluation_of_a_part_steps_evenly_over_the_split(examples, most, batch):
    plan = loaders.eval_batches(batch, examples, IMAGES, most).epoch_indices(None, 0)
    real = np.asarray(plan["index"])[np.asarray(plan["mask"]) == 1]
    assert len(real) == min(most, examples)
    gaps = np.diff([*real, examples])
    assert real[0] == 0
    assert {min(gaps), max(gaps)} <= {examples // len(real), -(-examples // len(real))}


def test_batches_hold_the_images_and_labels_of_their_indices():
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3)).astype(np.uint8)
    arrays = {"image": jnp.asarray(images), "label": jnp.arange(20)}
    built = loaders.train_batches(5, 20, IMAGES)
    batch = built.make_batch(arrays, jnp.array([3, 19, 0, 7, 3]), jax.random.key(0))
    np.testing.assert_array_equal(batch["label"], [3, 19, 0, 7, 3])
    np.testing.assert_allclose(batch["image"], images[[3, 19, 0, 7, 3]] / 255, rtol=1e-6)


def test_normalizations():
    meta = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}
    get = lambda kind: images.normalization(ImageData("x", normalize=kind), meta)
    assert get("unit") == PLAIN
    assert get("symmetric") == images.Normalization((0.5,) * 3, (0.5,) * 3)
    assert get("imagenet") == images.IMAGENET
    assert get("standard") == images.Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


@settings(max_examples=25)
@given(tokens=st.integers(2, 200), places=st.integers(1, 12), window=st.integers(1, 9))
def test_evaluation_predicts_every_token_of_a_text_once(tokens, places, window):
    arrays = {"token": jnp.arange(tokens)}
    built = loaders.eval_windows(places, window, tokens)
    plan = built.epoch_indices(None, 0)
    batches = [built.make_batch(arrays, jax.tree.map(lambda x: x[i], plan), None) for i in range(built.steps)]  # noqa: B023
    predicted = [int(n) for b in batches for n, m in zip(b["next"].ravel(), b["mask"].ravel(), strict=True) if m]
    assert sorted(predicted) == list(range(1, tokens))
    assert [float(b["reset"]) for b in batches] == [1.0] + [0.0] * (built.steps - 1)


def test_training_reads_on_from_window_to_window():
    arrays = {"token": jnp.arange(1000)}
    built = loaders.bptt_batches(4, 10, 1000)
    plan = built.epoch_indices(jax.random.key(0), 0)
    batches = [built.make_batch(arrays, jax.tree.map(lambda x: x[i], plan), None) for i in range(built.steps)]  # noqa: B023
    for before, after in itertools.pairwise(batches):
        np.testing.assert_array_equal(before["next"][:, -1], after["token"][:, 0])
    for b in batches:
        np.testing.assert_array_equal(b["next"], b["token"] + 1)
    seen = np.concatenate([b["token"].ravel() for b in batches])
    assert len(set(seen.tolist())) == built.steps * 40  # No token twice in an epoch.
    starts = {int(built.epoch_indices(jax.random.key(0), epoch)["first"][0, 0]) for epoch in range(8)}
    assert len(starts) > 2

"""Plans cover what they should, and evaluation sees every example once."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.config import Augment, ImageData
from jaxnets.pipeline import images, loaders

PLAIN = images.Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
IMAGES = images.image_batches(ImageData("x"), PLAIN)


def first_epoch(loader, arrays, key):
    """Its batches, stacked by field; one program, as in training."""

    @jax.jit
    def run(arrays, key):
        return jax.lax.map(lambda step: loader.make_batch(arrays, step, None), loader.epoch_indices(key, 0))

    return jax.tree.map(np.asarray, dict(run(arrays, key)))


@settings(max_examples=15)
@given(examples=st.integers(1, 60), batch=st.integers(1, 20), drop_last=st.booleans())
def test_training_plan(examples, batch, drop_last):
    if batch > examples:
        return
    built = loaders.train_batches(batch, examples, IMAGES, drop_last)
    plan = np.asarray(jax.jit(lambda key: built.epoch_indices(key, 3))(jax.random.key(0)))
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
    arrays = {"token": np.arange(tokens, dtype=np.int32)}
    built = loaders.eval_windows(places, window, tokens)
    batches = first_epoch(built, arrays, None)
    predicted = batches["next"][batches["mask"] > 0]
    np.testing.assert_array_equal(np.sort(predicted), np.arange(1, tokens))
    assert batches["reset"].tolist() == [1.0] + [0.0] * (built.steps - 1)


def test_training_reads_on_from_window_to_window():
    arrays = {"token": np.arange(1000, dtype=np.int32)}
    built = loaders.bptt_batches(4, 10, 1000)
    batches = first_epoch(built, arrays, jax.random.key(0))
    np.testing.assert_array_equal(batches["next"][:-1, :, -1], batches["token"][1:, :, 0])
    np.testing.assert_array_equal(batches["next"], batches["token"] + 1)
    assert len(np.unique(batches["token"])) == built.steps * 40  # No token twice in an epoch.
    starts = {int(built.epoch_indices(jax.random.key(0), epoch)["first"][0, 0]) for epoch in range(8)}
    assert len(starts) > 2


def test_with_alternate_flips_two_epochs_in_a_row_show_every_image_both_ways():
    config = ImageData("x", batch_size=4, augment=Augment(flip=True, alternate=True))
    ramps = jnp.arange(40, dtype=jnp.uint8)[:, None, None, None] + jnp.asarray([[[[0], [100]]]], jnp.uint8)
    arrays = {"image": ramps, "label": jnp.arange(40)}
    loader = images.train_loader(config, 40, images.image_batches(config, images.Normalization((0.0,), (1.0,))))

    def shown(key, epoch):
        """Which images are mirrored, in the order of the split."""
        plan = loader.epoch_indices(key, epoch)
        steps = [{field: values[k] for field, values in plan.items()} for k in range(10)]
        batches = [loader.make_batch(arrays, step, jax.random.key(9)) for step in steps]
        order, pixels = (np.concatenate([batch[field] for batch in batches]) for field in ("label", "image"))
        assert sorted(order) == list(range(40))
        assert all(batch["mask"].shape == (4,) for batch in batches)
        return (pixels[:, 0, 0, 0] > pixels[:, 0, 1, 0])[np.argsort(order)]

    epochs = [shown(jax.random.key(0), epoch) for epoch in range(3)]
    assert 8 < epochs[0].sum() < 32
    np.testing.assert_array_equal(epochs[1], ~epochs[0])
    np.testing.assert_array_equal(epochs[2], epochs[0])
    assert (shown(jax.random.key(1), 0) != epochs[0]).any()


def test_views_are_moved_reflected_and_mirrored():
    pixels = np.random.default_rng(0).normal(size=(3, 5, 6, 2)).astype(np.float32)
    weights = np.random.default_rng(1).normal(size=(5, 6, 2)).astype(np.float32)
    apply = lambda x: jnp.tanh(x * weights[None]).sum((1, 2))
    padded = np.pad(pixels, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    views = [(pixels, 0.5), (padded[:, :5, :6], 0.25), (padded[:, 4:, 4:], 0.25)]
    expected = sum(share * (apply(view) + apply(view[:, :, ::-1])) / 2 for view, share in views)
    np.testing.assert_allclose(images.averaged_views(apply, jnp.asarray(pixels), True, 2), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(images.averaged_views(apply, jnp.asarray(pixels), False, 0), apply(pixels))

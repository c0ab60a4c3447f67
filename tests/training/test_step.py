"""The training step: loops, seeds, failures, retracing."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import models
from jaxnets.config import Augment, ImageData, Optim
from jaxnets.config.model import LeNetConfig, LinearConfig
from jaxnets.optim import optimizer
from jaxnets.pipeline import images, loaders
from jaxnets.tasks import classification
from jaxnets.training import parallel, state
from jaxnets.training.best import first_best, keep_best
from jaxnets.training.step import _over_microbatches, make_evaluate, make_train_step, multi_step

PLAIN = images.Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
OBJECTIVE = classification.objective("image")
MODEL = models.build(LeNetConfig(batch_norm=True, dropout_conv=(0.1, 0.1)), {"classes": 10})
TX = optax.with_extra_args_support(optax.sgd(0.05))
INPUTS = (jnp.zeros((1, 32, 32, 3)),)

ONE_DEVICE = parallel.Layout("seeds", parallel.make_mesh(jax.devices()[:1]))


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (48, 32, 32, 3)).astype(np.uint8)
    return {"image": jnp.asarray(images), "label": jnp.asarray(rng.integers(0, 10, 48).astype(np.int32))}


def make_loader(**augment):
    return loaders.train_batches(8, 48, images.image_batches(ImageData("x", augment=Augment(**augment)), PLAIN))


CREATE = jax.jit(lambda key: state.create(key, MODEL, TX, INPUTS))
CREATE_ALL = jax.jit(jax.vmap(lambda key: state.create(key, MODEL, TX, INPUTS)))


def replica(i, seed=0):
    return CREATE(state.replica_keys(seed, i + 1)[i])


def test_many_steps_equal_one_after_the_other(arrays):
    train = make_loader(flip=True)
    step = make_train_step(MODEL, OBJECTIVE, TX)
    indices = train.epoch_indices(jax.random.key(1), 0)
    together, metrics = jax.jit(multi_step(step, train))(replica(0), indices, arrays)
    one = jax.jit(multi_step(step, train))
    apart, losses = replica(0), []
    for k in range(train.steps):
        apart, m = one(apart, indices[k : k + 1], arrays)
        losses.append(float(m["loss"].value[0]))
    chex.assert_trees_all_close(together.params, apart.params, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(metrics["loss"].value, losses, rtol=1e-5)
    assert int(together.step) == train.steps


def test_a_step_descends(arrays):
    step = jax.jit(make_train_step(MODEL, OBJECTIVE, TX))
    batch = make_loader().make_batch(arrays, jnp.arange(8), jax.random.key(0))
    current = replica(0)
    losses = []
    for _ in range(15):
        current, metrics = step(current, batch)
        losses.append(float(metrics["loss"].value))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(("trainable", "parts"), [("head", 1), ("head", 2), ("scales", 1)])
def test_training_a_part_leaves_everything_else_bit_identical(arrays, trainable, parts):
    tx = optimizer.build(Optim("adamw", lr=0.01, weight_decay=0.1, clip=1.0, trainable=trainable), 9, 3)
    start = state.create(jax.random.key(0), MODEL, tx, INPUTS)
    batch = make_loader().make_batch(arrays, jnp.arange(8), jax.random.key(0))
    step = jax.jit(make_train_step(MODEL, OBJECTIVE, tx, grad_accumulation_steps=parts, eval_mode=True))
    end, first = step(start, batch)
    end, second = step(end, batch)
    is_own = {"head": lambda name: name.startswith("head/"), "scales": lambda name: name.endswith("/scale")}[trainable]
    for (path, new), old in zip(jax.tree.leaves_with_path(end.params), jax.tree.leaves(start.params), strict=True):
        own = is_own(jax.tree_util.keystr(path, simple=True, separator="/"))
        assert (new != old).all() if own else (new == old).all(), path
    chex.assert_trees_all_equal(end.model_state, start.model_state)
    assert second["loss"].value < first["loss"].value
    # The loss is that of evaluation mode: no dropout, running statistics.
    evaluated = make_evaluate(MODEL, OBJECTIVE, loaders.eval_batches(8, 8, images.image_batches(ImageData("x"), PLAIN)))
    metrics, _ = evaluated(start.variables, jax.tree.map(lambda x: x[:8], arrays))
    np.testing.assert_allclose(first["loss"].value, metrics["loss"].value, rtol=1e-5)


def test_replicas_are_independent_and_do_not_depend_on_their_number(arrays):
    train = make_loader(flip=True, crop_padding=2)
    run = multi_step(make_train_step(MODEL, OBJECTIVE, TX), train)
    create = lambda key, shared: state.create(key, MODEL, TX, INPUTS)

    def trained(replicas):
        keys = state.replica_keys(7, replicas)
        states = parallel.compile_over_seeds(create, ONE_DEVICE)(keys, None)
        indices = jax.vmap(lambda key: train.epoch_indices(key, 0))(states.key)
        return parallel.compile_over_seeds(run, ONE_DEVICE)(states, indices, arrays)[0]

    three, two = trained(3), trained(2)
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[:2], three.params), two.params, rtol=1e-6)
    kernel = three.params["Conv_0"]["kernel"]
    assert not jnp.allclose(kernel[0], kernel[1])


def test_vmap_and_map_over_seeds_agree(arrays):
    train = make_loader()
    run = multi_step(make_train_step(MODEL, OBJECTIVE, TX), train)
    states = CREATE_ALL(state.replica_keys(0, 2))
    indices = jax.vmap(lambda key: train.epoch_indices(key, 0)[:2])(states.key)
    mapped, _ = parallel.compile_over_seeds(run, ONE_DEVICE)(states, indices, arrays)
    together, _ = parallel.compile_over_seeds(run, ONE_DEVICE._replace(lowering_platform="cuda"))(states, indices, arrays)
    chex.assert_trees_all_close(mapped.params, together.params, rtol=1e-4, atol=1e-5)


def test_a_seed_whose_loss_is_not_finite_is_frozen_and_the_others_go_on(arrays):
    train = make_loader()
    run = parallel.compile_over_seeds(multi_step(make_train_step(MODEL, OBJECTIVE, TX), train), ONE_DEVICE)
    states = CREATE_ALL(state.replica_keys(0, 2))
    poisoned = states.params["head"]["bias"].at[1].set(jnp.inf)
    states.params["head"]["bias"] = poisoned
    indices = jax.vmap(lambda key: train.epoch_indices(key, 0))(states.key)
    after, metrics = run(states, indices, arrays)
    assert after.failed_at.tolist() == [-1, 0]
    assert jnp.isfinite(metrics["loss"].value[0]).all()
    before_kernel, kernel = states.params["Conv_0"]["kernel"], after.params["Conv_0"]["kernel"]
    assert jnp.array_equal(kernel[1], before_kernel[1])
    assert not jnp.array_equal(kernel[0], before_kernel[0])
    assert jnp.array_equal(after.model_state["batch_stats"]["BatchNorm_0"]["mean"][1], jnp.zeros(6))


def test_weights_that_would_become_infinite_are_not_kept(arrays):
    """A finite loss whose update overflows."""
    endless = optax.stateless(lambda updates, params: jax.tree.map(lambda u: jnp.full_like(u, jnp.inf), updates))
    huge = optax.with_extra_args_support(endless)
    step = jax.jit(make_train_step(MODEL, OBJECTIVE, huge))
    before = state.create(jax.random.key(0), MODEL, huge, INPUTS)
    after, metrics = step(before, make_loader().make_batch(arrays, jnp.arange(8), jax.random.key(0)))
    assert jnp.isfinite(metrics["loss"].value)
    assert int(after.failed_at) == 0
    chex.assert_trees_all_equal(after.params, before.params)


def test_a_seed_that_failed_takes_no_further_step(arrays):
    """Not even where its next loss is finite again."""
    step = jax.jit(make_train_step(MODEL, OBJECTIVE, TX))
    batch = make_loader().make_batch(arrays, jnp.arange(8), jax.random.key(0))
    failed = replica(0)._replace(failed_at=jnp.asarray(3, jnp.int32), step=jnp.asarray(7, jnp.int32))
    after, metrics = step(failed, batch)
    assert np.isfinite(metrics["loss"].value)
    assert int(after.failed_at) == 3
    chex.assert_trees_all_equal((after.params, after.model_state), (failed.params, failed.model_state))


def test_one_trace_serves_all_calls_of_a_shape(arrays):
    chex.clear_trace_counter()
    train = make_loader()
    run = jax.jit(chex.assert_max_traces(multi_step(make_train_step(MODEL, OBJECTIVE, TX), train), n=1))
    current = replica(0)
    for epoch in range(3):
        current, _ = run(current, train.epoch_indices(jax.random.key(0), epoch), arrays)


def test_evaluation_equals_one_big_batch(arrays):
    fresh = replica(0)
    whole = jax.jit(
        make_evaluate(MODEL, OBJECTIVE, loaders.eval_batches(48, 48, images.image_batches(ImageData("x"), PLAIN)), True)
    )
    parts = jax.jit(
        make_evaluate(MODEL, OBJECTIVE, loaders.eval_batches(7, 48, images.image_batches(ImageData("x"), PLAIN)), True)
    )
    (m1, kept), (m2, padded) = (f(fresh.variables, arrays) for f in (whole, parts))
    chex.assert_trees_all_close(m1, m2, rtol=1e-5)
    assert padded["mask"].tolist() == [1.0] * 48 + [0.0]
    chex.assert_trees_all_close(kept, jax.tree.map(lambda x: x[:48], padded), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(kept["label"], arrays["label"])
    assert m1["accuracy"].value == pytest.approx(float((kept["logits"].argmax(1) == kept["label"]).mean()))


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_gives_the_same_step(arrays, parts):
    """Without BatchNorm and dropout, which see each part on its own, and by plain descent: Adam would hide a factor."""
    model = models.build(LeNetConfig(), {"classes": 10})
    batch = make_loader().make_batch(arrays, jnp.arange(8), jax.random.key(0)) | {"mask": jnp.arange(8.0) / 7}
    start = state.create(jax.random.key(0), model, TX, INPUTS)
    whole, metrics = jax.jit(make_train_step(model, OBJECTIVE, TX))(start, batch)
    split, its_metrics = jax.jit(make_train_step(model, OBJECTIVE, TX, grad_accumulation_steps=parts))(start, batch)
    chex.assert_trees_all_close(whole.params, split.params, rtol=1e-5, atol=1e-7)
    chex.assert_trees_all_close(metrics, its_metrics, rtol=1e-5)


def test_statistics_pass_through_all_parts(arrays):
    """Running averages after a batch in parts are those after the parts as batches of their own."""
    still = optax.with_extra_args_support(optax.sgd(0.0))
    batch = make_loader().make_batch(arrays, jnp.arange(8), jax.random.key(0))
    model = models.build(LeNetConfig(batch_norm=True), {"classes": 10})
    start = state.create(jax.random.key(0), model, still, INPUTS)
    split, _ = jax.jit(make_train_step(model, OBJECTIVE, still, grad_accumulation_steps=2))(start, batch)
    one = jax.jit(make_train_step(model, OBJECTIVE, still))
    even, odd = jax.tree.map(lambda x: x[0::2], batch), jax.tree.map(lambda x: x[1::2], batch)
    apart, _ = one(one(start, even)[0], odd)
    chex.assert_trees_all_close(split.model_state, apart.model_state, rtol=1e-5, atol=1e-6)


def test_what_belongs_to_the_whole_batch_goes_to_every_part():
    seen = _over_microbatches(
        4,
        lambda variables, part, key: ({"share": part["share"], "sum": part["x"].sum()}, variables, ()),
        {},
        {"share": jnp.asarray(0.5), "x": jnp.arange(8.0)},
        jax.random.key(0),
    )[0]
    assert seen == {"share": 2.0, "sum": 28.0}


def test_spsa_measures_the_same_loss_in_parts(arrays):
    from jaxnets.optim.spsa import spsa

    model, tx = models.build(LeNetConfig(), {"classes": 10}), spsa(jax.random.key(3), num_perturbations=2)
    batch = make_loader().make_batch(arrays, jnp.arange(8), jax.random.key(0))
    start = state.create(jax.random.key(0), model, tx, INPUTS)
    whole, split = (
        jax.jit(make_train_step(model, OBJECTIVE, tx, grad_accumulation_steps=parts))(start, batch)[0] for parts in (1, 4)
    )
    chex.assert_trees_all_close(whole.params, split.params, rtol=1e-3, atol=1e-6)


def quadratic_step(config, steps=4):
    """A step of softmax regression on 5 features by `config`, with its measures, and the batch."""
    model, objective = models.build(LinearConfig(), {"classes": 3}), classification.objective("image")
    rng = np.random.default_rng(1)
    x, y = jnp.asarray(rng.normal(size=(6, 5)), jnp.float32), jnp.asarray(rng.integers(0, 3, 6), jnp.int32)
    tx = optimizer.build(config, steps, 2)
    step = make_train_step(model, objective, tx, measure=optimizer.measure(config, steps, 2))
    start = state.create(jax.random.key(0), model, tx, (x[:1],))
    return jax.jit(step), start, {"image": x, "label": y, "mask": jnp.ones(6)}


def test_the_norm_of_the_gradient_and_the_rate_are_those_in_numpy():
    step, current, batch = quadratic_step(Optim("sgd", lr=0.5, schedule="linear", warmup_epochs=1, clip=0.01))
    rates = []
    for _ in range(4):
        before = jax.tree.map(np.asarray, current.params)
        (layer,) = before.values()
        x, y = np.asarray(batch["image"]), np.asarray(batch["label"])
        logits = x @ layer["kernel"] + layer["bias"]
        error = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(3)[y]
        norm = np.sqrt(np.square(x.T @ error / 6).sum() + np.square(error.mean(0)).sum())
        current, metrics = step(current, batch)
        np.testing.assert_allclose(metrics["gradient_norm"].value, norm, rtol=1e-5)
        rates.append(float(metrics["learning_rate"].value))
        moved = optax.tree.norm(jax.tree.map(jnp.subtract, current.params, before))
        np.testing.assert_allclose(moved, rates[-1] * 0.01, rtol=1e-3, atol=1e-8)  # The norm is that before clipping.
    np.testing.assert_allclose(rates, [0, 0.25, 0.5, 0.25])


def test_spsa_records_its_own_rate():
    step, current, batch = quadratic_step(Optim("spsa"))
    for k in range(2):
        current, metrics = step(current, batch)
        assert set(metrics) == {"loss", "accuracy", "learning_rate"}
        np.testing.assert_allclose(metrics["learning_rate"].value, 0.05 / (k + 1 + 100) ** 0.602, rtol=1e-5)


@pytest.mark.parametrize("config", [Optim("adam", lr=0.1, ema=0.9), Optim("adam", lr=0.1, ema=0.9, trainable="head")])
def test_evaluation_and_the_best_weights_have_the_average(config):
    step, current, batch = quadratic_step(config)
    plain, start, _ = quadratic_step(dataclasses.replace(config, ema=0.0))
    reference = optax.ema(0.9, debias=True)
    ema, weights = reference.init(start.params), []
    for _ in range(4):
        current, start = step(current, batch)[0], plain(start, batch)[0]
        weights.append(np.asarray(start.params["head"]["kernel"]))
        expected, ema = reference.update(start.params, ema)
    chex.assert_trees_all_equal(current.params, start.params)  # Training is the same.
    chex.assert_trees_all_close(current.variables["params"], expected, rtol=1e-5)
    shares = 0.9 ** np.arange(3, -1, -1)
    in_numpy = np.tensordot(shares / shares.sum(), weights, 1)
    np.testing.assert_allclose(current.variables["params"]["head"]["kernel"], in_numpy, rtol=1e-5)
    one_seed = jax.tree.map(lambda x: x[None], current)
    best = keep_best(first_best(one_seed), one_seed, jnp.ones(1), 1)
    chex.assert_trees_all_equal(best.params, one_seed.variables["params"])
    assert start.variables["params"] is start.params


def test_statistics_are_not_averaged_and_replicas_can_differ():
    config = Optim("sgd", lr=0.1, ema=0.5)
    tx = optimizer.build(config, 4, 2, swept=("lr",))
    model = models.build(LeNetConfig(batch_norm=True), {"classes": 10})
    current = state.create(jax.random.key(0), model, tx, INPUTS)
    current = current._replace(opt_state=optimizer.with_hyperparams(current.opt_state, {"lr": jnp.asarray(0.0)}))
    assert optimizer.swept_values(current.opt_state) == {"lr": 0.0}
    batch = {"image": jax.random.uniform(jax.random.key(1), (4, 32, 32, 3)), "label": jnp.arange(4), "mask": jnp.ones(4)}
    after, _ = jax.jit(make_train_step(model, OBJECTIVE, tx))(current, batch)
    chex.assert_trees_all_equal(after.variables["params"], current.params)
    chex.assert_trees_all_equal(after.variables["batch_stats"], after.model_state["batch_stats"])
    assert not jnp.array_equal(after.model_state["batch_stats"]["BatchNorm_0"]["mean"], jnp.zeros(6))


def test_only_a_full_evaluation_averages_the_logits_of_an_image_and_its_mirror(arrays):
    variables = jax.tree.map(lambda x: x, replica(0).variables)
    variables["params"]["head"]["kernel"] *= 100  # So that logits differ much from one view to another.
    loader = loaders.eval_batches(7, 48, images.image_batches(ImageData("x"), PLAIN))
    objective = classification.objective("image", flip=True)
    (metrics, _), (plain, _) = (
        jax.jit(make_evaluate(MODEL, objective, loader, full))(variables, arrays) for full in (True, False)
    )
    pixels, labels = np.asarray(arrays["image"], np.float32) / 255, np.asarray(arrays["label"])

    def expected(*views):
        logits = sum(np.asarray(MODEL.apply(variables, view, train=False), np.float64) for view in views) / len(views)
        return (np.log(np.exp(logits).sum(1)) - logits[np.arange(48), labels]).mean()

    mirror, upside_down = pixels[:, :, ::-1], pixels[:, ::-1]
    np.testing.assert_allclose(metrics["loss"].value, expected(pixels, mirror), rtol=1e-4)
    np.testing.assert_allclose(plain["loss"].value, expected(pixels), rtol=1e-4)
    for others in ((pixels,), (mirror,), (pixels, upside_down)):
        assert expected(*others) != pytest.approx(float(metrics["loss"].value), rel=1e-3)

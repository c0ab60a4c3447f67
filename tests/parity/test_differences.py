"""Where Flax, optax and jax differ from PyTorch: each trap by itself, in the smallest program that shows it.

docs/jax-and-pytorch.md has a paragraph on each.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from jax.sharding import PartitionSpec as P

torch = pytest.importorskip("torch", reason="torch is not installed: differences from PyTorch are not shown")

from jaxnets.config import Init  # noqa: E402
from jaxnets.nn import Conv, Dense, Dropout, max_pool  # noqa: E402
from jaxnets.tasks.losses import cross_entropy, smooth, soft_cross_entropy  # noqa: E402
from jaxnets.training import parallel  # noqa: E402

close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)


def t(array):
    return torch.tensor(np.array(array))


def normal(*shape):
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    torch.manual_seed(0)


def test_default_weights_of_flax_are_wider_and_its_biases_zero():
    theirs = torch.nn.Linear(400, 600)
    flax = nn.Dense(600).init(jax.random.key(0), jnp.zeros((1, 400)))["params"]
    ours = Dense(600, Init("torch")).init(jax.random.key(0), jnp.zeros((1, 400)))["params"]
    std = lambda x: float(np.std(np.asarray(x)))
    assert std(flax["kernel"]) == pytest.approx(400**-0.5, rel=0.01)
    assert std(theirs.weight.detach()) == pytest.approx(1200**-0.5, rel=0.01) == pytest.approx(std(ours["kernel"]), rel=0.02)
    assert not flax["bias"].any()
    assert std(theirs.bias.detach()) == pytest.approx(1200**-0.5, rel=0.1) == pytest.approx(std(ours["bias"]), rel=0.2)


def test_momentum_of_batch_norm_counts_the_other_way_and_its_variance_is_biased():
    x = normal(8, 3)
    theirs = torch.nn.BatchNorm1d(3)
    theirs(t(x))
    for momentum, agrees in ((theirs.momentum, False), (1 - theirs.momentum, True)):
        layer = nn.BatchNorm(use_running_average=False, momentum=momentum)
        _, updated = layer.init_with_output(jax.random.key(0), x)
        _, updated = layer.apply(updated, x, mutable=["batch_stats"])
        assert np.allclose(updated["batch_stats"]["mean"], theirs.running_mean, atol=1e-6) == agrees
    close(theirs.running_var, 0.9 + 0.1 * x.var(0) * 8 / 7)
    close(updated["batch_stats"]["var"], 0.9 + 0.1 * x.var(0))


def test_same_padding_at_stride_2_lies_on_one_side():
    x, kernel = normal(1, 8, 8, 2), normal(3, 3, 2, 4)
    theirs = torch.nn.functional.conv2d(t(x.transpose(0, 3, 1, 2)), t(kernel.transpose(3, 2, 0, 1)), stride=2, padding=1)
    theirs = theirs.numpy().transpose(0, 2, 3, 1)
    flax = nn.Conv(4, (3, 3), (2, 2), padding="SAME", use_bias=False).apply({"params": {"kernel": kernel}}, x)
    assert flax.shape == theirs.shape
    assert not np.allclose(flax, theirs, atol=0.1)
    shifted = nn.Conv(4, (3, 3), (2, 2), padding=((0, 1), (0, 1)), use_bias=False)
    close(flax, shifted.apply({"params": {"kernel": kernel}}, x), atol=1e-5)
    close(Conv(4, 3, Init(), 2, 1, bias=False).apply({"params": {"kernel": kernel}}, x), theirs, atol=1e-5)


def test_flattened_images_are_in_another_order():
    x, weight = normal(5, 3, 4, 2), normal(7, 2 * 3 * 4)  # [N, H, W, C]; PyTorch's weight is [units, C · H · W]
    theirs = torch.nn.functional.linear(t(x.transpose(0, 3, 1, 2)).flatten(1), t(weight)).numpy()
    assert not np.allclose(x.reshape(5, -1) @ weight.T, theirs, atol=0.1)
    reordered = weight.reshape(7, 2, 3, 4).transpose(2, 3, 1, 0).reshape(-1, 7)
    close(x.reshape(5, -1) @ reordered, theirs, atol=1e-5)


def test_the_reset_gate_acts_after_the_product_and_three_biases_are_missing_in_flax():
    x, h = normal(2, 3), normal(2, 4)
    theirs = torch.nn.GRUCell(3, 4)
    (wr, wz, wn), (ur, uz, un) = (np.split(w.detach().numpy(), 3) for w in (theirs.weight_ih, theirs.weight_hh))
    (br, bz, bn), (cr, cz, cn) = (np.split(b.detach().numpy(), 3) for b in (theirs.bias_ih, theirs.bias_hh))
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    r, z = sigmoid(x @ wr.T + br + h @ ur.T + cr), sigmoid(x @ wz.T + bz + h @ uz.T + cz)
    after = np.tanh(x @ wn.T + bn + r * (h @ un.T + cn))
    before = np.tanh(x @ wn.T + bn + (r * h) @ un.T + cn)
    wanted = theirs(t(x), t(h)).detach().numpy()
    close((1 - z) * after + z * h, wanted)
    assert not np.allclose((1 - z) * before + z * h, wanted, atol=1e-3)
    cell = nn.GRUCell(4)
    params = cell.init(jax.random.key(0), h, x)["params"]
    biases = [leaf for path, leaf in jax.tree.leaves_with_path(params) if path[-1].key == "bias"]
    assert (len(biases), theirs.bias_ih.numel() + theirs.bias_hh.numel()) == (4, 6 * 4)
    folded = {"ir": br + cr, "iz": bz + cz, "in": bn, "hn": cn}
    kernels = {"ir": wr, "iz": wz, "in": wn, "hr": ur, "hz": uz, "hn": un}
    copied = {k: {"kernel": w.T, **({"bias": folded[k]} if k in folded else {})} for k, w in kernels.items()}
    close(cell.apply({"params": copied}, h, x)[1], wanted)


def test_two_biases_of_an_lstm_have_one_gradient_and_learn_twice_as_fast():
    theirs = torch.nn.LSTM(3, 4)
    cell = nn.OptimizedLSTMCell(4)
    carry = cell.initialize_carry(jax.random.key(0), (2, 3))
    flax = cell.init(jax.random.key(0), carry, jnp.zeros((2, 3)))["params"]
    assert sum(p.numel() for p in theirs.parameters()) - sum(p.size for p in jax.tree.leaves(flax)) == 4 * 4
    theirs(t(normal(5, 2, 3)))[0].square().sum().backward()
    close(theirs.bias_ih_l0.grad, theirs.bias_hh_l0.grad)
    before = (theirs.bias_ih_l0 + theirs.bias_hh_l0).detach().clone()
    torch.optim.SGD(theirs.parameters(), lr=0.1).step()
    close((before - theirs.bias_ih_l0 - theirs.bias_hh_l0).detach(), 0.2 * theirs.bias_ih_l0.grad)


def steps_by_torch(make, gradients, start):
    x = t(start).requires_grad_()
    rule = make([x])
    for gradient in gradients:
        x.grad = t(gradient)
        rule.step()
    return x.detach().numpy()


def steps_by_optax(tx, gradients, start):
    x, state = jnp.asarray(start), tx.init(jnp.asarray(start))
    for gradient in gradients:
        updates, state = tx.update(jnp.asarray(gradient), state, x)
        x = optax.apply_updates(x, updates)
    return np.asarray(x)


START, GRADIENTS, NONE = normal(6), normal(5, 6), np.zeros((1, 6), np.float32)


def test_a_penalty_after_sgd_has_the_wrong_sign():
    theirs = steps_by_torch(lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1), NONE, START)
    close(steps_by_optax(optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)), NONE, START), theirs)
    assert (np.abs(theirs) < np.abs(START)).all()
    after = steps_by_optax(optax.chain(optax.sgd(0.1), optax.add_decayed_weights(0.1)), NONE, START)
    assert (np.abs(after) > np.abs(START)).all()


def test_the_penalty_of_adam_is_coupled_and_that_of_adamw_is_not():
    coupled = steps_by_torch(lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.1), GRADIENTS, START)
    decoupled = steps_by_torch(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1), GRADIENTS, START)
    close(steps_by_optax(optax.chain(optax.add_decayed_weights(0.1), optax.adam(0.1)), GRADIENTS, START), coupled, rtol=1e-4)
    close(steps_by_optax(optax.adamw(0.1, weight_decay=0.1), GRADIENTS, START), decoupled, rtol=1e-4)
    assert not np.allclose(coupled, decoupled, atol=1e-3)
    # Their default strengths differ too: 1e-2 in PyTorch, 1e-4 in optax.
    default = steps_by_torch(lambda p: torch.optim.AdamW(p, lr=0.1), GRADIENTS, START)
    close(steps_by_optax(optax.adamw(0.1, weight_decay=1e-2), GRADIENTS, START), default, rtol=1e-4)
    assert not np.allclose(steps_by_optax(optax.adamw(0.1), GRADIENTS, START), default, atol=1e-4)


def test_epsilon_of_adam_stands_outside_the_root():
    small = 1e-6 * GRADIENTS
    theirs = steps_by_torch(lambda p: torch.optim.Adam(p, lr=0.1, eps=1e-6), small, START)
    close(steps_by_optax(optax.adam(0.1, eps=1e-6), small, START), theirs, rtol=1e-4)
    inside = steps_by_optax(optax.adam(0.1, eps=0.0, eps_root=1e-6), small, START)
    assert np.abs(inside - START).max() < 0.1 * np.abs(theirs - START).max()


def test_rmsprop_has_its_epsilon_in_the_root_and_another_decay():
    small = 1e-5 * GRADIENTS
    theirs = steps_by_torch(lambda p: torch.optim.RMSprop(p, lr=0.01), small, START)
    ours = optax.rmsprop(0.01, decay=0.99, eps=1e-8, eps_in_sqrt=False, initial_scale=0.0)
    close(steps_by_optax(ours, small, START), theirs, rtol=1e-4)
    for other in (
        optax.rmsprop(0.01, decay=0.99),
        optax.rmsprop(0.01, eps_in_sqrt=False),
        optax.rmsprop(0.01, decay=0.99, eps_in_sqrt=False, initial_scale=1.0),  # as TensorFlow starts
    ):
        assert not np.allclose(steps_by_optax(other, small, START), theirs, atol=1e-3)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_not_dampened_and_nesterovs_is_pytorchs(nesterov):
    theirs = steps_by_torch(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=nesterov), GRADIENTS, START)
    close(steps_by_optax(optax.sgd(0.1, momentum=0.9, nesterov=nesterov), GRADIENTS, START), theirs)


def test_dampened_momentum_is_a_moving_average_but_for_its_first_step():
    theirs = steps_by_torch(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.9), GRADIENTS, START)
    scaled = np.concatenate([10 * GRADIENTS[:1], GRADIENTS[1:]])
    rule = optax.chain(optax.ema(0.9, debias=False), optax.sgd(0.1))
    close(steps_by_optax(rule, scaled, START), theirs)
    assert not np.allclose(steps_by_optax(rule, GRADIENTS, START), theirs, atol=1e-3)


@pytest.mark.parametrize("module", [nn.Dropout(0.5), Dropout(0.5)], ids=["flax", "ours"])
def test_a_dropout_key_used_twice_gives_the_same_mask(module):
    x = np.ones((4, 50), np.float32)
    options = {"deterministic": False} if isinstance(module, nn.Dropout) else {"train": True}
    draw = lambda key: np.asarray(module.apply({}, jnp.asarray(x), rngs={"dropout": key}, **options))
    key = jax.random.key(0)
    np.testing.assert_array_equal(draw(key), draw(key))
    assert (draw(key) != draw(jax.random.fold_in(key, 1))).any()
    theirs = torch.nn.Dropout(0.5)
    assert not torch.equal(theirs(t(x)), theirs(t(x)))
    for y in (draw(key), theirs(t(x)).numpy()):
        np.testing.assert_allclose(np.unique(y), [0, 2], rtol=1e-4)


def test_cross_entropy_is_by_example_in_optax_and_a_mean_in_pytorch():
    logits, labels = normal(6, 5), np.array([0, 1, 2, 3, 4, 0])
    theirs = torch.nn.functional.cross_entropy(t(logits), t(labels)).item()
    by_example = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    assert by_example.shape == (6,)
    assert float(by_example.mean()) == pytest.approx(theirs, rel=1e-5)
    mask = jnp.asarray([1.0, 1, 1, 0, 1, 0])
    ours = cross_entropy(jnp.asarray(logits), jnp.asarray(labels), mask)
    ignored = torch.nn.functional.cross_entropy(t(logits), t(np.where(mask > 0, labels, -100))).item()
    assert float(ours.value) == pytest.approx(ignored, rel=1e-5)
    assert float((by_example * mask).mean()) != pytest.approx(ignored, rel=0.1)  # the mean with padding


def test_smoothed_labels_are_those_of_pytorch():
    logits, labels = normal(6, 5), np.array([0, 1, 2, 3, 4, 0])
    theirs = torch.nn.functional.cross_entropy(t(logits), t(labels), label_smoothing=0.2).item()
    hot = jax.nn.one_hot(labels, 5)
    assert float(soft_cross_entropy(jnp.asarray(logits), smooth(hot, 0.2)).mean()) == pytest.approx(theirs, rel=1e-5)
    np.testing.assert_allclose(optax.smooth_labels(hot, 0.2), smooth(hot, 0.2), rtol=1e-6)


def test_a_label_out_of_range_is_an_error_in_pytorch_and_nan_here():
    logits = normal(2, 5)
    with pytest.raises(IndexError):
        torch.nn.functional.cross_entropy(t(logits), t(np.array([0, 5])))
    assert np.isnan(cross_entropy(jnp.asarray(logits), jnp.asarray([0, 5]), jnp.ones(2)).value)
    assert jnp.arange(3)[jnp.asarray(7)] == 2  # plain indexing takes the nearest element


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
def test_columns_and_rows_broadcast_to_a_matrix_unless_told_otherwise():
    column, row = normal(4, 1), normal(4)
    assert torch.nn.functional.mse_loss(t(column), t(row), reduction="none").shape == (4, 4)
    with jax.numpy_rank_promotion("allow"):
        assert (jnp.asarray(column) - jnp.asarray(row)).shape == (4, 4)
    with jax.numpy_rank_promotion("raise"), pytest.raises(ValueError, match="rank_promotion"):
        jnp.asarray(column) - jnp.asarray(row)


def test_gradients_of_equal_maxima():
    """Pooling gives all to the first in both; a plain maximum shares in jax, but not along an axis in PyTorch."""
    x = np.zeros((1, 2, 2, 1), np.float32)
    theirs = t(x.transpose(0, 3, 1, 2)).requires_grad_()
    torch.nn.functional.max_pool2d(theirs, 2).sum().backward()
    ours = jax.grad(lambda x: max_pool(x, 2).sum())(jnp.asarray(x))
    assert ours.ravel().tolist() == theirs.grad.ravel().tolist() == [1, 0, 0, 0]
    row = t(np.zeros(2, np.float32)).requires_grad_()
    row.max(0).values.backward()
    assert row.grad.sum() == row.grad.max() == 1
    assert jax.grad(jnp.max)(jnp.zeros(2)).tolist() == [0.5, 0.5]


def test_scalar_arrays_promote_here_and_not_in_pytorch():
    half = jnp.ones(2, jnp.bfloat16)
    assert (half * 2.0).dtype == jnp.bfloat16
    assert (half * jnp.float32(2)).dtype == jnp.float32
    assert (torch.ones(2, dtype=torch.bfloat16) * torch.tensor(2.0)).dtype == torch.bfloat16
    assert jnp.arange(3).dtype == jnp.int32
    assert torch.arange(3).dtype == torch.int64
    assert jnp.asarray(np.float64(1) * np.ones(2)).dtype == jnp.float32
    assert torch.tensor(np.ones(2)).dtype == torch.float64


def test_numbers_come_from_a_key_and_not_from_a_hidden_state():
    theirs = torch.rand(1000), torch.rand(1000)
    key = jax.random.key(0)
    ours = jax.random.uniform(key, (1000,)), jax.random.uniform(key, (1000,))
    assert not torch.equal(*theirs)
    np.testing.assert_array_equal(*ours)
    assert not np.isclose(ours[0], theirs[0], atol=1e-6).any()


def test_gradients_under_shard_map_are_summed_already():
    """DistributedDataParallel averages. Here a replicated parameter's gradient is the sum, which pmean leaves as it is."""
    mesh = parallel.make_mesh()
    x = jnp.arange(8.0)
    local_mean = lambda w, x: (w * x).mean()

    def gradient(average):
        body = lambda w, x: average(jax.grad(local_mean)(w, x))
        return float(jax.shard_map(body, mesh=mesh, in_specs=(P(), P(parallel.AXIS)), out_specs=P())(jnp.float32(1), x))

    whole = float(jax.grad(local_mean)(jnp.float32(1), x))
    assert gradient(lambda g: g) == pytest.approx(4 * whole)
    assert gradient(lambda g: jax.lax.pmean(g, parallel.AXIS)) == pytest.approx(4 * whole)
    assert gradient(lambda g: g / 4) == pytest.approx(whole)


def test_a_standard_deviation_is_of_the_sample_in_pytorch():
    x = normal(5)
    assert float(jnp.std(x)) == pytest.approx(float(t(x).std(correction=0)), rel=1e-5)
    assert float(jnp.std(x, ddof=1)) == pytest.approx(float(t(x).std()), rel=1e-5)


def test_gelu_and_layer_norm_have_other_defaults():
    x = 3 * normal(4, 8)
    exact, flat = torch.nn.functional.gelu(t(x)).numpy(), 1e-3 * x
    assert np.abs(jax.nn.gelu(x) - exact).max() > 1e-4
    close(jax.nn.gelu(x, approximate=False), exact)
    theirs = torch.nn.functional.layer_norm(t(flat), (8,)).numpy()
    norm = lambda **options: nn.LayerNorm(**options).init_with_output(jax.random.key(0), flat)[0]
    assert np.abs(norm() - theirs).max() > 0.1
    close(norm(epsilon=1e-5), theirs, rtol=1e-4, atol=1e-5)

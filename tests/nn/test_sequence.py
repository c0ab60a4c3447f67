"""Stacks of recurrent layers against torch.nn, with weights copied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.nn.rnn import sequence_mask
from jaxnets.nn.sequence import Embed, Recurrent, RNNState, last_outputs

STEPS, BATCH, INPUTS, HIDDEN, LAYERS = 9, 5, 6, 7, 2


def parameters(cell):
    layer = Recurrent(cell, HIDDEN, LAYERS)
    x = jax.random.normal(jax.random.key(1), (STEPS, BATCH, INPUTS))
    lengths = jnp.asarray([9, 4, 1, 9, 6])
    state = RNNState(*jax.random.normal(jax.random.key(2), (2, LAYERS, BATCH, HIDDEN)))
    return layer, layer.init(jax.random.key(0), x, lengths, train=False)["params"], x, lengths, state


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_equals_torch_with_gradients(cell):
    torch = pytest.importorskip("torch", reason="torch is not installed: agreement with PyTorch is not tested")
    layer, params, x, lengths, state = parameters(cell)

    def loss(params, x, state):
        outputs, final = layer.apply({"params": params}, x, lengths, state, train=False)
        total = (outputs * jnp.cos(jnp.arange(outputs.size)).reshape(outputs.shape)).sum() + (final.h**2).sum()
        return (total + (final.c**2).sum() if cell == "lstm" else total), (outputs, final)

    (_, (outputs, final)), grads = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(params, x, state)

    twin = getattr(torch.nn, cell.upper())(INPUTS, HIDDEN, LAYERS)
    names = {"input_kernel": "weight_ih", "hidden_kernel": "weight_hh", "input_bias": "bias_ih", "hidden_bias": "bias_hh"}
    with torch.no_grad():
        for name, value in params.items():
            kind, k = name.rsplit("_", 1)
            getattr(twin, f"{names[kind]}_l{k}").copy_(torch.tensor(np.asarray(value).T))
    tensor = lambda value: torch.tensor(np.asarray(value), requires_grad=True)
    tx, th, tc = tensor(x), tensor(state.h), tensor(state.c)
    packed = torch.nn.utils.rnn.pack_padded_sequence(tx, torch.tensor(np.asarray(lengths)), enforce_sorted=False)
    packed_outputs, last = twin(packed, (th, tc) if cell == "lstm" else th)
    touts, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_outputs, total_length=STEPS)
    h, c = last if cell == "lstm" else (last, None)
    total = (touts * torch.cos(torch.arange(touts.numel())).reshape(touts.shape)).sum() + (h**2).sum()
    (total + (c**2).sum() if cell == "lstm" else total).backward()

    def close(ours, theirs):
        wanted = theirs.detach().numpy()
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())

    close(outputs, touts)
    close(final.h, h)
    close(grads[1], tx.grad)
    close(grads[2].h, th.grad)
    if cell == "lstm":
        close(final.c, c)
        close(grads[2].c, tc.grad)
    for name, value in grads[0].items():
        kind, k = name.rsplit("_", 1)
        close(value.T, getattr(twin, f"{names[kind]}_l{k}").grad)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_reading_in_two_parts_is_reading_at_once(cell):
    layer, params, x, _, state = parameters(cell)
    full = lambda steps: jnp.full(BATCH, steps)
    whole, final = layer.apply({"params": params}, x, full(STEPS), state, train=False)
    first, between = layer.apply({"params": params}, x[:4], full(4), state, train=False)
    second, last = layer.apply({"params": params}, x[4:], full(STEPS - 4), between, train=False)
    np.testing.assert_allclose(jnp.concatenate([first, second]), whole, rtol=1e-6, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), last, final)


def test_the_last_output_is_the_final_state_of_the_top_layer():
    layer, params, x, lengths, state = parameters("gru")
    outputs, final = layer.apply({"params": params}, x, lengths, state, train=False)
    np.testing.assert_array_equal(last_outputs(outputs, lengths), final.h[-1])
    assert (jnp.abs(outputs).max(-1).T > 0).astype(int).tolist() == sequence_mask(STEPS, lengths).astype(int).tolist()


def test_dropout_acts_between_layers_alone():
    x = jax.random.normal(jax.random.key(1), (STEPS, BATCH, INPUTS))
    full = jnp.full(BATCH, STEPS)
    for layers, differs in ((1, False), (2, True)):
        layer = Recurrent("lstm", HIDDEN, layers, dropout=0.5)
        variables = layer.init(jax.random.key(0), x, full, train=False)
        plain, _ = layer.apply(variables, x, full, train=False)
        dropped, _ = layer.apply(variables, x, full, train=True, rngs={"dropout": jax.random.key(3)})
        assert (jnp.abs(plain - dropped).max() > 1e-3) == differs


def test_embedding():
    table = Embed(5, 3)
    variables = table.init(jax.random.key(0), jnp.zeros(1, jnp.int32))
    rows = table.apply(variables, jnp.asarray([[4, 0]]))
    np.testing.assert_array_equal(rows[0, 0], variables["params"]["table"][4])

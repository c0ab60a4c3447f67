"""Nets for text: the reports' cell against PyTorch's way of writing it, padding, reading on, decoding step by step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import models
from jaxnets.config.model import CharRNNConfig, LanguageModelConfig, SentimentRNNConfig, TranslatorConfig
from jaxnets.nn.sequence import zero_carry
from jaxnets.tasks import char_lm, language_model

NAMES = {"vocab_size": 9, "categories": 3}


def integers(seed, *shape, top):
    return jnp.asarray(np.random.default_rng(seed).integers(0, top, shape).astype(np.int32))


# Programs as a whole compile sooner than one operation after the other.
def init(model, *inputs):
    return jax.jit(lambda key: model.init(key, *inputs, train=False))(jax.random.key(0))


def compiled(model):
    """`model.apply`, in evaluation unless told otherwise."""
    return jax.jit(functools.partial(model.apply, train=False), static_argnames=("train", "method"))


def away_from_zero(params):
    """All parameters, biases too, moved away from zero, so that no product with 0 hides an error."""
    rng = np.random.default_rng(9)
    return jax.tree.map(lambda x: (x + 0.1 * rng.normal(size=x.shape)).astype(np.float32), params)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_linear_cell_equals_the_reports_in_torch_with_gradients(conditional):
    torch = pytest.importorskip("torch", reason="torch is not installed: agreement with PyTorch is not tested")
    model = models.build(CharRNNConfig(hidden=5, dropout=0.0, conditional=conditional), NAMES)
    letters, following, category = integers(0, 4, 6, top=9), integers(1, 4, 6, top=9), integers(2, 4, top=3)
    lengths = jnp.asarray([6, 2, 5, 1])
    params = away_from_zero(init(model, letters, lengths, category)["params"])
    task = char_lm.objective()
    mask = (jnp.arange(6)[None] < lengths[:, None]).astype(jnp.float32)
    batch = {"letter": letters, "next": following, "length": lengths, "category": category, "mask": mask}
    loss = lambda params: task.metrics(model.apply({"params": params}, *task.inputs(batch), train=True), batch)["loss"].value
    value, grads = jax.jit(jax.value_and_grad(loss))(params)

    layers = {}
    for name, layer in params.items():
        rows, columns = layer["kernel"].shape
        layers[name] = torch.nn.Linear(rows, columns)
        with torch.no_grad():
            layers[name].weight.copy_(torch.tensor(np.asarray(layer["kernel"]).T))
            layers[name].bias.copy_(torch.tensor(np.asarray(layer["bias"])))
    total, count = 0.0, 0
    for k in range(4):
        hidden = torch.zeros(1, 5)
        for t in range(int(lengths[k])):
            x = torch.nn.functional.one_hot(torch.tensor([int(letters[k, t])]), 9).float()
            if conditional:
                x = torch.cat([torch.nn.functional.one_hot(torch.tensor([int(category[k])]), 3).float(), x], 1)
            combined = torch.cat([x, hidden], 1)
            hidden, output = layers["i2h"](combined), layers["i2o"](combined)
            logits = layers["head"](torch.cat([hidden, output], 1))
            total = total + torch.nn.functional.cross_entropy(logits, torch.tensor([int(following[k, t])]))
            count += 1
    (total / count).backward()
    assert float(value) == pytest.approx((total / count).item(), rel=1e-5)
    for name, layer in layers.items():
        for ours, theirs in ((grads[name]["kernel"].T, layer.weight.grad), (grads[name]["bias"], layer.bias.grad)):
            expected = theirs.numpy()
            np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("cell", ["linear", "gru", "lstm"])
def test_letters_after_the_end_change_nothing(cell):
    model = models.build(CharRNNConfig(cell=cell, hidden=5), NAMES)
    letters, lengths, category = integers(0, 3, 6, top=9), jnp.asarray([2, 6, 4]), jnp.zeros(3, jnp.int32)
    variables = init(model, letters, lengths, category)
    other = jnp.where(jnp.arange(6)[None] < lengths[:, None], letters, 8)
    apply = compiled(model)
    first, second = (apply(variables, x, lengths, category) for x in (letters, other))
    for k, n in enumerate(lengths.tolist()):
        np.testing.assert_array_equal(first.logits[k, :n], second.logits[k, :n])
    jax.tree.map(np.testing.assert_array_equal, first.state, second.state)


@pytest.mark.parametrize("pool", ["last", "mean_max"])
def test_words_after_a_reviews_end_change_nothing(pool):
    model = models.build(SentimentRNNConfig(hidden=4, embedding=3, pool=pool), {"vocab_size": 9})
    words, lengths = integers(0, 4, 6, top=9), jnp.asarray([1, 6, 3, 0])
    variables = init(model, words, lengths)
    longer = jnp.concatenate([jnp.where(jnp.arange(6)[None] < jnp.maximum(lengths, 1)[:, None], words, 7), words], 1)
    apply = compiled(model)
    first, second = (apply(variables, x, lengths) for x in (words, longer))
    np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-7)
    assert not np.asarray(first)[:, 0].any()
    assert np.isfinite(first).all()


@pytest.mark.parametrize("tied", [False, True])
def test_a_language_model_reads_on(tied):
    config = LanguageModelConfig(embedding=6, hidden=6, layers=2, tied=tied)
    model = models.build(config, {"vocab_size": 11})
    tokens = integers(0, 3, 8, top=11)
    variables = init(model, tokens, zero_carry(2, 3, 6))
    assert ("head" in variables["params"]) != tied
    apply = compiled(model)
    at_once = apply(variables, tokens, zero_carry(2, 3, 6))
    task = language_model.objective(by_letter=True)
    carry = zero_carry(2, 3, 6)
    parts = []
    for k, at in enumerate((0, 4)):
        batch = {"token": tokens[:, at : at + 4], "reset": jnp.asarray(float(k == 0))}
        read = apply(variables, *task.inputs(task.with_carry(batch, carry)))
        parts.append(read.features)
        carry = task.carry(read)
    np.testing.assert_allclose(jnp.concatenate(parts, 1), at_once.features, rtol=1e-5, atol=1e-6)
    forgotten = task.with_carry({"token": tokens, "reset": jnp.asarray(1.0)}, carry)["state"]
    assert all((x == 0).all() for x in forgotten)


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_decoding_word_by_word_is_decoding_at_once(cell, attention):
    model = models.build(
        TranslatorConfig(cell=cell, hidden=5, attention=attention), {"source_vocab_size": 8, "target_vocab_size": 7}
    )
    source, target, lengths = integers(0, 3, 6, top=8), integers(1, 3, 4, top=7), jnp.asarray([6, 1, 3])
    variables = init(model, source, lengths, target)
    apply = compiled(model)
    logits = apply(variables, source, lengths, target)
    encoded = apply(variables, source, lengths, method="encode")
    state, steps = encoded.state, []
    for t in range(4):
        one, state = apply(variables, encoded, state, target[:, t : t + 1], method="decode")
        steps.append(one)
    np.testing.assert_allclose(jnp.concatenate(steps, 1), logits, rtol=1e-5, atol=1e-5)
    # Words after the source's end are not seen.
    other = jnp.where(jnp.arange(6)[None] < lengths[:, None], source, 7)
    np.testing.assert_array_equal(apply(variables, other, lengths, target), logits)


def test_teacher_forcing_mixes_true_words_and_guesses():
    model = models.build(TranslatorConfig(hidden=5), {"source_vocab_size": 8, "target_vocab_size": 7})
    source, target, lengths = integers(0, 3, 6, top=8), integers(1, 3, 4, top=7), jnp.asarray([6, 1, 3])
    variables = init(model, source, lengths, target)
    apply = compiled(model)
    run = lambda share: apply(variables, source, lengths, target, share, train=True, rngs={"dropout": jax.random.key(1)})
    plain = apply(variables, source, lengths, target)
    np.testing.assert_allclose(run(1.0), plain, rtol=1e-6)
    guesses = jnp.concatenate([target[:, :1], plain.argmax(-1)[:, :-1]], 1)
    np.testing.assert_allclose(run(0.0), apply(variables, source, lengths, guesses), rtol=1e-6)

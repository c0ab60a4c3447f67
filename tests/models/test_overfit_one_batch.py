"""Every architecture can learn one small batch by heart: gradients reach all that matters, with the right sign."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import config, models
from jaxnets.nn.sequence import zero_carry
from jaxnets.tasks import autoencoding, char_lm, classification, language_model, translation
from jaxnets.training import state
from jaxnets.training.step import make_train_step

RNG = np.random.default_rng(0)
N, T = 6, 5
LABELS = {"label": jnp.arange(N) % 3, "mask": jnp.ones(N)}
LENGTHS = jnp.full((N,), T)


def integers(top, *shape):
    return RNG.integers(0, top, shape).astype(np.int32)


def images(side, channels=3):
    return {"image": RNG.random((N, side, side, channels)).astype(np.float32), **LABELS}


def case(model, sizes, objective, batch, carry=()):
    return model, sizes, objective, batch, carry


CLASSES = {"classes": 3}
TOKENS = {"token": integers(7, N, T), "next": integers(7, N, T), "mask": jnp.ones((N, T)), "reset": jnp.ones(())}
LETTERS = {"letter": integers(7, N, T), "next": integers(7, N, T), "length": LENGTHS, "category": integers(2, N)}
PAIRS = {"source": integers(7, N, T), "source_length": LENGTHS, "before": integers(6, N, T), "target": integers(6, N, T)}
FEATURES = {"pyramid": RNG.random((N, 20)).astype(np.float32), **LABELS}
CLASSIFY = classification.objective("image")
CASES = {
    "lenet": case(config.LeNetConfig(batch_norm=True), CLASSES, CLASSIFY, images(32)),
    "tutorial_net": case(config.TutorialNetConfig(), CLASSES, CLASSIFY, images(32)),
    "small_cnn": case(config.SmallCNNConfig(), CLASSES, CLASSIFY, images(32)),
    "cnn": case(config.CNNConfig(width=8, dense=16), CLASSES, CLASSIFY, images(16)),
    "mlp": case(config.MLPConfig(hidden=(16,)), CLASSES, CLASSIFY, images(8)),
    "resnet": case(config.ResNetConfig(blocks=(1, 1), width=8), CLASSES, CLASSIFY, images(16)),
    "resnet50": case(config.ResNet50Config(weights="none", blocks=(1, 1), width=8), CLASSES, CLASSIFY, images(32)),
    "fast_cnn": case(config.FastCNNConfig(widths=(8, 8), depth=3, residual=True), CLASSES, CLASSIFY, images(16)),
    "row_rnn": case(config.RowRNNConfig(hidden=16), CLASSES, CLASSIFY, images(8, 1)),
    "autoencoder": case(config.AutoencoderConfig(hidden=(32,)), {}, autoencoding.objective(), images(6, 1)),
    "linear": case(config.LinearConfig(), CLASSES, classification.objective("pyramid"), FEATURES),
    "sentiment_rnn": case(
        config.SentimentRNNConfig(hidden=8, embedding=8, dropout=0.0),
        {"vocab_size": 9},
        classification.objective("token", "length"),
        {"token": 1 + integers(8, N, T), "length": LENGTHS, "label": jnp.arange(N) % 2, "mask": jnp.ones(N)},
    ),
    "char_rnn": case(
        config.CharRNNConfig(hidden=32, dropout=0.0, cell="gru"),
        {"vocab_size": 7, "categories": 2},
        char_lm.objective(),
        {**LETTERS, "mask": jnp.ones((N, T))},
    ),
    "language_model": case(
        config.LanguageModelConfig(embedding=16, hidden=32, layers=1),
        {"vocab_size": 7},
        language_model.objective(True),
        TOKENS,
        zero_carry(1, N, 32),
    ),
    "translator": case(
        config.TranslatorConfig(hidden=32, attention=True),
        {"source_vocab_size": 7, "target_vocab_size": 6},
        translation.objective(),
        {**PAIRS, "mask": jnp.ones((N, T))},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_loss_falls_below_a_third(name):
    model_config, sizes, objective, batch, carry = CASES[name]
    model, tx = models.build(model_config, sizes), optax.with_extra_args_support(optax.adam(1e-2))
    inputs = objective.inputs(objective.with_carry(batch, carry))
    step = make_train_step(model, objective, tx)

    @jax.jit
    def losses():
        start = state.create(jax.random.key(0), model, tx, inputs, carry)
        return jax.lax.scan(lambda current, _: step(current, batch), start, length=80)[1]["loss"].value

    # An autoencoder cannot go below the noise of its narrow layer; all others come to almost nothing.
    values = np.asarray(losses())
    assert values[-1] < values[0] / 3, (values[0], values[-1])


def test_no_architecture_is_left_out():
    """Every model config of jaxnets.config has its case."""
    tried = {type(model_config) for model_config, *_ in CASES.values()}
    defined = {kind for kind in config.ModelConfig.__subclasses__() if kind.__module__.startswith("jaxnets.")}
    assert tried == defined

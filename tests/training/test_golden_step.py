"""The first two steps of two nets, against recorded numbers.

If one of these numbers changes, so does every published result: initial weights, dropout, the loss, a gradient or an update
rule is another one. The numbers hold on every CPU and instruction set to the tolerance below, so a slower or faster way to
compute the same thing does not change them. A new release of jax or Flax may, if it draws other random numbers.

If a change is intended, run this file, put in the numbers that it prints, and say in the commit what changed them and that
runs made before cannot be resumed or compared bit for bit. If it is not, the change has a bug: the first number that differs
tells where. A first loss that differs points to initial weights, dropout or the forward pass; a first norm to gradients or
the update rule; a second loss alone to what the step carries over, such as keys and running statistics.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import models
from jaxnets.config import LanguageModelConfig, LeNetConfig, Optim
from jaxnets.nn.sequence import zero_carry
from jaxnets.optim import optimizer
from jaxnets.tasks import classification, language_model
from jaxnets.training import state
from jaxnets.training.step import make_train_step

RNG = np.random.default_rng(0)
IMAGES = {
    "image": jnp.asarray(RNG.random((8, 32, 32, 3)), jnp.float32),
    "label": jnp.asarray(RNG.integers(0, 10, 8), jnp.int32),
    "mask": jnp.ones(8),
}
TOKENS = jnp.asarray(RNG.integers(0, 11, (4, 7)), jnp.int32)
TEXT = {"token": TOKENS[:, :-1], "next": TOKENS[:, 1:], "mask": jnp.ones((4, 6)), "reset": jnp.ones(())}


def two_steps(config, sizes, objective, inputs, batch, carry=()):
    """Loss of the first step, norm of all parameters after it, and the same of the second step."""
    model = models.build(config, sizes)
    tx = optimizer.build(Optim("adam", lr=1e-2, clip=1.0), 100, 10)
    current = jax.jit(lambda key: state.create(key, model, tx, inputs, carry))(state.replica_keys(0, 1)[0])
    step, norm, numbers = jax.jit(make_train_step(model, objective, tx)), jax.jit(optax.tree.norm), []
    for _ in range(2):
        current, metrics = step(current, batch)
        numbers += [float(metrics["loss"].value), float(norm(current.params))]
    return numbers


def test_lenet_with_batch_norm_and_dropout():
    config = LeNetConfig(batch_norm=True, dropout_conv=(0.1, 0.1), dense=(20,))
    numbers = two_steps(config, {"classes": 10}, classification.objective("image"), (IMAGES["image"][:1],), IMAGES)
    assert numbers == pytest.approx([2.459197, 7.774327, 0.959814, 7.892581], rel=1e-4)


def test_a_language_model_by_lstm():
    config = LanguageModelConfig(embedding=6, hidden=5, layers=1, dropout=0.2)
    numbers = two_steps(
        config,
        {"vocab_size": 11},
        language_model.objective(True),
        (TOKENS[:1, :2], zero_carry(1, 1, 5)),
        TEXT,
        zero_carry(1, 4, 5),
    )
    assert numbers == pytest.approx([2.433567, 4.580634, 2.421207, 4.587408], rel=1e-4)

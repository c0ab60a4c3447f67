"""A recurrent classifier of reviews (report S4 §6.11)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import SentimentRNNConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import Dense, Dropout
from jaxnets.nn.sequence import Embed, Recurrent, last_outputs

Array = jax.Array


class SentimentRNN(nn.Module):
    """Words int [N, T], lengths int [N] -> logits [N, classes], for two classes of "negative" and "positive".

    Embedding, recurrent layers, their last output or the mean and maximum of all outputs, and the head. The report's head is
    one sigmoid unit. The softmax of (0, z) is the sigmoid of z, and its cross entropy the binary one, so the logits of two
    classes are a constant 0 and that unit's z. More classes have a unit each.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import SentimentRNNConfig
    >>> model = SentimentRNN(SentimentRNNConfig(), vocab_size=1001)  # Report S4 §6.11.
    >>> run = lambda key, words, lengths: model.init_with_output(key, words, lengths, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((4, 200), int), jnp.full(4, 200))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((4, 2), 920385)
    """

    config: SentimentRNNConfig
    vocab_size: int
    classes: int = 2
    axis_name: str | None = None

    @nn.compact
    def __call__(self, words: Array, lengths: Array, *, train: bool) -> Array:
        config = self.config
        lengths = jnp.maximum(lengths, 1)  # A review with no known word is read as one word of padding.
        x = Embed(self.vocab_size, config.embedding)(words.T)
        x = Dropout(config.dropout_inner)(x, train=train)
        h, _ = Recurrent(config.cell, config.hidden, config.layers, config.dropout_inner)(x, lengths, train=train)
        if config.pool == "mean_max":
            # Outputs after the end are 0: they do not change the sum, but must not enter the maximum.
            is_padding = jnp.arange(h.shape[0]).reshape(-1, 1, 1) >= lengths.reshape(1, -1, 1)
            maximum = jnp.where(is_padding, -jnp.inf, h).max(0)
            pooled = jnp.concatenate([h.sum(0) / lengths.reshape(-1, 1), maximum], axis=-1)
        else:
            pooled = last_outputs(h, lengths)
        units = 1 if self.classes == 2 else self.classes
        z = Dense(units, config.init, name="head")(Dropout(config.dropout)(pooled, train=train))
        return z if self.classes > 2 else jnp.concatenate([jnp.zeros_like(z), z], axis=-1)

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        del shape
        arguments = torch_form.arguments(self.config, vocab_size=self.vocab_size, classes=self.classes)
        return TorchForm(arguments, {"embed": "Embed_0", "rnn": "Recurrent_0", "fc": "head"})

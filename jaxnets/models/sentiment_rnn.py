"""Sentiment of reviews (report S4 §6.11)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import SentimentRNNConfig
from jaxnets.nn.layers import Dense, Dropout
from jaxnets.nn.sequence import Embed, Recurrent, last_outputs

Array = jax.Array


class SentimentRNN(nn.Module):
    """Words [N, T], lengths [N] -> logits [N, 2] of "negative" and "positive".

    The report's net ends in one sigmoid unit. Softmax over (0, z) is the sigmoid of z and its cross entropy the binary
    one, so the logits here are that unit's z beside a constant 0.
    """

    config: SentimentRNNConfig
    vocab_size: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, words: Array, lengths: Array, *, train: bool) -> Array:
        config = self.config
        lengths = jnp.maximum(lengths, 1)  # A review of unknown words alone is one word of padding.
        x = Embed(self.vocab_size, config.embedding)(words.T)
        x = Dropout(config.dropout_inner)(x, train=train)
        h, _ = Recurrent(config.cell, config.hidden, config.layers, config.dropout_inner)(x, lengths, train=train)
        if config.pool == "mean_max":
            # Outputs behind the end are 0, which neither sum nor maximum may take for outputs.
            ended = jnp.arange(h.shape[0]).reshape(-1, 1, 1) >= lengths.reshape(1, -1, 1)
            top = jnp.where(ended, -jnp.inf, h).max(0)
            pooled = jnp.concatenate([h.sum(0) / lengths.reshape(-1, 1), top], axis=-1)
        else:
            pooled = last_outputs(h, lengths)
        z = Dense(1, config.init, name="head")(Dropout(config.dropout)(pooled, train=train))
        return jnp.concatenate([jnp.zeros_like(z), z], axis=-1)

"""A recurrent language model (reports S0 §2, S4 §6.9 and §6.10)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import LanguageModelConfig
from jaxnets.nn.layers import DenseParams, Dropout
from jaxnets.nn.sequence import Embed, Recurrent, RNNState

Array = jax.Array


class LanguageModelOutput(NamedTuple):
    """Outputs of LanguageModel. The logits are features @ kernel + bias; whoever needs them decides how many at once."""

    features: Array
    """Behind each token: [N, T, F]."""
    kernel: Array
    """[F, vocab_size]."""
    bias: Array
    """[vocab_size]."""
    state: RNNState
    """Behind the last token."""


class LanguageModel(nn.Module):
    """Tokens [N, T], state -> LanguageModelOutput.

    A tied head shares the embedding's table and has no bias (Press and Wolf 2017). Tables start with the standard deviation
    of numbers uniform in ±0.1, PyTorch's word-model example's: a tied table of deviation 1 would make the first losses huge.
    """

    config: LanguageModelConfig
    vocab_size: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, tokens: Array, state: RNNState | None = None, *, train: bool) -> LanguageModelOutput:
        config = self.config
        embed = Embed(self.vocab_size, config.embedding, std=0.1 / 3**0.5)
        x = Dropout(config.dropout)(embed(tokens.T), train=train)
        lengths = jnp.full((tokens.shape[0],), tokens.shape[1])
        h, state = Recurrent(config.cell, config.hidden, config.layers, config.dropout)(x, lengths, state, train=train)
        h = Dropout(config.dropout)(h, train=train)
        if config.tied:
            kernel, bias = embed.table.T, jnp.zeros(self.vocab_size)
        else:
            kernel, bias = DenseParams(config.hidden, self.vocab_size, config.init, name="head")()
        return LanguageModelOutput(h.swapaxes(0, 1), kernel, bias, state)

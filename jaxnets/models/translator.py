"""Translation by an encoder and a decoder (report S4 §6.12; Sutskever et al. 2014, Cho et al. 2014)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import TranslatorConfig
from jaxnets.nn.layers import Dense, Dropout
from jaxnets.nn.sequence import Embed, Recurrent, RNNState, sequence_mask

Array = jax.Array


class Encoded(NamedTuple):
    """A source sentence as the decoder sees it."""

    outputs: Array
    """[S, N, H]."""
    mask: Array
    """1 for words, 0 behind the end: [N, S]."""
    state: RNNState


class Translator(nn.Module):
    """Source words [N, S], their lengths [N], target words [N, T] -> logits of the word behind each, [N, T,
    target_vocab_size].

    With attention, a decoder output looks at the encoder's outputs by dot product, and a tanh layer joins it with what it
    saw (Luong et al. 2015, "dot", without input feeding).

    With `teacher_forcing` below 1 that share of the target words the decoder sees are the true ones and the others its own
    guesses. The guesses come from a first pass over the true words, so that both passes read all words at once (parallel
    scheduled sampling, Duckworth et al. 2019).
    """

    config: TranslatorConfig
    source_vocab_size: int
    target_vocab_size: int
    axis_name: str | None = None

    def setup(self) -> None:
        config = self.config
        self.source_embed = Embed(self.source_vocab_size, config.hidden)
        self.target_embed = Embed(self.target_vocab_size, config.hidden)
        self.encoder = Recurrent(config.cell, config.hidden)
        self.decoder = Recurrent(config.cell, config.hidden)
        self.dropout = Dropout(config.dropout)
        self.head = Dense(self.target_vocab_size, config.init)
        if config.attention:
            self.join = Dense(config.hidden, config.init)

    def __call__(
        self, source: Array, lengths: Array, target: Array, teacher_forcing: Array | None = None, *, train: bool
    ) -> Array:
        encoded = self.encode(source, lengths, train=train)
        if teacher_forcing is not None:
            guessed = self.decode(encoded, encoded.state, target, train=train)[0].argmax(-1).astype(target.dtype)
            guessed = jnp.concatenate([target[:, :1], guessed[:, :-1]], axis=1)
            true = jax.random.bernoulli(self.make_rng("dropout"), teacher_forcing, target.shape)
            target = jnp.where(true, target, guessed)
        return self.decode(encoded, encoded.state, target, train=train)[0]

    def encode(self, source: Array, lengths: Array, *, train: bool) -> Encoded:
        """Reads source sentences."""
        x = self.dropout(self.source_embed(source.T), train=train)
        outputs, state = self.encoder(x, lengths, train=train)
        return Encoded(outputs, sequence_mask(source.shape[1], lengths), state)

    def decode(self, encoded: Encoded, state: RNNState, target: Array, *, train: bool) -> tuple[Array, RNNState]:
        """Logits behind each of the words [N, T], and the state behind the last."""
        x = self.dropout(self.target_embed(target.T), train=train)
        lengths = jnp.full((target.shape[0],), target.shape[1])
        h, state = self.decoder(x, lengths, state, train=train)
        if self.config.attention:
            scores = jnp.einsum("tnh,snh->nts", h, encoded.outputs)
            weights = jax.nn.softmax(jnp.where(encoded.mask[:, None] > 0, scores, -jnp.inf))
            seen = jnp.einsum("nts,snh->tnh", weights, encoded.outputs)
            h = jnp.tanh(self.join(jnp.concatenate([h, seen], axis=-1)))
        return self.head(self.dropout(h, train=train)).swapaxes(0, 1), state

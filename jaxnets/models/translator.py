"""Translation by an encoder and a decoder (report S4 §6.12; Sutskever et al. 2014, Cho et al. 2014)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import TranslatorConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import Dense, Dropout
from jaxnets.nn.rnn import sequence_mask
from jaxnets.nn.sequence import Embed, Recurrent, RNNState

Array = jax.Array


class Encoded(NamedTuple):
    """Source sentences as the decoder sees them."""

    outputs: Array
    """The encoder's outputs [S, N, hidden], time first."""
    mask: Array
    """1 for words, 0 for padding: [N, S]."""
    state: RNNState
    """The encoder's state after each sentence, [1, N, hidden]."""


class Translator(nn.Module):
    """Source int [N, S], source lengths int [N], target int [N, T] -> logits [N, T, target_vocab_size] of the next words.

    An embedding and a recurrent layer each for encoder and decoder; the decoder starts from the encoder's last state. With
    `config.attention`, a decoder output h attends to the encoder's outputs by dot product, and tanh(W [h, context] + b)
    replaces it ("dot" without input feeding).

    With `teacher_forcing`, a probability, the decoder reads each target word with that probability and its own prediction
    otherwise. The predictions come from a first pass over the target, so that both passes read all words at once (parallel
    scheduled sampling).

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import TranslatorConfig
    >>> model = Translator(TranslatorConfig(cell="gru"), source_vocab_size=4345, target_vocab_size=2803)  # Report S4 §6.12.
    >>> run = lambda key, *inputs: model.init_with_output(key, *inputs, train=False)
    >>> inputs = jnp.zeros((4, 10), int), jnp.full(4, 10), jnp.zeros((4, 11), int)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), *inputs)
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((4, 11, 2803), 3339763)

    References:
      Cho, K. et al. (2014), Learning phrase representations using RNN encoder-decoder for statistical machine translation.
      Sutskever, I. et al. (2014), Sequence to sequence learning with neural networks.
      Luong, M.-T. et al. (2015), Effective approaches to attention-based neural machine translation.
      Duckworth, D. et al. (2019), Parallel scheduled sampling.
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
            predicted = self.decode(encoded, encoded.state, target, train=train)[0].argmax(-1).astype(target.dtype)
            predicted = jnp.concatenate([target[:, :1], predicted[:, :-1]], axis=1)
            is_forced = jax.random.bernoulli(self.make_rng("dropout"), teacher_forcing, target.shape)
            target = jnp.where(is_forced, target, predicted)
        return self.decode(encoded, encoded.state, target, train=train)[0]

    def encode(self, source: Array, lengths: Array, *, train: bool) -> Encoded:
        """Reads source sentences: int [N, S], their lengths int [N]."""
        x = self.dropout(self.source_embed(source.T), train=train)
        outputs, state = self.encoder(x, lengths, train=train)
        return Encoded(outputs, sequence_mask(source.shape[1], lengths), state)

    def decode(self, encoded: Encoded, state: RNNState, target: Array, *, train: bool) -> tuple[Array, RNNState]:
        """Continues target sentences from a state.

        Args:
          encoded: the source sentences.
          state: the decoder's state before the first word; `encoded.state` at the start of a sentence.
          target: words int [N, T].
          train: whether dropout acts.

        Returns:
          Logits [N, T, target_vocab_size] of the word after each word, and the state after the last one.
        """
        x = self.dropout(self.target_embed(target.T), train=train)
        lengths = jnp.full((target.shape[0],), target.shape[1])
        h, state = self.decoder(x, lengths, state, train=train)
        if self.config.attention:
            scores = jnp.einsum("tnh,snh->nts", h, encoded.outputs)
            weights = jax.nn.softmax(jnp.where(encoded.mask[:, None] > 0, scores, -jnp.inf))
            context = jnp.einsum("nts,snh->tnh", weights, encoded.outputs)
            h = jnp.tanh(self.join(jnp.concatenate([h, context], axis=-1)))
        return self.head(self.dropout(h, train=train)).swapaxes(0, 1), state

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        del shape
        sizes = {"source_vocab_size": self.source_vocab_size, "target_vocab_size": self.target_vocab_size}
        layers = {name: name for name in ("source_embed", "target_embed", "encoder", "decoder")}
        layers |= {"attention": "join"} if self.config.attention else {}
        return TorchForm(torch_form.arguments(self.config, **sizes), {**layers, "fc": "head"})

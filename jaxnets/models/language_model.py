"""A recurrent language model (reports S0 §2, S4 §6.9 and §6.10)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import LanguageModelConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import DenseParams, Dropout
from jaxnets.nn.sequence import Embed, Recurrent, RNNState

Array = jax.Array


class LanguageModelOutput(NamedTuple):
    """Outputs of LanguageModel. The logits are features @ kernel + bias: [N, T, vocab_size].

    They are not computed here because all of them at once may not fit in memory (see
    jaxnets.tasks.losses.head_cross_entropy).
    """

    features: Array
    """After each token: [N, T, F]."""
    kernel: Array
    """[F, vocab_size]."""
    bias: Array
    """[vocab_size]."""
    state: RNNState
    """After the last token: [layers, N, hidden]."""


class LanguageModel(nn.Module):
    """Tokens int [N, T], a state or None (zeros) -> LanguageModelOutput.

    Embedding, `config.layers` recurrent layers, and a dense head; dropout on the embeddings, between layers and before the
    head. A tied head shares the embedding's table and has no bias. Tables are initialized with the standard deviation of a
    uniform distribution over ±0.1, which PyTorch's word model example uses: a tied table of standard deviation 1 would make
    the first losses huge.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import LanguageModelConfig
    >>> config = LanguageModelConfig(embedding=256, hidden=256, layers=3, tied=True)  # Report S4 §6.9.
    >>> model = LanguageModel(config, vocab_size=21_949)
    >>> run = lambda key, tokens: model.init_with_output(key, tokens, train=False)
    >>> outputs, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((4, 35), int))
    >>> outputs.features.shape, outputs.kernel.shape
    ((4, 35, 256), (256, 21949))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    7197952

    References:
      Press, O. and Wolf, L. (2017), Using the output embedding to improve language models.
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

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        del shape
        arguments = torch_form.arguments(self.config, vocab_size=self.vocab_size)
        head = {} if self.config.tied else {"fc": "head"}
        return TorchForm(arguments, {"embed": "Embed_0", "rnn": "Recurrent_0", **head})

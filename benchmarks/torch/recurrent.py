"""Twins of the recurrent networks: PyTorch's fused layers, and the fastest form known of everything around them.

Each module has `flax_names`: which Linen module holds the parameters of each of its layers.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from jaxnets.config.model import (
    CharRNNConfig,
    LanguageModelConfig,
    RowRNNConfig,
    SentimentRNNConfig,
    TranslatorConfig,
)

State = Tensor | tuple[Tensor, Tensor]


def _layer(cell: str, inputs: int, hidden: int, layers: int = 1, dropout: float = 0.0) -> nn.RNNBase:
    return getattr(nn, cell.upper())(inputs, hidden, layers, batch_first=True, dropout=dropout)


class RowRNN(nn.Module):
    """Images [N, 1, H, W] -> logits [N, classes]: a recurrent layer reads the rows, its last output is classified."""

    flax_names: ClassVar = {"layer": "Recurrent_0", "head": "head"}

    def __init__(self, config: RowRNNConfig, classes: int, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        _, width, _ = image_shape
        self.layer = _layer(config.cell, width, config.hidden)
        self.head = nn.Linear(config.hidden, classes)

    def forward(self, images: Tensor) -> Tensor:
        outputs, _ = self.layer(images[:, 0])
        return self.head(outputs[:, -1])


class CharRNN(nn.Module):
    """Letters [N, T], categories [N] -> logits [N, T, vocab_size], by the linear cell.

    The products with one-hot letters are look-ups, done for all steps at once, so the loop is one product a step.
    """

    flax_names: ClassVar = {"i2h": "i2h", "i2o": "i2o", "o2o": "head"}

    def __init__(self, config: CharRNNConfig, vocab_size: int, categories: int) -> None:
        super().__init__()
        if config.cell != "linear":
            raise ValueError(f"only the linear cell of CharRNN has a PyTorch twin, not {config.cell}")
        self.hidden, self.categories = config.hidden, categories if config.conditional else 0
        inputs = self.categories + vocab_size + config.hidden
        self.i2h = nn.Linear(inputs, config.hidden)
        self.i2o = nn.Linear(inputs, vocab_size)
        self.o2o = nn.Linear(config.hidden + vocab_size, vocab_size)
        self.dropout = nn.Dropout(config.dropout)

    def _split(self, layer: nn.Linear, letters: Tensor, category: Tensor) -> tuple[Tensor, Tensor]:
        """(the share of category and letter in the layer's outputs [T, N, features], the weights of the state)."""
        weights = layer.weight.t()
        x = functional.embedding(letters.t(), weights[self.categories : -self.hidden]) + layer.bias
        if self.categories:
            x = x + functional.embedding(category, weights[: self.categories])
        return x, weights[-self.hidden :]

    def forward(self, letters: Tensor, category: Tensor) -> Tensor:
        gx, w = self._split(self.i2h, letters, category)
        h = gx.new_zeros(gx.shape[1:])
        states = [h]
        for x in gx.unbind(0):
            h = torch.addmm(x, h, w)
            states.append(h)
        states = torch.stack(states)
        ox, w = self._split(self.i2o, letters, category)
        logits = self.o2o(torch.cat([states[1:], ox + states[:-1] @ w], -1))
        return self.dropout(logits).transpose(0, 1)


class LanguageModel(nn.Module):
    """Tokens [N, T], state -> (logits [N · T, vocab_size], state)."""

    def __init__(self, config: LanguageModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.flax_names = {"embed": "Embed_0", "layers": "Recurrent_0"}
        self.embed = nn.Embedding(vocab_size, config.embedding)
        self.layers = _layer(config.cell, config.embedding, config.hidden, config.layers, config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        if not config.tied:
            self.head = nn.Linear(config.hidden, vocab_size)
            self.flax_names["head"] = "head"
        self.tied = config.tied

    def forward(
        self, tokens: Tensor, state: tuple[Tensor, ...] | Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...] | Tensor]:
        outputs, state = self.layers(self.dropout(self.embed(tokens)), state)
        outputs = self.dropout(outputs).flatten(0, 1)
        return functional.linear(outputs, self.embed.weight) if self.tied else self.head(outputs), state


class SentimentRNN(nn.Module):
    """Words [N, T], lengths [N] -> logits of "positive" [N].

    With `packed` the layers skip the padding.
    """

    flax_names: ClassVar = {"embed": "Embed_0", "layers": "Recurrent_0", "head": "head"}

    def __init__(self, config: SentimentRNNConfig, vocab_size: int, classes: int = 2) -> None:
        super().__init__()
        if classes != 2:
            raise ValueError(f"SentimentRNN has a PyTorch twin for two classes, not {classes}")
        if config.pool != "last":
            raise ValueError(f"only pool = last of SentimentRNN has a PyTorch twin, not {config.pool}")
        self.packed = False
        self.embed = nn.Embedding(vocab_size, config.embedding)
        self.layers = _layer(config.cell, config.embedding, config.hidden, config.layers, config.dropout_inner)
        self.inner, self.dropout = nn.Dropout(config.dropout_inner), nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, 1)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        x = self.inner(self.embed(words))
        last = _last_state(self.layers(_pack(x, lengths))[1]) if self.packed else _last_output(self.layers(x)[0], lengths)
        return self.head(self.dropout(last))[:, 0]


class Translator(nn.Module):
    """Source words [N, S], their lengths [N], target words [N, T] -> logits [N, T, target_vocab_size].

    The LSTM's state at the end of each sentence is only available from packed sequences; the GRU's is its output there.
    """

    flax_names: ClassVar = {
        "source_embed": "source_embed",
        "target_embed": "target_embed",
        "encoder": "encoder",
        "decoder": "decoder",
        "head": "head",
    }

    def __init__(self, config: TranslatorConfig, source_vocab_size: int, target_vocab_size: int) -> None:
        super().__init__()
        if config.attention:
            raise ValueError("there is no PyTorch twin of Translator with attention")
        self.packed = config.cell == "lstm"
        self.source_embed = nn.Embedding(source_vocab_size, config.hidden)
        self.target_embed = nn.Embedding(target_vocab_size, config.hidden)
        self.encoder = _layer(config.cell, config.hidden, config.hidden)
        self.decoder = _layer(config.cell, config.hidden, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, target_vocab_size)

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        x = self.dropout(self.source_embed(source))
        if self.packed:
            _, state = self.encoder(_pack(x, lengths))
        else:
            state = _last_output(self.encoder(x)[0], lengths)[None]
        outputs, _ = self.decoder(self.dropout(self.target_embed(target)), state)
        return self.head(self.dropout(outputs))


def _pack(x: Tensor, lengths: Tensor) -> nn.utils.rnn.PackedSequence:
    return pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)


def _last_state(state: State) -> Tensor:
    return (state[0] if isinstance(state, tuple) else state)[-1]


def _last_output(outputs: Tensor, lengths: Tensor) -> Tensor:
    """The output at the end of each sequence: [N, T, H], lengths [N] -> [N, H]."""
    return outputs[torch.arange(len(lengths), device=lengths.device), lengths - 1]

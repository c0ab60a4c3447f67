"""A recurrent classifier of texts (report S4 §6.11)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from jaxnets.export.pytorch.sequence import last_output, pack, recurrent


class SentimentRNN(nn.Module):
    """Words int [N, T], lengths int [N] -> logits [N, classes].

    Of two classes the first has the logit 0, so that the softmax is the sigmoid of the one unit. With `packed` the layers
    skip the padding; the result is the same.
    """

    def __init__(
        self,
        vocab_size: int,
        classes: int,
        cell: str,
        embedding: int,
        hidden: int,
        layers: int,
        dropout: float,
        dropout_inner: float,
        pool: str,
    ) -> None:
        super().__init__()
        self.pool, self.packed = pool, False
        self.embed = nn.Embedding(vocab_size, embedding)
        self.rnn = recurrent(cell, embedding, hidden, layers, dropout_inner if layers > 1 else 0.0)
        self.dropout_inner, self.dropout = nn.Dropout(dropout_inner), nn.Dropout(dropout)
        self.fc = nn.Linear(2 * hidden if pool == "mean_max" else hidden, 1 if classes == 2 else classes)

    def units(self, words: Tensor, lengths: Tensor) -> Tensor:
        """The last layer's outputs: [N, classes], or [N, 1] for two classes."""
        lengths = lengths.clamp(min=1)  # A text with no known word is read as one word of padding.
        x = self.dropout_inner(self.embed(words))
        if self.pool == "mean_max":
            outputs, _ = self.rnn(x)
            padding = (torch.arange(words.shape[1], device=words.device) >= lengths[:, None])[..., None]
            mean = outputs.masked_fill(padding, 0).sum(1) / lengths[:, None]
            pooled = torch.cat([mean, outputs.masked_fill(padding, -torch.inf).amax(1)], -1)
        elif self.packed:
            _, state = self.rnn(pack(x, lengths))
            pooled = (state[0] if isinstance(state, tuple) else state)[-1]
        else:
            pooled = last_output(self.rnn(x)[0], lengths)
        return self.fc(self.dropout(pooled))

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        units = self.units(words, lengths)
        return functional.pad(units, (1, 0)) if units.shape[1] == 1 else units

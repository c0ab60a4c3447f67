"""Character-level models of names (reports S4 §6.8 and S1 Q2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from jaxnets.export.pytorch.sequence import State, recurrent


class CharRNN(nn.Module):
    """Letters int [N, T], categories int [N], a state (None: zeros) -> logits of the next letters [N, T, vocab_size], state.

    `categories` is 0 for a net that does not see the category. From the letter x (one-hot, after the category's one-hot
    vector) and the state h the linear cell computes

        h' = W_i2h [x, h] + b,   o = W_i2o [x, h] + b,   logits = W_o2o [h', o] + b

    The products with one-hot letters are look-ups, done for all steps at once, so the loop is one product a step. With "gru"
    or "lstm", that recurrence replaces h', and a dense layer on its outputs gives the logits.
    """

    def __init__(self, vocab_size: int, categories: int, cell: str, hidden: int, dropout: float) -> None:
        super().__init__()
        self.vocab_size, self.categories, self.cell, self.hidden = vocab_size, categories, cell, hidden
        inputs = categories + vocab_size
        if cell == "linear":
            self.i2h = nn.Linear(inputs + hidden, hidden)
            self.i2o = nn.Linear(inputs + hidden, vocab_size)
            self.o2o = nn.Linear(hidden + vocab_size, vocab_size)
        else:
            self.rnn = recurrent(cell, inputs, hidden)
            self.fc = nn.Linear(hidden, vocab_size)
        self.dropout = nn.Dropout(dropout)

    def _split(self, layer: nn.Linear, letters: Tensor, category: Tensor) -> tuple[Tensor, Tensor]:
        """(the share of category and letter in the layer's outputs [T, N, features], the weights of the state)."""
        weights = layer.weight.t()
        x = functional.embedding(letters.t(), weights[self.categories : -self.hidden]) + layer.bias
        if self.categories:
            x = x + functional.embedding(category, weights[: self.categories])
        return x, weights[-self.hidden :]

    def forward(self, letters: Tensor, category: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        if self.cell != "linear":
            x = functional.one_hot(letters, self.vocab_size).to(self.fc.weight.dtype)
            if self.categories:
                one_hot = functional.one_hot(category, self.categories).to(x.dtype)
                x = torch.cat([one_hot[:, None].expand(-1, x.shape[1], -1), x], -1)
            outputs, state = self.rnn(x, state)
            return self.fc(self.dropout(outputs)), state
        gx, w = self._split(self.i2h, letters, category)
        h = gx.new_zeros(gx.shape[1:]) if state is None else state[0]
        states = [h]
        for x in gx.unbind(0):
            h = torch.addmm(x, h, w)
            states.append(h)
        stacked = torch.stack(states)
        ox, w = self._split(self.i2o, letters, category)
        logits = self.o2o(torch.cat([stacked[1:], ox + stacked[:-1] @ w], -1))
        return self.dropout(logits).transpose(0, 1), h[None]

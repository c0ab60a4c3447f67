"""Recurrent layers, and what is at the end of sequences of unequal lengths."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

State = Tensor | tuple[Tensor, Tensor]
"""Of a GRU or plain RNN, or (hidden, cell) of an LSTM; each [layers, N, hidden]."""


def recurrent(cell: str, inputs: int, hidden: int, layers: int = 1, dropout: float = 0.0) -> nn.RNNBase:
    """A stack of recurrent layers, of the `cell` "rnn", "gru" or "lstm", with dropout between them."""
    kind = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell]
    return kind(inputs, hidden, layers, batch_first=True, dropout=dropout)


def pack(x: Tensor, lengths: Tensor) -> PackedSequence:
    """Sequences [N, T, F] without the padding after each."""
    return pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)


def last_output(outputs: Tensor, lengths: Tensor) -> Tensor:
    """The output at the end of each sequence: [N, T, H], lengths [N] -> [N, H]."""
    return outputs[torch.arange(len(lengths), device=lengths.device), lengths - 1]

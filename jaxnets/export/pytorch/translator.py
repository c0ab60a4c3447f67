"""Translation by an encoder and a decoder (report S4 §6.12; Sutskever et al. 2014, Cho et al. 2014)."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_packed_sequence

from jaxnets.export.pytorch.sequence import State, last_output, pack, recurrent


class Translator(nn.Module):
    """Source words int [N, S], their lengths [N], target words int [N, T] -> logits of the next words [N, T, vocab_size].

    The LSTM's state at the end of each sentence is only available from packed sequences; the GRU's is its output there.
    """

    def __init__(
        self, source_vocab_size: int, target_vocab_size: int, cell: str, hidden: int, dropout: float, attention: bool
    ) -> None:
        super().__init__()
        self.packed = cell == "lstm"
        self.source_embed = nn.Embedding(source_vocab_size, hidden)
        self.target_embed = nn.Embedding(target_vocab_size, hidden)
        self.encoder, self.decoder = recurrent(cell, hidden, hidden), recurrent(cell, hidden, hidden)
        self.attention = nn.Linear(2 * hidden, hidden) if attention else None
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden, target_vocab_size)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, State]:
        """The encoder's outputs [N, S, hidden], which are for attention and may be packed without it, and its state."""
        x = self.dropout(self.source_embed(source))
        if self.packed:
            outputs, state = self.encoder(pack(x, lengths))
            if self.attention is not None:
                outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=source.shape[1])
            return outputs, state
        outputs, _ = self.encoder(x)
        return outputs, last_output(outputs, lengths)[None]

    def decode(self, outputs: Tensor, lengths: Tensor, state: State, target: Tensor) -> tuple[Tensor, State]:
        """Continues target sentences from a state: logits of the word after each word, and the state after the last one."""
        h, state = self.decoder(self.dropout(self.target_embed(target)), state)
        if self.attention is not None:
            padding = torch.arange(outputs.shape[1], device=lengths.device) >= lengths[:, None]
            scores = (h @ outputs.transpose(1, 2)).masked_fill(padding[:, None], -torch.inf)
            h = torch.tanh(self.attention(torch.cat([h, scores.softmax(-1) @ outputs], -1)))
        return self.fc(self.dropout(h)), state

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        outputs, state = self.encode(source, lengths)
        return self.decode(outputs, lengths, state, target)[0]

"""A recurrent language model (reports S0 §2, S4 §6.9 and §6.10)."""

from torch import Tensor, nn
from torch.nn import functional

from jaxnets.export.pytorch.sequence import State, recurrent


class LanguageModel(nn.Module):
    """Tokens int [N, T], a state or None (zeros) -> logits [N, T, vocab_size] of the next tokens, state.

    A tied head shares the embedding's weights and has no bias.
    """

    def __init__(
        self, vocab_size: int, cell: str, embedding: int, hidden: int, layers: int, dropout: float, tied: bool
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, embedding)
        self.rnn = recurrent(cell, embedding, hidden, layers, dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.fc = None if tied else nn.Linear(hidden, vocab_size)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        outputs, state = self.rnn(self.dropout(self.embed(tokens)), state)
        outputs = self.dropout(outputs).flatten(0, 1)
        logits = functional.linear(outputs, self.embed.weight) if self.fc is None else self.fc(outputs)
        return logits.unflatten(0, tokens.shape), state

"""Running text."""

import torch
from torch import nn

from jaxnets.data.corpora import TOKENIZERS
from jaxnets.data.text import END

TOKENS: tuple[str, ...] = ()
TOKENIZER = "letters"


@torch.no_grad()
def predict(net: nn.Module, prompt: str, length: int = 200, temperature: float = 0.8) -> str:
    """The prompt, continued by `length` tokens that are drawn at random."""
    tokens = [token for token in TOKENIZERS[TOKENIZER](prompt) if token != END]
    logits, state = net(torch.tensor([[TOKENS.index(token) for token in tokens]]))
    for _ in range(length):
        number = torch.multinomial((logits[:, -1] / temperature).softmax(1), 1)
        tokens.append(TOKENS[int(number)])
        logits, state = net(number, state)
    if TOKENIZER == "letters":
        return "".join(tokens)
    return " ".join(tokens).replace(f" {END}", "\n").replace("\n ", "\n").rstrip()

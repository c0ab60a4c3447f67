"""Names, letter by letter."""

import torch
from torch import nn

from jaxnets.data.text import spell_out, without_accents

TOKENS: tuple[str, ...] = ()
CATEGORIES: tuple[str, ...] = ()
END = "<end>"


@torch.no_grad()
def predict(net: nn.Module, start: str, category: str | None = None, temperature: float = 0.8, most: int = 24) -> str:
    """A name that begins with `start`, drawn at random; `category` is one of CATEGORIES, if there are any."""
    name = without_accents(spell_out(start))
    letters = [TOKENS.index(letter) for letter in name]
    index = torch.tensor([CATEGORIES.index(category) if category else 0])
    logits, state = net(torch.tensor([letters]), index)
    for _ in range(most):
        letter = int(torch.multinomial((logits[0, -1] / temperature).softmax(0), 1))
        if TOKENS[letter] == END:
            break
        name += TOKENS[letter]
        logits, state = net(torch.tensor([[letter]]), index, state)
    return name

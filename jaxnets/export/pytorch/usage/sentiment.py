"""Classes of texts."""

import torch
from torch import Tensor, nn

from jaxnets.data.imdb import clean
from jaxnets.data.text import spell_out

TOKENS: tuple[str, ...] = ("",)
MAX_LENGTH = 1
SPELLED_OUT = False


def encode(texts: list[str]) -> tuple[Tensor, Tensor]:
    """The net's inputs: the numbers of the last known words of each text [N, T], then zeros, and how many they are [N]."""
    numbers = {token: number for number, token in enumerate(TOKENS)}
    plain = [spell_out(text) if SPELLED_OUT else text for text in texts]
    rows = [[numbers[word] for word in clean(text) if word in numbers][-MAX_LENGTH:] for text in plain]
    if not all(rows):
        raise ValueError(f"{texts[rows.index([])][:40]!r} has no word that the net knows")
    lengths = torch.tensor([len(row) for row in rows])
    return torch.tensor([row + [0] * (int(lengths.max()) - len(row)) for row in rows]), lengths


@torch.no_grad()
def predict(net: nn.Module, texts: list[str]) -> Tensor:
    """Probabilities of the classes [N, classes]."""
    return net(*encode(texts)).softmax(1)

"""Translation of sentences."""

import torch

from jaxnets.data.pairs import START_NUMBER, normalize
from jaxnets.data.text import END, spell_out
from jaxnets.export.pytorch.translator import Translator

SOURCE_TOKENS: tuple[str, ...] = ()
TARGET_TOKENS: tuple[str, ...] = ()
MAX_LENGTH = 1
SPELLED_OUT = False


@torch.no_grad()
def predict(net: Translator, sentence: str) -> str:
    """The translation, by the most likely word at every step. Raises ValueError for a word that is not in SOURCE_TOKENS."""
    # An empty token stems from a character at the edge that is no letter. Some training data have it, some do not.
    plain = normalize(spell_out(sentence) if SPELLED_OUT else sentence)
    words = [word for word in plain.split(" ") if word or word in SOURCE_TOKENS]
    source = torch.tensor([[SOURCE_TOKENS.index(word) for word in (*words, END)]])
    lengths = torch.tensor([source.shape[1]])
    outputs, state = net.encode(source, lengths)
    word = torch.tensor([[START_NUMBER]])
    translation: list[str] = []
    for _ in range(MAX_LENGTH + 1):
        logits, state = net.decode(outputs, lengths, state, word)
        word = logits[:, -1:].argmax(-1)
        if TARGET_TOKENS[int(word)] == END:
            break
        translation.append(TARGET_TOKENS[int(word)])
    return " ".join(translation)

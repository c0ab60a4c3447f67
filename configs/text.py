"""text: a language model of letters (report S0 §2).

    jaxnets run text/char_lm
    jaxnets sample runs/text/char_lm --prompt "ROMEO:" --length 400 --temperature 0.8
    jaxnets run text/char_lm --data.source synthetic --epochs 3

The report shows an RNN that writes text and states no sizes or figures; all are chosen here: Tiny Shakespeare, two LSTM
layers of 256, Adam at 2e-3 falling to 0, gradients clipped at norm 1.
"""

from collections.abc import Iterator

from jaxnets.config import Experiment, Optim, TextData
from jaxnets.config.model import LanguageModelConfig


def experiments() -> Iterator[Experiment]:
    """One experiment."""
    yield Experiment(
        "text/char_lm",
        "S0 §2",
        "letters of Tiny Shakespeare by two LSTM layers",
        TextData("shakespeare_letters", synthetic="toy_letters", batch_size=32, window=64),
        LanguageModelConfig(embedding=64, hidden=256, layers=2, dropout=0.2),
        Optim("adam", lr=2e-3, schedule="cosine", clip=1.0),
        epochs=10,
        seeds=1,
        eval_batch_size=32,
    )

"""text: a language model of characters (report S0 §2).

    jaxnets run text/char_lm
    jaxnets sample runs/text/char_lm --prompt "ROMEO:" --length 400 --temperature 0.8
    jaxnets run text/char_lm --data.source synthetic --epochs 3

Stated in the report: an RNN that writes text; no sizes and no figures.
Open there, chosen here: Tiny Shakespeare, two LSTM layers of 256 units, Adam at 2e-3 decaying to 0, gradients clipped at
norm 1.
Inferred: nothing.

Expected: 2.35 bits a character on the test split, 2.20 on the validation split (10 epochs, 1 seed, 7 minutes on two cores of
an AMD EPYC).
"""

from collections.abc import Iterator

from jaxnets.config import Experiment, Optim, TextData
from jaxnets.config.model import LanguageModelConfig


def experiments() -> Iterator[Experiment]:
    """One experiment."""
    yield Experiment(
        id="text/char_lm",
        source="S0 §2",
        summary="letters of Tiny Shakespeare by two LSTM layers",
        data=TextData(source="shakespeare_letters", synthetic="toy_letters", batch_size=32, window=64),
        model=LanguageModelConfig(embedding=64, hidden=256, layers=2, dropout=0.2),
        optim=Optim("adam", lr=2e-3, schedule="cosine", clip=1.0),
        epochs=10,
        seeds=1,
        eval_batch_size=32,
    )

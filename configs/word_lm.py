"""word_lm: language models of words (report S4 §6.9 and §6.10).

    jaxnets run word_lm/tiny_shakespeare
    jaxnets run word_lm/wikitext2                  meant for accelerators: an hour or more an epoch on a laptop
    jaxnets sample runs/word_lm/tiny_shakespeare --prompt "think about" --length 20 --beam 5
    jaxnets run word_lm --data.source synthetic --epochs 2

Stated in the report: the layers, and vocabularies of 21,949 and 29,473 words.
Inferred: 21,949 is exactly the number of different lower-case words, split at white space, in the first 90 % of Tiny
Shakespeare's characters, plus two markers. For WikiText-2 no rule tried here gives 29,473; ours has 28,783 words (see
jaxnets.data.corpora). The first model lists no output layer, so its head is tied to the embedding; the parameter counts
follow.
Open there, chosen here: windows of 35 words, Adam with gradients clipped at norm 0.25, and a dropout of 0.5 in the first
model, which would otherwise memorize the 200,000 words.

Expected for tiny_shakespeare: after 3 of 15 epochs a perplexity of 571 on the test split, 488 on the validation split and
368 on the training split (1 seed, 9 minutes on two cores of an AMD EPYC). The full run and `wikitext2` do not exist yet. A
tuned LSTM of that kind reaches a test perplexity of 65.8 on WikiText-2 (Merity et al. 2018, AWD-LSTM), with a vocabulary of
33,278.
"""

from collections.abc import Iterator

from jaxnets.config import Experiment, Optim, TextData
from jaxnets.config.model import LanguageModelConfig


def experiments() -> Iterator[Experiment]:
    """The two models."""
    yield Experiment(
        id="word_lm/tiny_shakespeare",
        source="S4 §6.10",
        summary="words of Tiny Shakespeare by three tied LSTM layers",
        data=TextData(source="shakespeare_words", batch_size=20),
        model=LanguageModelConfig(embedding=256, hidden=256, layers=3, dropout=0.5, tied=True),
        optim=Optim("adam", lr=2e-3, schedule="cosine", clip=0.25),
        epochs=15,
        seeds=1,
        eval_batch_size=10,
        reported=dict(parameters=7_197_952),
    )
    yield Experiment(
        id="word_lm/wikitext2",
        source="S4 §6.10",
        summary="WikiText-2 by two LSTM layers of 1024",
        data=TextData(source="wikitext2", batch_size=20),
        model=LanguageModelConfig(embedding=1024, hidden=1024, layers=2, dropout=0.65),
        optim=Optim("adam", lr=1e-3, schedule="cosine", clip=0.25),
        epochs=20,
        seeds=1,
        eval_batch_size=10,
    )

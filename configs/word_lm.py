"""word_lm: language models of words (report S4 §6.9 and §6.10).

    jaxnets run word_lm/tiny_shakespeare
    jaxnets run word_lm/wikitext2                  an hour or more an epoch on a laptop: meant for accelerators
    jaxnets sample runs/word_lm/tiny_shakespeare --prompt "think about" --length 20 --beam 5
    jaxnets run word_lm --data.source synthetic --epochs 2

Stated in the report: the layers. Vocabularies: 21,949 for Tiny Shakespeare, which is exactly the number of lower-case words
between white space in the first 90 % of its characters, plus two markers; 29,473 for WikiText-2, where the rule is not
known (here 28,783; see jaxnets.data.corpora).
Inferred: the first model lists no output layer, so its head is tied to the embedding. Parameters as its layers imply.
Open there, chosen here: windows of 35 words, SGD-free training by Adam with gradients clipped at norm 0.25, dropout 0.5 in
the first model, which would otherwise learn 200,000 words by heart. For WikiText-2 a tuned LSTM of this kind reaches a test
perplexity of 65.8 (Merity et al. 2018, AWD-LSTM), with a vocabulary of 33,278.
"""

from collections.abc import Iterator

from jaxnets.config import Experiment, Optim, TextData
from jaxnets.config.model import LanguageModelConfig


def experiments() -> Iterator[Experiment]:
    """The two models."""
    yield Experiment(
        "word_lm/tiny_shakespeare",
        "S4 §6.10",
        "words of Tiny Shakespeare by three tied LSTM layers",
        TextData("shakespeare_words", batch_size=20),
        LanguageModelConfig(embedding=256, hidden=256, layers=3, dropout=0.5, tied=True),
        Optim("adam", lr=2e-3, schedule="cosine", clip=0.25),
        epochs=15,
        seeds=1,
        eval_batch_size=10,
        reported={"parameters": 7_197_952},
    )
    yield Experiment(
        "word_lm/wikitext2",
        "S4 §6.10",
        "WikiText-2 by two LSTM layers of 1024",
        TextData("wikitext2", batch_size=20),
        LanguageModelConfig(embedding=1024, hidden=1024, layers=2, dropout=0.65),
        Optim("adam", lr=1e-3, schedule="cosine", clip=0.25),
        epochs=20,
        seeds=1,
        eval_batch_size=10,
    )

"""translate: short sentences from French to English (report S4 §6.12).

    jaxnets run translate                          all three, 3 seeds
    jaxnets translate runs/translate/gru "je suis content ."
    jaxnets run translate --data.source synthetic --epochs 10

Stated in the report: 10,599 pairs, vocabularies of 4,345 and 2,803 words, embeddings and one GRU or LSTM layer of 256 units
in encoder and decoder, negative log-likelihood. The parameter counts follow from these. The report shows a few translations
of training pairs and no BLEU.
Open there, chosen here: Adam at 1e-3 in batches of 64, 30 epochs, the true words as the decoder's input throughout. A tenth
of the pairs is held out for validation and another tenth for testing; metrics are also computed on as many training pairs.
Inferred: nothing.
`best` adds attention and dropout.

Expected BLEU, mean ± standard deviation over 3 seeds after 30 epochs, on two cores of an AMD EPYC; minutes are for all three
seeds:

    gru    test 45.7 ± 1.5, training pairs 97.1 ± 0.2       13 minutes
    lstm   test 50.6 ± 0.6, training pairs 97.3 ± 0.2       16 minutes
    best   test 46.2 ± 1.4, training pairs 73.9 ± 3.7        6 minutes

`best` is not better yet: its perplexity on held-out pairs is the lowest, 3.3 against 3.8 and 4.8, its BLEU is not.
"""

from collections.abc import Iterator

from jaxnets.config import Experiment, Optim, PairData
from jaxnets.config.model import TranslatorConfig


def experiments() -> Iterator[Experiment]:
    """The two reported networks and a better one."""
    data = PairData(source="eng_fra")
    yield Experiment(
        id="translate/gru",
        source="S4 §6.12",
        summary="GRU encoder and decoder",
        data=data,
        model=TranslatorConfig(cell="gru"),
        optim=Optim("adam", lr=1e-3),
        epochs=30,
        select="last",
        reported=dict(parameters=3_339_763),
    )
    yield Experiment(
        id="translate/lstm",
        source="S4 §6.12",
        summary="LSTM encoder and decoder",
        data=data,
        model=TranslatorConfig(cell="lstm"),
        optim=Optim("adam", lr=1e-3),
        epochs=30,
        select="last",
        reported=dict(parameters=3_602_931),
    )
    yield Experiment(
        id="translate/best",
        source="S4 §6.12",
        summary="GRU with attention and dropout",
        data=data,
        model=TranslatorConfig(cell="gru", dropout=0.5, attention=True),
        optim=Optim("adam", lr=2e-3, schedule="cosine"),
        epochs=30,
        select="last",
    )

"""imdb: sentiment of film reviews (report S4 §6.11, table 8).

    jaxnets run imdb/lstm
    jaxnets classify runs/imdb/lstm "A wonderful little production."
    jaxnets run imdb --data.source synthetic --epochs 5

Stated in the report: layers (hence 920,385 parameters), stop words removed, a vocabulary of 1,000 plus padding, 40,000
reviews for training, 13 epochs.
Open there, chosen here: Adam at 1e-3 in batches of 50, gradients clipped at norm 5, the last 160 known words of each review
(nine in ten have no more). Of the other 10,000 reviews half are for validation and half for the test.
`lstm_standard` is the same net on the publishers' split of 25,000 and 25,000.
`best` reads more words with fewer units: a vocabulary of 10,000, one LSTM layer of 64, its outputs' mean and maximum.
Expected: `best` 88.1 ± 0.3 % (3 seeds, 8 minutes on two cores), `lstm` 84.9 % after 4 epochs (15 minutes) and rising.
"""

from collections.abc import Iterator

from jaxnets.config import Experiment, Optim, ReviewData
from jaxnets.config.model import SentimentRNNConfig


def experiments() -> Iterator[Experiment]:
    """The reported net on two splits, and a better one."""
    clipped = Optim("adam", lr=1e-3, clip=5.0)
    reported = {"epochs": 13, "validation_accuracy": 86.2, "test_accuracy": 89.1125}
    listed = {"parameters": 920_385}
    few = ReviewData("imdb_40k", max_length=160)
    many = ReviewData("imdb_40k", vocab_size=10_000, max_length=200)
    small = SentimentRNNConfig(hidden=64, layers=1, dropout=0.5, dropout_inner=0.5, pool="mean_max")
    yield Experiment(
        "imdb/lstm",
        "S4 §6.11",
        "two LSTM layers of 256",
        few,
        SentimentRNNConfig(),
        clipped,
        13,
        seeds=1,
        reported=reported | listed,
    )
    yield Experiment(
        "imdb/lstm_standard",
        "S4 §6.11",
        "the same on the standard split",
        ReviewData("imdb", max_length=160),
        SentimentRNNConfig(),
        clipped,
        13,
        seeds=1,
        reported=listed,
    )
    yield Experiment(
        "imdb/best",
        "S4 §6.11",
        "one LSTM layer of 64 with 10,000 words",
        many,
        small,
        clipped,
        6,
        reported=reported,
    )

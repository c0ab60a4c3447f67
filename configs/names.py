"""names: networks that spell names (report S4 §6.8, and S1 Q2 by nationality).

    jaxnets run names                              all three, 3 seeds
    jaxnets sample runs/names/conditional_rnn --category Russian --start R --number 10
    jaxnets run names --data.source synthetic --epochs 5

Stated in the reports: the cell with 59 symbols and 128 units (46,248 parameters), dropout 0.1, negative log-likelihood, and
a one-hot input of 18 nationalities in the second.
Open there, chosen here: Adam at 1e-3 in batches of 64 (the reports train on one name at a time), the number of epochs, and
the list of names. S4's list of 50,000 is not public; here it is 88,799 surnames.
Inferred: nothing.
`best` has a GRU of the same width in place of the linear cell.

Expected test accuracy of the next letter in %, mean ± standard deviation over 3 seeds, on two cores of an AMD EPYC. The
reports have samples and no figures.

    char_rnn        31.2 ± 0.0       10 epochs, 1.5 minutes
    conditional_rnn 38.1 ± 0.1       40 epochs, 2 minutes
    best            47.8 ± 0.3       40 epochs, 2.5 minutes
"""

from collections.abc import Iterator

from jaxnets.config import Experiment, NameData, Optim
from jaxnets.config.model import CharRNNConfig


def experiments() -> Iterator[Experiment]:
    """The two reported networks, for which the reports have no figures, and a better one."""
    adam = Optim("adam", lr=1e-3, schedule="cosine")
    yield Experiment(
        id="names/char_rnn",
        source="S4 §6.8",
        summary="surnames by the report's linear cell",
        data=NameData(source="surnames"),
        model=CharRNNConfig(),
        optim=adam,
        epochs=10,
        reported=dict(parameters=46_248),
    )
    yield Experiment(
        id="names/conditional_rnn",
        source="S1 Q2",
        summary="names by nationality, by the same cell",
        data=NameData(source="names"),
        model=CharRNNConfig(conditional=True),
        optim=adam,
        epochs=40,
    )
    yield Experiment(
        id="names/best",
        source="S1 Q2",
        summary="names by nationality, by a GRU",
        data=NameData(source="names"),
        model=CharRNNConfig(cell="gru", dropout=0.3, conditional=True),
        optim=Optim("adam", lr=3e-3, schedule="cosine"),
        epochs=40,
    )

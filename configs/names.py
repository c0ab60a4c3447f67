"""names: nets that spell names (report S4 §6.8, and S1 Q2 by nationality).

    jaxnets run names                              all three, 3 seeds
    jaxnets sample runs/names/conditional_rnn --category Russian --start R --number 10
    jaxnets run names --data.source synthetic --epochs 5

Stated in the reports: the cell with 59 symbols and 128 units (46,248 parameters), dropout 0.1, negative log-likelihood; 18
nationalities as a one-hot input of the second.
Open there, chosen here: Adam at 1e-3 in batches of 64 (the documents train on one name at a time), the number of epochs, the
list of names: the first report's list of 50,000 is not public; here it is 88,799 surnames.
`best` is a GRU in place of the linear cell, at the same width.
"""

from collections.abc import Iterator

from jaxnets.config import Experiment, NameData, Optim
from jaxnets.config.model import CharRNNConfig


def experiments() -> Iterator[Experiment]:
    """The two reported nets, which state no figures, and a better one."""
    adam = Optim("adam", lr=1e-3, schedule="cosine")
    yield Experiment(
        "names/char_rnn",
        "S4 §6.8",
        "surnames by the report's linear cell",
        NameData("surnames"),
        CharRNNConfig(),
        adam,
        epochs=10,
        reported={"parameters": 46_248},
    )
    yield Experiment(
        "names/conditional_rnn",
        "S1 Q2",
        "names by nationality, by the same cell",
        NameData("names"),
        CharRNNConfig(conditional=True),
        adam,
        epochs=40,
    )
    yield Experiment(
        "names/best",
        "S1 Q2",
        "names by nationality, by a GRU",
        NameData("names"),
        CharRNNConfig(cell="gru", dropout=0.3, conditional=True),
        Optim("adam", lr=3e-3, schedule="cosine"),
        epochs=40,
    )

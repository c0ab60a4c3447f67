"""mnist_rows: RNN, LSTM and GRU that read MNIST digits row by row (report S3 Q3).

Each image is a sequence of 28 rows of 28 pixels; the last output is classified.

    jaxnets run mnist_rows                         all eight settings, 3 seeds
    jaxnets run mnist_rows/gru_128
    jaxnets run mnist_rows --data.source synthetic  on drawn shapes instead: 32 rows of 96 values

Stated in the report: the hidden sizes, batches of 64, the epochs, and the optimizers of the re-runs with their rates.
Inferred: Adam at 1e-2 for the first six, since a later setting is said to lower the rate tenfold to 1e-3. At that rate our
plain RNNs end at chance. At 5e-3 they end at 43 ± 10 % with a loss of 1.54, like the report's.
Open there, chosen here: pixels in [0, 1], and a momentum of 0.9 for SGD. The report trains on all 60,000 images and has no
validation split; here 5,000 of them are held out. As in the report, the last weights are tested.

Expected test accuracy in %, mean ± standard deviation over 3 seeds, all epochs, on two cores of an AMD EPYC; minutes are for
all three seeds:

    rnn_128    9.9 ± 0.4     1 minute         rnn_128_rmsprop   96.1 ± 0.3     1 minute
    rnn_256   10.5 ± 0.8     3 minutes        rnn_256_sgd       96.0 ± 0.4     4 minutes
    lstm_128  97.4 ± 0.5     4 minutes        lstm_256          97.7 ± 0.6    11 minutes
    gru_128   95.3 ± 1.2     3 minutes        gru_256           92.6 ± 1.5    11 minutes
"""

from collections.abc import Iterator

from jaxnets.config import Experiment, ImageData, Optim
from jaxnets.config.model import CellName, RowRNNConfig

ADAM = Optim("adam", lr=1e-2)
SGD = Optim("sgd", lr=1e-3, momentum=0.9)
RMSPROP = Optim("rmsprop", lr=1e-3)


def experiments() -> Iterator[Experiment]:
    """The report's eight settings."""
    yield _setting("rnn_128", "rnn", 128, ADAM, reported=dict(epochs=10, test_accuracy=38.69, test_loss=1.5545))
    yield _setting("rnn_256", "rnn", 256, ADAM, reported=dict(epochs=10, test_accuracy=32.75, test_loss=1.6916))
    yield _setting("rnn_256_sgd", "rnn", 256, SGD, reported=dict(epochs=12, test_accuracy=82.40, test_loss=0.5863))
    yield _setting("rnn_128_rmsprop", "rnn", 128, RMSPROP, reported=dict(epochs=5, test_accuracy=95.99, test_loss=0.1433))
    yield _setting("lstm_128", "lstm", 128, ADAM, reported=dict(epochs=10, test_accuracy=92.69, test_loss=0.2517))
    yield _setting("lstm_256", "lstm", 256, ADAM, reported=dict(epochs=10, test_accuracy=92.04, test_loss=0.2543))
    yield _setting("gru_128", "gru", 128, ADAM, reported=dict(epochs=10, test_accuracy=94.07, test_loss=0.1998))
    yield _setting("gru_256", "gru", 256, ADAM, reported=dict(epochs=10, test_accuracy=92.25, test_loss=0.2539))


def _setting(name: str, cell: CellName, hidden: int, optim: Optim, reported: dict[str, float]) -> Experiment:
    """Trains for as many epochs as the report does."""
    return Experiment(
        id=f"mnist_rows/{name}",
        source="S3 Q3",
        summary=f"{cell.upper()} of {hidden} units by {optim.name} at {optim.lr:g}",
        data=ImageData(source="mnist", batch_size=64),
        model=RowRNNConfig(cell=cell, hidden=hidden),
        optim=optim,
        epochs=int(reported["epochs"]),
        select="last",
        reported=reported,
    )

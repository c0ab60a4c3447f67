"""nist36: networks that recognize handwritten capitals and digits, and one that redraws them (report S2 Q3, Q5, Q6.1).

    jaxnets run nist36                                       on the course's three .mat files
    jaxnets run nist36 --data.source emnist36                on as many letters and digits of EMNIST and MNIST
    jaxnets run nist36/mlp --data.source synthetic            on drawn glyphs, without a download
    jaxnets run nist36/best --data.source letters36          a reader of pages: see `jaxnets ocr`

Stated in the report: 36 classes, 32×32 pixels, one hidden layer of sigmoids (128 units at the best rate), Xavier weights,
SGD in batches of 32 for 50 epochs at rates of 3e-2 (fluctuates), 3e-3 (best) and 3e-4 (not converged); the autoencoder's
layers and its mean PSNR on validation images, 16.6334 dB; validation accuracies of 77 % for the framework's version of the
MLP and about 90 % for a CNN, which converges in a third of the time.
Inferred: the course's own code sums gradients over a batch and ours averages them, so the rates here are 32 times as large.
The autoencoder, too, is trained on sums over batches of 36, at 3e-5; a momentum of 0.9 makes the effective rate ten times as
large.
Open there, chosen here: the CNN (two convolutions of 16 and 32 filters), SGD with a momentum of 0.9 at 1e-2 for the
framework's version, and 100 epochs for the autoencoder.
`best` is a CNN with BatchNorm, dropout and shifts by up to two pixels. `autoencoder_best` has convolutions around the same
narrow layer.

Expected validation accuracy in %, mean ± standard deviation over 3 seeds, 50 epochs of `emnist36`, on two cores of an AMD
EPYC; minutes are for all three seeds:

    mlp 73.5 ± 0.4, mlp_fast 48.0 ± 1.7, mlp_slow 60.7 ± 0.3, mlp_framework 73.8 ± 0.4       1 minute each
    cnn 81.9 ± 0.0                                                                           12 minutes
    autoencoder 18.5 ± 0.3 dB                 100 epochs, 2 minutes
    best 90.1 % of `letters36`                5 epochs, 1 seed, 13 minutes

Not run yet: anything on NIST36 itself, which we do not have; `autoencoder_best`; `best` for its 30 epochs.
"""

from collections.abc import Iterator
from dataclasses import replace

from jaxnets.config import Augment, Experiment, ImageData, Optim
from jaxnets.config.model import AutoencoderConfig, CNNConfig, Init, MLPConfig

BATCH_SIZE, AUTOENCODER_BATCH_SIZE = 32, 36
DATA = ImageData(source="nist36", synthetic="glyphs36", batch_size=BATCH_SIZE)
XAVIER = Init("xavier_uniform", bias=0.0)


def experiments() -> Iterator[Experiment]:
    """The MLP at three rates, its framework version, the CNN, the autoencoder; and a better one of each kind."""
    mlp = Experiment(
        id="nist36/mlp",
        source="S2 Q3",
        summary="one hidden layer of sigmoids, at the best of three rates",
        data=DATA,
        model=MLPConfig(init=XAVIER),
        optim=Optim("sgd", lr=3e-3 * BATCH_SIZE),
        epochs=50,
        reported=dict(epochs=50, parameters=135_844),
    )
    yield mlp
    yield replace(
        mlp, id="nist36/mlp_fast", summary="the same at ten times the rate", optim=Optim("sgd", lr=3e-2 * BATCH_SIZE)
    )
    yield replace(
        mlp, id="nist36/mlp_slow", summary="the same at a tenth of the rate", optim=Optim("sgd", lr=3e-4 * BATCH_SIZE)
    )
    framework = replace(
        mlp,
        id="nist36/mlp_framework",
        source="S2 Q6.1.1",
        summary="the same, started and trained as a framework does by default",
        model=MLPConfig(),
        optim=Optim("sgd", lr=1e-2, momentum=0.9),
        reported=dict(epochs=50, validation_accuracy=77, train_accuracy=100, parameters=135_844),
    )
    yield framework
    yield replace(
        framework,
        id="nist36/cnn",
        source="S2 Q6.1.2",
        summary="two convolutions",
        model=CNNConfig(width=16),
        reported=dict(epochs=50, validation_accuracy=90),
    )
    yield replace(
        framework,
        id="nist36/best",
        source="S2 Q6.1.2",
        summary="two convolutions with BatchNorm, dropout and shifts",
        data=replace(DATA, batch_size=64, normalize="symmetric", augment=Augment(crop_padding=2, crop_fill="edge")),
        model=CNNConfig(width=32, batch_norm=True, dropout_conv=0.1, dropout_dense=0.4),
        optim=Optim("adamw", lr=3e-3, weight_decay=0.01, schedule="cosine", warmup_epochs=1),
        epochs=30,
        reported={},
    )
    autoencoder = Experiment(
        id="nist36/autoencoder",
        source="S2 Q5",
        summary="dense layers of 32, 32 and 32 units, squared error",
        data=replace(DATA, batch_size=AUTOENCODER_BATCH_SIZE),
        model=AutoencoderConfig(init=XAVIER),
        optim=Optim("sgd", lr=3e-5 * AUTOENCODER_BATCH_SIZE, momentum=0.9),
        epochs=100,
        select="last",
        reported=dict(validation_psnr=16.6334, parameters=68_704),
    )
    yield autoencoder
    yield replace(
        autoencoder,
        id="nist36/autoencoder_best",
        summary="the same narrow layer between convolutions",
        model=AutoencoderConfig(hidden=(32,), filters=(16, 32, 64), init=Init("kaiming_normal", gain=2**0.5, bias=0.0)),
        optim=Optim("adamw", lr=2e-3, schedule="cosine", warmup_epochs=1),
        reported={},
    )

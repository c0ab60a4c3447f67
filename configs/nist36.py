"""nist36: nets that tell handwritten capitals and digits apart, and one that draws them again (report S2 Q3, Q5, Q6.1).

    jaxnets run nist36                                       on the course's three .mat files
    jaxnets run nist36 --data.source emnist36                on EMNIST's letters and digits, as many of them
    jaxnets run nist36/mlp --data.source synthetic            on drawn glyphs, without a download
    jaxnets run nist36/best --data.source letters36          a reader of pages: see `jaxnets ocr`

Stated in the report: 36 classes, 32×32 pixels, one hidden layer of sigmoids (128 units at the best rate), Xavier weights,
SGD in batches of 32 for 50 epochs at rates of 3e-2 (fluctuates), 3e-3 (best) and 3e-4 (not there yet); the autoencoder's
layers and its mean PSNR on validation images, 16.6334 dB; 77 % on validation images for the framework's version of the net,
about 90 % for a CNN, which converges in a third of the time.
Inferred: the course's own net adds gradients up over a batch, where ours takes their mean, so that its rates are 32 times as
large here. The autoencoder, too, is trained by sums over batches of 36, at 3e-5, which a momentum of 0.9 makes ten times as
large; an epoch count of 100 is chosen here.
Open there, chosen here: the CNN (two convolutions of 16 and 32 filters), and the framework's version: momentum 0.9 at 1e-2.
`best` is a CNN with BatchNorm, dropout and shifts by up to two pixels; `autoencoder_best` has convolutions around the
same narrow layer.
"""

from collections.abc import Iterator
from dataclasses import replace

from jaxnets.config import Augment, Experiment, ImageData, Optim
from jaxnets.config.model import AutoencoderConfig, CNNConfig, Init, MLPConfig

DATA = ImageData("nist36", synthetic="glyphs36", batch_size=32)
BATCH, PICTURES = 32, 36
XAVIER = Init("xavier_uniform", bias=0.0)


def experiments() -> Iterator[Experiment]:
    """The MLP at three rates, its framework version, the CNN, the autoencoder; and a better one of each kind."""
    mlp = Experiment(
        "nist36/mlp",
        "S2 Q3",
        "one hidden layer of sigmoids, at the best of three rates",
        DATA,
        MLPConfig(init=XAVIER),
        Optim("sgd", lr=3e-3 * BATCH),
        epochs=50,
        reported={"epochs": 50, "parameters": 135_844},
    )
    yield mlp
    for name, rate, what in (("mlp_fast", 3e-2, "ten times the rate"), ("mlp_slow", 3e-4, "a tenth of the rate")):
        yield replace(mlp, id=f"nist36/{name}", summary=f"the same at {what}", optim=Optim("sgd", lr=rate * BATCH))
    framework = replace(
        mlp,
        id="nist36/mlp_framework",
        source="S2 Q6.1.1",
        summary="the same, started and trained as a framework does by default",
        model=MLPConfig(),
        optim=Optim("sgd", lr=1e-2, momentum=0.9),
        reported={"epochs": 50, "validation_accuracy": 77, "train_accuracy": 100, "parameters": 135_844},
    )
    yield framework
    yield replace(
        framework,
        id="nist36/cnn",
        source="S2 Q6.1.2",
        summary="two convolutions",
        model=CNNConfig(width=16),
        reported={"epochs": 50, "validation_accuracy": 90},
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
        "nist36/autoencoder",
        "S2 Q5",
        "dense layers of 32, 32 and 32 units, squared error",
        replace(DATA, batch_size=PICTURES),
        AutoencoderConfig(init=XAVIER),
        Optim("sgd", lr=3e-5 * PICTURES, momentum=0.9),
        epochs=100,
        select="last",
        reported={"validation_psnr": 16.6334, "parameters": 68_704},
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

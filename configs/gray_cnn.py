"""cifar10/gray_cnn and cifar10/cnn: plain CNNs on gray and on color images (reports S3 Q1 and S2 Q6.1.3).

    jaxnets run cifar10/gray_cnn                        all variants, 10 epochs (best: 15), 3 seeds
    jaxnets sweep cifar10/gray_cnn/plain --over optim.lr=3e-4,1e-3,3e-3 --over model.width=16,32 --epochs 5
    jaxnets run cifar10/cnn

Stated in the report: gray images, 32 filters in the first convolution, batches of 128, 10 epochs; a test accuracy of 65.58 %
before a hyper-parameter search and 68.19 % after it. Its log shows 73 % on training batches in the tenth epoch before the
search, and 100 % after it.
Open there, chosen here: everything after the first convolution, namely two 3×3 convolutions of 32 and 64 filters and 128
dense units. These 544,522 parameters can memorize the training images, as the report's network does. Adam, at 3e-4 before
the search. `tuned` has a rate of 1e-3 and dropout before the last layer.
`best` is `plain` with BatchNorm, dropout before the last layer, flips, small crops and a cosine schedule. `cifar10/cnn` is
`plain` in color; report S2 shows its curves and no figures.

Expected test accuracy in %, mean ± standard deviation, on two cores of an AMD EPYC; minutes are for all seeds:

    plain 63.9 ± 1.1       10 epochs, 3 seeds, 14 minutes
    tuned 67.2 ± 0.4       10 epochs, 3 seeds, 7 minutes
    best  70.0 ± 1.3       15 epochs, 2 seeds, 11 minutes

`cifar10/cnn` has not been run yet.
"""

from collections.abc import Iterator
from dataclasses import replace

from jaxnets.config import Augment, Experiment, ImageData, Optim
from jaxnets.config.model import CNNConfig

GRAY = ImageData(source="cifar10", normalize="symmetric", gray=True)


def experiments() -> Iterator[Experiment]:
    """Before the search, after it, a better recipe of this size, and the same network in color."""
    plain = Experiment(
        id="cifar10/gray_cnn/plain",
        source="S3 Q1",
        summary="two convolutions on gray images, before the search",
        data=GRAY,
        model=CNNConfig(),
        optim=Optim(lr=3e-4),
        epochs=10,
        select="last",
        reported=dict(epochs=10, test_accuracy=65.58, test_loss=1.0133),
    )
    yield plain
    yield replace(
        plain,
        id="cifar10/gray_cnn/tuned",
        summary="the same, after the search",
        model=CNNConfig(dropout_dense=0.5),
        optim=Optim(lr=1e-3),
        reported=dict(epochs=10, test_accuracy=68.19),
    )
    yield replace(
        plain,
        id="cifar10/gray_cnn/best",
        summary="the same with BatchNorm, dropout, flips and small crops",
        data=replace(GRAY, augment=Augment(crop_padding=2, flip=True)),
        model=CNNConfig(batch_norm=True, dropout_dense=0.3),
        optim=Optim(lr=1e-3, schedule="cosine"),
        epochs=15,
        select="best",
        reported={},
    )
    yield replace(
        plain,
        id="cifar10/cnn",
        source="S2 Q6.1.3",
        summary="two convolutions on color images",
        data=ImageData(source="cifar10", normalize="symmetric"),
        optim=Optim(lr=1e-3),
        select="best",
        reported={},
    )

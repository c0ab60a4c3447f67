"""cifar10/gray_cnn and cifar10/cnn: plain CNNs on gray and on color images (reports S3 Q1 and S2 Q6.1.3).

    jaxnets run cifar10/gray_cnn                        all variants, 10 epochs (best: 15), 3 seeds
    jaxnets sweep cifar10/gray_cnn/plain --over optim.lr=3e-4,1e-3,3e-3 --over model.width=16,32 --epochs 5
    jaxnets run cifar10/cnn

Stated in the report: gray images, 32 filters in the first convolution, batch 128, 10 epochs; 65.58 % before and 68.19 %
after a search for hyper-parameters. Its log shows 73 % on training batches in the tenth epoch before the search, and 100 %
after it.
Open there, chosen here: all beyond the first convolution: two 3×3 convolutions of 32 and 64 filters and 128 dense units,
544,522 parameters, which can learn the training images by heart as the report's net does; Adam, at 3e-4 before the search;
`tuned` has another rate and dropout before the last layer.
`best` is `plain` with BatchNorm, dropout before the last layer, flips, small crops and a cosine schedule. `cifar10/cnn` is
`plain` in color, for which report S2 shows curves and no figures.
"""

from collections.abc import Iterator
from dataclasses import replace

from jaxnets.config import Augment, Experiment, ImageData, Optim
from jaxnets.config.model import CNNConfig

GRAY = ImageData("cifar10", normalize="symmetric", gray=True)


def experiments() -> Iterator[Experiment]:
    """Before the search, after it, the best of this size; and the same net in color."""
    source, reported = "S3 Q1", {"epochs": 10}
    plain = Experiment(
        "cifar10/gray_cnn/plain",
        source,
        "two convolutions on gray images, before the search",
        GRAY,
        CNNConfig(),
        Optim(lr=3e-4),
        epochs=10,
        select="last",
        reported=reported | {"test_accuracy": 65.58, "test_loss": 1.0133},
    )
    yield plain
    yield replace(
        plain,
        id="cifar10/gray_cnn/tuned",
        summary="the same, after the search",
        model=CNNConfig(dropout_dense=0.5),
        optim=Optim(lr=1e-3),
        reported=reported | {"test_accuracy": 68.19},
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
        data=ImageData("cifar10", normalize="symmetric"),
        optim=Optim(lr=1e-3),
        select="best",
        reported={},
    )

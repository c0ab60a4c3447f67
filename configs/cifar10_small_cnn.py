"""cifar10/small_cnn: the best accuracy from fewer than 50,000 parameters (report S1 Q1).

    jaxnets run cifar10/small_cnn                  90 epochs, 3 seeds
    jaxnets run cifar10/small_cnn_best --epochs 30

Stated in the report: 16, 32 and 64 filters with kernels of 5, 5 and 3 and a padding of 2, BatchNorm and ReLU, dense layers
of 16 and 10 units, 49,338 parameters, batches of 128, 90 epochs, the weights of the best epoch, random crops, flips and
color jitter.
Open there, chosen here: Adam at 1e-3 and the strength of the augmentation.
Inferred: 3×3 pooling at stride 2, the only choice that gives the stated parameter count.
The report trains on all 50,000 images (390 steps an epoch) and picks the epoch by the test set. Here 5,000 of them are held
out to pick the epoch, so an epoch has 351 steps.
`small_cnn_best` is the same network with flips and crops only, trained by AdamW along a cosine.

Expected: the report has a test accuracy of 81.14 %. Neither experiment has been run on CIFAR-10 yet. A step takes 28 ms on
two cores of an AMD EPYC, so the steps alone of 90 epochs of one seed take about 15 minutes.
"""

from collections.abc import Iterator
from dataclasses import replace

from jaxnets.config import Augment, Experiment, ImageData, Optim
from jaxnets.config.model import SmallCNNConfig


def experiments() -> Iterator[Experiment]:
    """The report's network and recipe, and a better recipe for it."""
    base = Experiment(
        id="cifar10/small_cnn",
        source="S1 Q1",
        summary="three convolutions with BatchNorm, under 50,000 parameters",
        data=ImageData(
            source="cifar10",
            normalize="standard",
            augment=Augment(crop_padding=4, flip=True, brightness=0.1, contrast=0.1, saturation=0.1),
        ),
        model=SmallCNNConfig(),
        optim=Optim("adam", lr=1e-3),
        epochs=90,
        reported=dict(epochs=90, test_accuracy=81.14, parameters=49_338),
    )
    yield base
    yield replace(
        base,
        id="cifar10/small_cnn_best",
        summary="the same, flipped and cropped, by AdamW along a cosine",
        data=replace(base.data, augment=Augment(crop_padding=4, flip=True)),
        optim=Optim("adamw", lr=4e-3, weight_decay=0.01, schedule="cosine", warmup_epochs=2),
        reported=dict(parameters=49_338),
    )

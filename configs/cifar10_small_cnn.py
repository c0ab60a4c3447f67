"""cifar10/small_cnn: the best accuracy from fewer than 50,000 parameters (report S1 Q1).

    jaxnets run cifar10/small_cnn                  90 epochs, 3 seeds
    jaxnets run cifar10/small_cnn_best --epochs 30

Stated: filters 16, 32, 64 with kernels 5, 5, 3 and padding 2, BatchNorm and ReLU, dense 16 and 10, 49,338 parameters,
batch 128, 90 epochs, the best epoch kept, random crop, flip and color jitter.
Open there, chosen here: Adam at 1e-3, the strength of the augmentation, 3×3 pooling at stride 2 (the only one for which
the parameter count comes out). The report trains on all 50,000 images (390 steps an epoch) and picks the epoch on the
test set; here 5,000 of them are kept for that choice, so an epoch has 351 steps.
`small_cnn_best` is the same net with flips and crops alone, by AdamW along a cosine.
"""

from collections.abc import Iterator
from dataclasses import replace

from jaxnets.config import Augment, Experiment, ImageData, Optim
from jaxnets.config.model import SmallCNNConfig


def experiments() -> Iterator[Experiment]:
    """The report's, and the best of this size."""
    base = Experiment(
        "cifar10/small_cnn",
        "S1 Q1",
        "three convolutions with BatchNorm, under 50,000 parameters",
        ImageData(
            source="cifar10",
            normalize="standard",
            augment=Augment(crop_padding=4, flip=True, brightness=0.1, contrast=0.1, saturation=0.1),
        ),
        SmallCNNConfig(),
        Optim("adam", lr=1e-3),
        epochs=90,
        reported={"epochs": 90, "test_accuracy": 81.14, "parameters": 49_338},
    )
    yield base
    yield replace(
        base,
        id="cifar10/small_cnn_best",
        summary="the same, flipped and cropped, by AdamW along a cosine",
        data=replace(base.data, augment=Augment(crop_padding=4, flip=True)),
        optim=Optim("adamw", lr=4e-3, weight_decay=0.01, schedule="cosine", warmup_epochs=2),
        reported={"parameters": 49_338},
    )

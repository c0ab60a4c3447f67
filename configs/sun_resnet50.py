"""sun/resnet50_finetune: a ResNet-50 trained on ImageNet, retrained for eight classes of scenes (report S2 Q6.1.4).

    jaxnets data prepare sun8 --manual-dir DIR            once
    jaxnets run sun/resnet50_finetune                     both variants; downloads the ImageNet weights (98 MB) on first use
    jaxnets run sun/resnet50_finetune --model.weights resnet50.safetensors            weights fetched by hand
    jaxnets run sun/resnet50_finetune/full --model.weights none --optim.lr 0.01       from random weights

Stated in the report: ResNet-50, pretrained on ImageNet; 65 % on the test images, against 56.5 % for bags of visual words.
Open there, chosen here: which layers were retrained, and how. `head` retrains the last layer alone, on fixed features:
BatchNorm keeps ImageNet's statistics. `full` goes on with all layers, at a low rate. ImageNet's customary preprocessing:
224×224 pixels, normalized by ImageNet's mean and standard deviation. One epoch is 33 steps. Meant for an accelerator: on two
CPU cores a step takes tens of seconds.
"""

from collections.abc import Iterator
from dataclasses import replace

from jaxnets.config import Augment, Experiment, ImageData, Optim
from jaxnets.config.model import Init, ResNet50Config


def experiments() -> Iterator[Experiment]:
    """All layers, and the last alone."""
    full = Experiment(
        "sun/resnet50_finetune/full",
        "S2 Q6.1.4",
        "ResNet-50 from ImageNet, all layers retrained",
        ImageData("sun8", batch_size=32, normalize="imagenet", augment=Augment(crop_padding=16, flip=True)),
        ResNet50Config(Init("kaiming_normal", gain=2**0.5, dense_std=0.01, bias=0.0)),
        Optim("sgd", lr=2e-3, momentum=0.9, weight_decay=1e-4, schedule="cosine", warmup_epochs=1),
        epochs=15,
        eval_batch_size=50,
        reported={"test_accuracy": 65.0, "parameters": 23_524_424},
    )
    yield full
    yield replace(
        full,
        id="sun/resnet50_finetune/head",
        summary="ResNet-50 from ImageNet, the last layer retrained",
        optim=Optim("adam", lr=1e-3, schedule="cosine", trainable="head"),
        reported={"test_accuracy": 65.0, "parameters": 16_392},  # Trained ones.
    )

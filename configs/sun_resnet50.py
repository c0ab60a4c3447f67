"""sun/resnet50_finetune: a ResNet-50 trained on ImageNet, fine-tuned for eight classes of scenes (report S2 Q6.1.4).

    jaxnets data prepare sun8 --manual-dir DIR            once
    jaxnets run sun/resnet50_finetune                     both variants; downloads the ImageNet weights (98 MB) on first use
    jaxnets run sun/resnet50_finetune --model.weights resnet50.safetensors            weights from a local file
    jaxnets run sun/resnet50_finetune/full --model.weights none --optim.lr 0.01       from random weights

Stated in the report: ResNet-50, pretrained on ImageNet; a test accuracy of 65 %, against 56.5 % for bags of visual words.
Open there, chosen here: which layers are trained, and how. `head` trains only the last layer, on fixed features: BatchNorm
keeps ImageNet's statistics. `full` trains all layers at a low rate. The preprocessing is ImageNet's usual one: 224×224
pixels, normalized by ImageNet's mean and standard deviation. An epoch has 33 steps.
Inferred: nothing.

Expected: the report has a test accuracy of 65 %. Not run yet. Meant for an accelerator; on two CPU cores a step takes tens
of seconds.
"""

from collections.abc import Iterator
from dataclasses import replace

from jaxnets.config import Augment, Experiment, ImageData, Optim
from jaxnets.config.model import Init, ResNet50Config


def experiments() -> Iterator[Experiment]:
    """All layers trained, and only the last one."""
    full = Experiment(
        id="sun/resnet50_finetune/full",
        source="S2 Q6.1.4",
        summary="ResNet-50 from ImageNet, all layers retrained",
        data=ImageData(source="sun8", batch_size=32, normalize="imagenet", augment=Augment(crop_padding=16, flip=True)),
        model=ResNet50Config(Init("kaiming_normal", gain=2**0.5, dense_std=0.01, bias=0.0)),
        optim=Optim("sgd", lr=2e-3, momentum=0.9, weight_decay=1e-4, schedule="cosine", warmup_epochs=1),
        epochs=15,
        eval_batch_size=50,
        reported=dict(test_accuracy=65.0, parameters=23_524_424),
    )
    yield full
    yield replace(
        full,
        id="sun/resnet50_finetune/head",
        summary="ResNet-50 from ImageNet, the last layer retrained",
        optim=Optim("adam", lr=1e-3, schedule="cosine", trainable="head"),
        reported=dict(test_accuracy=65.0, parameters=16_392),  # Only the trained ones.
    )

"""study: what the start, the batch size and SPSA do (report S4 §4.5, §4.6 and §2.7; tables 5, 6 and 7).

    jaxnets run study/init --epochs 1 --seeds 1         the first losses, and the look of the first descent
    jaxnets run study/init/cifar10_resnet34 --seeds 1 --steps 40 --eval-examples 500    first losses, on two cores in minutes
    jaxnets run study/batch_size --seeds 1              meant for an accelerator
    jaxnets run study/batch_size/16384 --seeds 1 --grad-accumulation-steps 8
    jaxnets run study/spsa

`init`: four nets, each from Kaiming weights and from large Gaussian ones. A good first loss lies near ln(classes).
`batch_size`: tiny_imagenet/resnet34/super in batches from 128 to 16,384; the last did not fit the report's 40 GB.
`spsa`: LeNet by SPSA with 1, 16 and 256 directions, by SPSA and Adam, and by gradient descent, all with about 14,000
evaluations of the loss; a step of gradient descent counts as one. The report describes SPSA and gives no figures. The gains
are the best of a sweep, for example `jaxnets sweep study/spsa/spsa_16 --over optim.spsa.a=0.1,0.3,1,3`.
"""

from collections.abc import Iterator
from dataclasses import replace

from jaxnets import registry
from jaxnets.config import Experiment, Optim, Spsa

EVALUATIONS = 14_040  # 40 epochs of gradient descent in batches of 128
GAINS = {1: 0.2, 16: 0.5, 256: 1.0}
# Batch size: (train, validation accuracy, GPU seconds, GB)
BATCH_SIZES = {
    128: (36.92, 35.02, 5549.40, 2.03),
    256: (41.65, 37.63, 4380.53, 2.48),
    512: (42.55, 37.79, 3839.92, 3.11),
    1024: (44.04, 38.40, 3980.64, 4.50),
    2048: (43.83, 37.48, 3984.07, 7.20),
    4096: (39.57, 35.06, 4005.28, 12.53),
    8192: (34.92, 32.11, 4164.34, 23.08),
    16384: (None, None, None, 46),
}


def experiments() -> Iterator[Experiment]:
    """The three studies."""
    known = {**registry.family("cifar10_lenet"), **registry.family("resnet34"), **registry.family("tiny_imagenet_lenet")}
    for family in ("cifar10/lenet", "cifar10/resnet34", "tiny_imagenet/lenet", "tiny_imagenet/resnet34"):
        for start, variant in (("kaiming", "super"), ("gaussian", "super_badinit")):
            id_ = f"study/init/{family.replace('/', '_')}/{start}"
            yield replace(known[f"{family}/{variant}"], id=id_, source="S4 §4.5, tables 5, 6")
    base = known["tiny_imagenet/resnet34/super"]
    for size, (train, validation, seconds, memory) in BATCH_SIZES.items():
        told = {"train_accuracy": train, "validation_accuracy": validation, "gpu_seconds": seconds, "gpu_memory_gb": memory}
        yield replace(
            base,
            id=f"study/batch_size/{size}",
            source="S4 §4.6, table 7",
            summary=f"super in batches of {size:,}",
            data=replace(base.data, batch_size=size),
            reported={
                "epochs": 100,
                "parameters": base.reported["parameters"],
                **{name: value for name, value in told.items() if value is not None},
            },
        )
    plain = replace(known["cifar10/lenet/plain"], source="S4 §2.7", reported={"parameters": 62_006}, select="last")
    descent = Optim("sgd", lr=0.05)
    yield replace(plain, id="study/spsa/gd", summary="gradient descent", optim=descent, steps=EVALUATIONS)
    for directions, a in GAINS.items():
        optim = Optim("spsa", spsa=Spsa(a=a, big_a=EVALUATIONS // (20 * directions), num_perturbations=directions))
        yield replace(
            plain,
            id=f"study/spsa/spsa_{directions}",
            summary=f"SPSA, {directions} direction{'s' if directions > 1 else ''} a step",
            optim=optim,
            steps=EVALUATIONS // optim.evaluations_per_step,
        )
    adam = Optim("spsa", lr=1e-3, spsa=Spsa(num_perturbations=16, rule="adam"))
    yield replace(
        plain,
        id="study/spsa/spsa_adam",
        summary="SPSA, 16 directions a step, followed by Adam",
        optim=adam,
        steps=EVALUATIONS // adam.evaluations_per_step,
    )

"""study: what initialization, batch size and SPSA do (report S4 §4.5, §4.6 and §2.7; tables 5, 6 and 7).

    jaxnets run study/init --epochs 1 --seeds 1         the initial losses and the first descent
    jaxnets run study/init/cifar10_resnet34 --seeds 1 --steps 40 --eval-examples 500    minutes on two CPU cores
    jaxnets run study/batch_size --seeds 1              meant for an accelerator
    jaxnets run study/batch_size/16384 --seeds 1 --grad-accumulation-steps 8
    jaxnets run study/spsa
    jaxnets run cifar10/lenet/bn --epochs 1 --optim.lr 1e-3     then, from these weights, its scales alone:
    jaxnets run study/spsa/scales study/spsa/scales_gd --model.weights runs/cifar10/lenet/bn/weights.safetensors

`init`: four networks, each from Kaiming weights and from large Gaussian ones. A good initial loss is near ln(classes).
`batch_size`: tiny_imagenet/resnet34/super in batches from 128 to 16,384; the last did not fit the report's GPU.
`spsa`: LeNet by SPSA with 1, 16 and 256 perturbations, with Adam, in its other forms, and by gradient descent. Each has
a budget of about 14,000 loss evaluations; a step of gradient descent counts as one. But layerwise, which evaluates the
loss 62,006 times a step at the price of about 200 forward passes, has 3,000 steps; and scales, the 226 of a trained net's
BatchNorm, which has as many steps as scales_gd, 1,000.

Stated in the report: the figures of tables 5 to 7. It describes SPSA and has no figures for it.
Open there, chosen here: SPSA's gains for 1, 16 and 256 perturbations, the best of a sweep such as
`jaxnets sweep study/spsa/spsa_16 --over optim.spsa.a=0.1,0.3,1,3`. Its other forms have the same, or first moves of about
the same size; they were not swept.
Inferred: nothing beyond what cifar10/lenet, cifar10/resnet34 and their Tiny ImageNet versions infer.

Expected, mean ± standard deviation, on two cores of an AMD EPYC; times are for all seeds:

    init         initial losses within 0.05 of ln(classes) from Kaiming weights; from Gaussian ones 13.7 ± 0.5 and 51.0 ± 3.3
                 (LeNet on CIFAR-10 and Tiny ImageNet, 3 seeds, under a minute an epoch), and 31.4 (ResNet-34 on CIFAR-10,
                 1 seed, 7 to 39 minutes for 40 steps)
    batch_size   not run yet
    spsa         test accuracy after 14,040 loss evaluations, 2 seeds, 1 to 4 minutes each: gd 55.7 ± 0.4 %,
                 spsa_1 23.6 ± 0.3, spsa_16 21.2 ± 0.9, spsa_256 12.4 ± 3.3, spsa_adam 21.7 ± 1.9; the others not run yet.
                 layerwise, whose steps are counted by time: 53.7 ± 1.3, 3 seeds, 23 minutes each beside other programs.
                 After 300 steps from weights of one epoch, on the validation split, 3 seeds: scales from 43.9 ± 1.3 to
                 45.4 ± 0.7, scales_gd to 46.4 ± 0.8; not run yet as long as they are here
                 After 1,000 steps, 2 seeds: spsa_1 13.4 ± 2.1 %, one_sided 13.4 ± 1.7, averaged 14.3 ± 2.1; calibrated to a
                 first move of 3e-3, ten times what it is here, it diverged
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from jaxnets import registry
from jaxnets.config import Experiment, Optim, Spsa

EVALUATIONS = 14_040  # 40 epochs of gradient descent in batches of 128
PARAMETERS = 62_006
GAINS = {1: 0.2, 16: 0.5, 256: 1.0}
"""SPSA's gain `a` by the number of perturbations."""
BATCH_SIZES: dict[int, dict[str, float]] = {
    128: dict(train_accuracy=36.92, validation_accuracy=35.02, gpu_seconds=5549.40, gpu_memory_gb=2.03),
    256: dict(train_accuracy=41.65, validation_accuracy=37.63, gpu_seconds=4380.53, gpu_memory_gb=2.48),
    512: dict(train_accuracy=42.55, validation_accuracy=37.79, gpu_seconds=3839.92, gpu_memory_gb=3.11),
    1024: dict(train_accuracy=44.04, validation_accuracy=38.40, gpu_seconds=3980.64, gpu_memory_gb=4.50),
    2048: dict(train_accuracy=43.83, validation_accuracy=37.48, gpu_seconds=3984.07, gpu_memory_gb=7.20),
    4096: dict(train_accuracy=39.57, validation_accuracy=35.06, gpu_seconds=4005.28, gpu_memory_gb=12.53),
    8192: dict(train_accuracy=34.92, validation_accuracy=32.11, gpu_seconds=4164.34, gpu_memory_gb=23.08),
    16384: dict(gpu_memory_gb=46),
}


def experiments() -> Iterator[Experiment]:
    """The three studies."""
    names = ("cifar10_lenet", "cifar10_tutorial_net", "resnet34", "tiny_imagenet_lenet")
    built_in = {id_: experiment for name in names for id_, experiment in registry.family(name).items()}
    yield from _init(built_in)
    yield from _batch_size(built_in["tiny_imagenet/resnet34/super"])
    yield from _spsa(built_in["cifar10/lenet/plain"])
    yield _layerwise(built_in["cifar10/tutorial_net"])
    yield from _scales(built_in["cifar10/lenet/bn"])


def _init(built_in: Mapping[str, Experiment]) -> Iterator[Experiment]:
    for family in ("cifar10/lenet", "cifar10/resnet34", "tiny_imagenet/lenet", "tiny_imagenet/resnet34"):
        for init, variant in (("kaiming", "super"), ("gaussian", "super_badinit")):
            id_ = f"study/init/{family.replace('/', '_')}/{init}"
            yield replace(built_in[f"{family}/{variant}"], id=id_, source="S4 §4.5, tables 5, 6")


def _batch_size(base: Experiment) -> Iterator[Experiment]:
    for size, reported in BATCH_SIZES.items():
        yield replace(
            base,
            id=f"study/batch_size/{size}",
            source="S4 §4.6, table 7",
            summary=f"super in batches of {size:,}",
            data=replace(base.data, batch_size=size),
            reported=dict(epochs=100, parameters=base.reported["parameters"], **reported),
            fitted={},
        )


def _spsa(base: Experiment) -> Iterator[Experiment]:
    plain = replace(base, source="S4 §2.7", reported=dict(parameters=PARAMETERS), fitted={}, select="last")
    yield replace(plain, id="study/spsa/gd", summary="gradient descent", optim=Optim("sgd", lr=0.05), steps=EVALUATIONS)
    of = {m: Spsa(a=a, big_a=EVALUATIONS // (20 * m), num_perturbations=m) for m, a in GAINS.items()}
    for perturbations, spsa in of.items():
        plural = "s" if perturbations > 1 else ""
        yield _by_evaluations(plain, f"spsa_{perturbations}", f"{perturbations} perturbation{plural} a step", spsa)
    adam = Spsa(num_perturbations=16, rule="adam")
    yield _by_evaluations(plain, "spsa_adam", "16 perturbations a step, followed by Adam", adam)
    one, many = of[1], of[16]
    variants = {
        "calibrated": ("a chosen in the first 25 steps", replace(one, calibrate=3e-4)),
        "blocking": ("steps refused that are worse by 2 standard deviations", replace(one, blocking=2.0)),
        "one_sided": ("one-sided differences", replace(one, difference="one_sided")),
        "2spsa": ("behind the diagonal of an estimated Hessian", replace(one, hessian="diagonal", calibrate=1e-4)),
        "orthogonal": ("16 orthogonal perturbations a step", replace(many, directions="orthogonal")),
        "low_rank": ("16 perturbations of rank 1 a step", replace(many, directions="low_rank")),
        # A coordinate is moved by c times the root of their number.
        "coordinates": ("16 coordinates a step", replace(many, directions="coordinates", c=1e-4)),
    }
    for name, (summary, spsa) in variants.items():
        yield _by_evaluations(plain, name, summary, spsa)
    yield _by_evaluations(plain, "averaged", "1 perturbation a step, the weights averaged", one, ema=0.999)
    # Steps of a good size are as much longer as there are fewer parameters.
    head = replace(plain, reported={})  # S4 counts the whole net.
    yield _by_evaluations(head, "head", "1 perturbation a step of the head alone", replace(one, a=2.0), trainable="head")


def _layerwise(base: Experiment) -> Experiment:
    """Every parameter in turn: a step costs as much as about 200 forward passes, and is about one of gradient descent."""
    return replace(
        base,
        id="study/spsa/layerwise",
        source="S4 §2.7",
        summary="finite differences in every parameter, each from its layer on, followed by Adam",
        reported=dict(parameters=PARAMETERS),
        data=replace(base.data, batch_size=32),
        optim=Optim(
            "spsa",
            lr=1e-3,
            schedule="cosine",
            spsa=Spsa(directions="layerwise", difference="one_sided", c=0.005, rule="adam"),
        ),
        steps=3000,
        select="last",
    )


def _scales(base: Experiment) -> Iterator[Experiment]:
    """The scales of a trained net's BatchNorm alone, by SPSA and by gradients: equal steps, from the same weights."""
    tuned = replace(base, source="S4 §2.7", reported={}, fitted={}, steps=1000, select="last")  # S4 counts the whole net.
    spsa = Spsa(a=0.5, big_a=100.0, c=0.03)
    rules = {
        "scales": ("SPSA of the scales of BatchNorm alone", Optim("spsa", trainable="scales", spsa=spsa)),
        "scales_gd": ("gradient descent in the scales of BatchNorm alone", Optim("sgd", lr=0.1, trainable="scales")),
    }
    for name, (summary, optim) in rules.items():
        yield replace(tuned, id=f"study/spsa/{name}", summary=summary, optim=optim)


def _by_evaluations(base: Experiment, name: str, summary: str, spsa: Spsa, **options: Any) -> Experiment:
    """SPSA for as many steps as the study's evaluations allow."""
    optim = Optim("spsa", lr=1e-3, spsa=spsa, **options)
    steps = EVALUATIONS // optim.evaluations_per_step(PARAMETERS)
    return replace(base, id=f"study/spsa/{name}", summary=f"SPSA, {summary}", optim=optim, steps=steps)

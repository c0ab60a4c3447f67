"""PyTorch's side of whole trainings: the same augmentation as ours, and measurements of both sides."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: its side of the benchmarks is not tested")

from benchmarks import contention, data, harness, measurements  # noqa: E402
from benchmarks.torch import forms, training, twins  # noqa: E402
from benchmarks.workloads import WORKLOADS, prepare  # noqa: E402
from jaxnets import registry  # noqa: E402
from jaxnets.config import Augment, CNNConfig, Optim  # noqa: E402
from jaxnets.data import catalog  # noqa: E402
from jaxnets.data.store import Dataset, image_statistics  # noqa: E402
from jaxnets.errors import UserError  # noqa: E402
from jaxnets.pipeline import augment  # noqa: E402
from jaxnets.training import engine, parallel  # noqa: E402

torch.set_num_threads(1)  # Threads that wait for each other spin; other tests may need the cores.

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)


def augmented(config):
    """IMAGES augmented by PyTorch, [N, H, W, C] in [0, 1]."""
    return training.make_augment(config)(training.image_tensor(IMAGES, "cpu")).numpy().transpose(0, 2, 3, 1)


def to_bytes(images):
    return np.round(255 * images).astype(int)


def test_crops_are_windows_of_the_padded_image_and_differ():
    padded_images = np.pad(IMAGES, ((0, 0), (4, 4), (4, 4), (0, 0)))
    places = []
    for image, padded in zip(to_bytes(augmented(Augment(crop_padding=4))), padded_images, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(padded, (32, 32, 3))[:, :, 0]
        [place] = np.argwhere((windows == image).all((2, 3, 4)))
        places.append(tuple(place))
    assert len(set(places)) > 20
    assert min(min(p) for p in places) == 0
    assert max(max(p) for p in places) == 8


def test_about_half_of_the_images_are_flipped():
    flipped_or_not = to_bytes(augmented(Augment(flip=True)))
    mirrored = [(a == b[:, ::-1]).all() for a, b in zip(flipped_or_not, IMAGES, strict=True)]
    same = [(a == b).all() for a, b in zip(flipped_or_not, IMAGES, strict=True)]
    assert np.logical_xor(mirrored, same).all()
    assert 8 < sum(mirrored) < 32


@pytest.mark.parametrize("drawn", [0.0, 0.3, 0.9])
def test_colors_change_as_ours_do(monkeypatch, drawn):
    monkeypatch.setattr(torch, "rand", lambda *shape, device=None: torch.full(shape, drawn))
    changed = augmented(Augment(brightness=0.1, contrast=0.2, saturation=0.4))
    expected = augment.to_unit(jnp.asarray(IMAGES))
    changes = ((augment.adjust_brightness, 0.1), (augment.adjust_contrast, 0.2), (augment.adjust_saturation, 0.4))
    for change, strength in changes:
        expected = change(expected, jnp.full(40, 1 - strength + 2 * strength * drawn))
    np.testing.assert_allclose(changed, expected, atol=1e-6)


@dataclasses.dataclass(frozen=True)
class AugmentWithRotation(Augment):
    """As if Augment had a field that PyTorch's side knows nothing of."""

    rotation: float = 0.0


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (Augment(cutout=8), "cutout = 8"),
        (Augment(crop_padding=2, crop_fill="edge"), "crop_fill = 'edge'"),
        (AugmentWithRotation(flip=True, rotation=15.0), "rotation = 15.0"),
    ],
)
def test_augmentation_that_is_not_implemented_is_refused(config, field):
    """By all that augments: the function itself, a loader of single images, and a trainer before its first step."""
    message = rf"^PyTorch's side does not implement augment\.{field}$"
    with pytest.raises(ValueError, match=message):
        training.make_augment(config)
    experiment = registry.all_experiments()["cifar10/lenet/plain"]
    experiment = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, augment=config))
    dataset = data.images(4)()
    split = dataset.splits["train"]
    with pytest.raises(ValueError, match=message):
        training.loader(experiment.data, split, workers=0)
    workload = prepare(WORKLOADS["lenet"]._replace(changes={"data.batch_size": 2}))._replace(experiment=experiment)
    with pytest.raises(ValueError, match=message):
        training.Trainer(workload, ([0.0], [1.0]), split, forms.Form(), "cpu")


def test_fields_at_their_defaults_are_not_refused():
    assert (augmented(AugmentWithRotation()) == augmented(Augment())).all()


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
def test_optimizers_have_the_settings_of_the_config(name):
    rule = forms.optimizer(Optim(name, lr=0.02, weight_decay=0.1, momentum=0.5), [torch.nn.Parameter(torch.ones(2))], True)
    assert rule.defaults["lr"] == 0.02
    assert rule.defaults["weight_decay"] == 0.1
    assert rule.defaults.get("momentum", 0.5) == 0.5


def test_every_form_makes_the_same_updates():
    """Fused, packed or not; gradients are clipped."""
    changes = {"model.hidden": 8, "model.dropout": 0.0, "data.batch_size": 4}
    workload = prepare(WORKLOADS["imdb_lstm"]._replace(changes=changes))
    losses = []
    for form in (forms.FORMS["torch eager"], forms.FORMS["torch fused"], forms.FORMS["torch packed"]):
        torch.manual_seed(0)
        twin = twins.build(workload)
        twin.module.packed = form.packed
        step, resident_bytes = forms.train_step(twin, workload.experiment.optim, form)
        for _ in range(3):
            loss = step()
        losses.append(loss.item())
        count = sum(p.numel() for p in twin.module.parameters())
        assert resident_bytes() >= 3 * 4 * count  # Weights and Adam's two averages.
        assert forms.peak_bytes(step, resident_bytes, "cpu") > resident_bytes()
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-4)


SIDES = ("jaxnets", "torch fused", "torch compile")
BATCH_SIZE, TRAIN_IMAGES, VALIDATION_IMAGES = 16, 64, 40


@pytest.fixture
def small(monkeypatch):
    """A small model, small batches, no compilation by PyTorch, no worker processes. Returns the experiment."""
    experiment = registry.all_experiments()[measurements.FULL_RUN_EXPERIMENT]
    experiment = dataclasses.replace(
        experiment,
        seeds=1,
        eval_batch_size=VALIDATION_IMAGES,
        model=CNNConfig(width=4, convolutions=3, dense=16, batch_norm=True),
        data=dataclasses.replace(experiment.data, batch_size=BATCH_SIZE, augment=Augment(flip=True)),
    )
    monkeypatch.setattr(registry, "all_experiments", lambda: {measurements.FULL_RUN_EXPERIMENT: experiment})
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    monkeypatch.setattr(parallel, "available_cores", lambda: 0)
    # One data set for all measurements, so that the same program serves them.
    monkeypatch.setattr(data, "images", lambda examples: dark_and_bright)
    monkeypatch.setattr(catalog, "open_dataset", lambda name: dark_and_bright())
    return experiment


def dark_and_bright():
    """Images of two classes that one epoch or a few can tell apart."""
    rng = np.random.default_rng(0)

    def split(examples):
        label = (np.arange(examples) % 2).astype(np.int32)
        image = rng.integers(0, 64, (examples, 32, 32, 3)) + 190 * label[:, None, None, None]
        return {"image": image.astype(np.uint8), "label": label}

    train = split(TRAIN_IMAGES)
    meta = {"class_names": ["dark", "bright"], **image_statistics(train["image"])}
    return Dataset("dark_and_bright", {"train": train, "validation": split(VALIDATION_IMAGES)}, meta)


def test_an_epoch_is_all_batches_on_every_side(small, monkeypatch):
    updates, examples = [], []

    def updater(*args):
        update = real_updater(*args)
        return lambda batch: (updates.append(len(batch["label"])), update(batch))[1]

    def interleave(candidates, rounds, single_step):
        assert single_step
        for candidate in candidates.values():
            updates.clear()
            candidate.run(1)
            examples.append(sum(updates))
        return {name: harness.Timing(0, (k + 1.0,) * rounds) for k, name in enumerate(candidates)}

    real_updater = forms.updater
    monkeypatch.setattr(forms, "updater", updater)
    monkeypatch.setattr(measurements, "interleave", interleave)
    row = measurements.epoch("lenet_super", 7)
    assert list(row["milliseconds"]) == [*SIDES, "torch DataLoader"]
    assert examples == [0, TRAIN_IMAGES, TRAIN_IMAGES, TRAIN_IMAGES]  # Ours does not use PyTorch.
    assert row["examples_per_second"]["jaxnets"] == TRAIN_IMAGES  # In one second, by the fake clock.
    assert (row["measure"], row["batch"], row["opponent"], row["ratio"]) == ("epoch", BATCH_SIZE, "torch fused", 2)


def test_time_to_accuracy_counts_epochs_until_the_target(small, monkeypatch):
    """On every side and in every round; the warm-up is left out."""
    accuracies = {side: [] for side in SIDES}

    def build(*args):
        built = real_build(*args)

        def evaluate(*args):
            metrics, details = built.evaluate(*args)
            accuracies["jaxnets"].append(float(metrics["accuracy"].value[0]))
            return metrics, details

        return built._replace(evaluate=evaluate)

    def accuracy(trainer, *args):
        side = "torch compile" if trainer.form.compile else "torch fused"
        accuracies[side].append(real_accuracy(trainer, *args))
        return accuracies[side][-1]

    real_build, real_accuracy = engine.build, training.Trainer.accuracy
    monkeypatch.setattr(engine, "build", build)
    monkeypatch.setattr(training.Trainer, "accuracy", accuracy)
    monkeypatch.setattr(measurements, "TARGETS", {"shapes10": 0.9})
    monkeypatch.setattr(contention, "disturbance", lambda usage, cores: None)  # Other tests run.
    row = measurements.time_to_accuracy("lenet_super", 7)
    assert (row["dataset"], row["target"]) == ("shapes10", 0.9)
    assert set(row["epochs"]) == set(SIDES)
    for side in SIDES:
        ends = np.flatnonzero(np.array(accuracies[side]) >= 0.9) + 1
        assert ends[-1] == len(accuracies[side])
        assert row["epochs"][side] == np.diff(ends).tolist()
        assert len(row["epochs"][side]) == 7


def test_a_target_out_of_reach_is_an_error(small, monkeypatch, capsys):
    monkeypatch.setattr(measurements, "TARGETS", {"shapes10": 1.01})
    monkeypatch.setattr(measurements, "_MAX_EPOCHS", 1)
    with pytest.raises(UserError, match="our own side did not run"):
        measurements.time_to_accuracy("lenet_super", 7)
    printed = capsys.readouterr().out
    for side in SIDES:
        assert f"{side} is left out: UserError: {side} does not reach 101% on shapes10 in 1 epochs\n" in printed


def test_both_sides_start_from_the_same_weights(small):
    """Untrained, they have the same validation loss and accuracy."""
    dataset = dark_and_bright()
    built = engine.build(small, dataset)
    trainer = measurements._torch_trainers(measurements._with_example_batch(small, dataset), dataset)["torch fused"]
    images, labels = trainer.stored(dataset.splits["validation"])
    our_losses = []
    for initial in measurements._initial_states(built, 3):
        metrics, _ = built.evaluate("validation", initial.variables, False)
        ours = {name: float(mean.value[0]) for name, mean in metrics.items()}
        trainer.restart(*jax.tree.map(lambda x: np.asarray(x[0]), (initial.params, initial.model_state)))
        assert trainer.accuracy(images, labels) == pytest.approx(ours["accuracy"], abs=0.005)
        with torch.no_grad():
            logits = trainer.twin.module(training.normalize(training.to_unit(images), trainer.mean, trainer.std))
        assert torch.nn.functional.cross_entropy(logits, labels).item() == pytest.approx(ours["loss"], rel=1e-4)
        our_losses.append(ours["loss"])
    assert len(set(our_losses)) == 3

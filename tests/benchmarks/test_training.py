"""PyTorch's side of whole trainings: the same augmentation as ours, and measures that run to their end."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: its side of the benchmarks is not tested")

from benchmarks import measures  # noqa: E402
from benchmarks.torch import forms, training, twins  # noqa: E402
from benchmarks.workloads import WORKLOADS, prepare  # noqa: E402
from jaxnets import registry  # noqa: E402
from jaxnets.config import Augment, Optim  # noqa: E402
from jaxnets.data import catalog  # noqa: E402
from jaxnets.pipeline import augment  # noqa: E402
from jaxnets.training import engine, parallel  # noqa: E402

torch.set_num_threads(1)  # Threads that wait for each other spin; other tests may need the cores.

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)


def back(images):
    """[N, C, H, W] in [0, 1] as [N, H, W, C] in [0, 255]."""
    return np.round(255 * images.numpy().transpose(0, 2, 3, 1)).astype(int)


def test_crops_are_windows_of_the_padded_image_and_differ():
    padded = np.pad(IMAGES, ((0, 0), (4, 4), (4, 4), (0, 0)))
    found = back(training.augment(training.stored(IMAGES, "cpu"), Augment(crop_padding=4)))
    places = []
    for image, whole in zip(found, padded, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(whole, (32, 32, 3))[:, :, 0]
        [place] = np.argwhere((windows == image).all((2, 3, 4)))
        places.append(tuple(place))
    assert len(set(places)) > 20
    assert min(min(p) for p in places) == 0
    assert max(max(p) for p in places) == 8


def test_flips_are_of_about_half():
    found = back(training.augment(training.stored(IMAGES, "cpu"), Augment(flip=True)))
    mirrored = [(a == b[:, ::-1]).all() for a, b in zip(found, IMAGES, strict=True)]
    same = [(a == b).all() for a, b in zip(found, IMAGES, strict=True)]
    assert np.logical_xor(mirrored, same).all()
    assert 8 < sum(mirrored) < 32


@pytest.mark.parametrize("drawn", [0.0, 0.3, 0.9])
def test_colors_change_as_ours_do(monkeypatch, drawn):
    monkeypatch.setattr(torch, "rand", lambda *shape, device=None: torch.full(shape, drawn))
    found = training.augment(training.stored(IMAGES, "cpu"), Augment(brightness=0.1, contrast=0.2, saturation=0.4))
    expected = augment.to_unit(jnp.asarray(IMAGES))
    changes = ((augment.adjust_brightness, 0.1), (augment.adjust_contrast, 0.2), (augment.adjust_saturation, 0.4))
    for change, strength in changes:
        expected = change(expected, jnp.full(40, 1 - strength + 2 * strength * drawn))
    np.testing.assert_allclose(found.numpy().transpose(0, 2, 3, 1), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
def test_optimizers_take_the_catalogs_settings(name):
    rule = forms.optimizer(Optim(name, lr=0.02, weight_decay=0.1, momentum=0.5), [torch.nn.Parameter(torch.ones(2))], True)
    assert rule.defaults["lr"] == 0.02
    assert rule.defaults["weight_decay"] == 0.1
    assert rule.defaults.get("momentum", 0.5) == 0.5


def test_every_form_makes_the_same_updates():
    """Fused, packed or not; gradients are clipped on the way."""
    case = prepare(WORKLOADS["imdb_lstm"]._replace(changes={"model.hidden": 8, "model.dropout": 0.0, "data.batch_size": 4}))
    after = []
    for form in (forms.FORMS["torch eager"], forms.FORMS["torch fused"], forms.FORMS["torch packed"]):
        torch.manual_seed(0)
        twin = twins.build(case)
        twin.module.packed = form.packed
        step, held = forms.train_step(twin, case.experiment.optim, form)
        for _ in range(3):
            loss = step()
        after.append(loss.item())
        count = sum(p.numel() for p in twin.module.parameters())
        assert held() >= 3 * 4 * count  # Weights and Adam's two averages.
        assert forms.peak_bytes(step, held, "cpu") > held()
    assert after == pytest.approx([after[0]] * 3, rel=1e-4)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """No compiling, no worker processes, no real data."""
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    monkeypatch.setattr(parallel, "available_cores", lambda: 0)
    monkeypatch.setattr(measures, "IMAGES", 256)


def test_an_epoch_is_measured_on_both_sides(small):
    row = measures.epoch("lenet_super", 7)
    assert set(row["milliseconds"]) == {"jaxnets", "torch fused", "torch compile", "torch DataLoader"}
    assert row["measure"] == "epoch"
    assert row["ratio"] > 0
    assert row["n"] == 7


def test_time_to_accuracy_counts_epochs_of_both_sides(small, monkeypatch, shapes10):
    few = {split: {k: v[:256] for k, v in fields.items()} for split, fields in shapes10.splits.items()}
    monkeypatch.setattr(catalog, "open_dataset", lambda name: shapes10._replace(splits=few))
    monkeypatch.setattr(measures, "TARGETS", {"shapes10": 0.12})
    row = measures.time_to_accuracy("lenet_super", 7)
    assert row["dataset"] == "shapes10"
    assert all(len(epochs) == 7 and min(epochs) >= 1 for epochs in row["epochs"].values())
    assert set(row["epochs"]) == {"jaxnets", "torch fused", "torch compile"}


def test_both_sides_start_from_the_same_weights(small, shapes10):
    """Untrained nets get the same share of images right."""
    experiment = dataclasses.replace(registry.all_experiments()[measures.EPOCH], seeds=1, eval_batch_size=500)
    few = shapes10._replace(splits={split: {k: v[:500] for k, v in f.items()} for split, f in shapes10.splits.items()})
    built = engine.build(experiment, few)
    starts = measures._starts(built, 3)
    trainer = measures._trainers(measures._case(experiment, few), few)["torch fused"]
    held_out = few.splits["validation"]
    images, labels = training.stored(held_out["image"], "cpu"), training.labels_of(held_out["label"], "cpu")
    found = []
    for start in starts:
        metrics, _ = built.evaluate("validation", start.variables, False)
        trainer.restart(*jax.tree.map(lambda x: np.asarray(x[0]), (start.params, start.model_state)))
        theirs = trainer.accuracy(images, labels)
        assert theirs == pytest.approx(float(metrics["accuracy"].value[0]), abs=0.005)
        found.append(float(metrics["loss"].value[0]))
    assert len(set(found)) == 3

"""The task of images: what models are asked, and pictures of what they learned."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnets import models, registry
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.runs.folder import RunFolder
from jaxnets.tasks import task as tasks

NAMES = "ABHOV2"
RNG = np.random.default_rng(0)
DATA = Dataset(
    "letters",
    {
        split: {"image": RNG.integers(0, 256, (36, 32, 32, 1)).astype(np.uint8), "label": np.arange(36, dtype=np.int32) % 6}
        for split in ("train", "validation", "test")
    },
    {"class_names": list(NAMES), "mean": [0.5], "std": [0.5]},
)


def asked(id_):
    experiment = registry.all_experiments()[id_]
    task = tasks.build(experiment, DATA)
    model = models.build(experiment.model, task.sizes)
    before, after = (model.init(jax.random.key(i), *task.sample_inputs, train=False) for i in range(2))
    return task, model, before, after


def test_an_autoencoder_rebuilds_its_images_and_has_no_classes():
    task, model, before, after = asked("nist36/autoencoder_best")
    assert task.objective.monitor == "loss"
    assert task.class_names == ()
    rebuilt = model.apply(after, jax.numpy.ones((3, 32, 32, 1)), train=True)
    assert rebuilt.shape == (3, 32, 32, 1)
    [(_, pictures)] = task.visualize(model, before, after).items()
    # Two validation images of each of A, H, O, V, 2, above what is made of them.
    assert pictures.images.shape == (2, 10, 32, 32, 1)
    assert [title[0] for title in pictures.titles] == list("AAHHOOVV22")
    np.testing.assert_allclose(pictures.images[0, 2], DATA.splits["validation"]["image"][2] / 255, rtol=1e-6)
    error = np.square(pictures.images[0, 3] - pictures.images[1, 3]).mean()
    assert pictures.titles[3] == f"H\n{-10 * np.log10(error):.1f} dB"


def test_weights_are_shown_as_the_images_they_look_for():
    task, model, before, after = asked("nist36/mlp")
    pictures = task.visualize(model, before, after)
    kernel = np.asarray(after["params"]["Dense_0"]["kernel"])
    shown = pictures["First-layer weights after training"]
    assert shown.signed
    rows, columns = shown.images.shape[:2]
    assert rows * columns >= 128
    unit = shown.images[1, 3].reshape(-1)
    np.testing.assert_array_equal(unit, kernel[:, columns + 3])
    assert not np.array_equal(pictures["First-layer weights before training"].images, shown.images)


def test_pictures_survive_the_run_folder(tmp_path):
    task, model, before, after = asked("nist36/autoencoder")
    pictures = task.visualize(model, before, after)
    run = RunFolder(tmp_path)
    assert run.images() == {}
    run.write_images(pictures)
    [(caption, found)] = run.images().items()
    np.testing.assert_array_equal(found.images, pictures[caption].images)
    assert list(found.titles) == list(pictures[caption].titles)


def test_other_models_are_not_portrayed_and_other_ranges_are_refused():
    assert asked("nist36/cnn")[0].visualize is None
    experiment = registry.all_experiments()["nist36/autoencoder"]
    data = dataclasses.replace(experiment.data, normalize="symmetric")
    with pytest.raises(UserError, match="data.normalize must be unit"):
        tasks.build(dataclasses.replace(experiment, data=data), DATA)

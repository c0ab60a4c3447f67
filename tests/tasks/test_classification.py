"""The task of images: what models are asked, and pictures of what they learned."""

import dataclasses
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import models, registry
from jaxnets.config import Loss
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.runs.folder import RunFolder
from jaxnets.tasks import classification
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
    init = jax.jit(lambda key: model.init(key, *task.sample_inputs, train=False))
    before, after = (init(jax.random.key(i)) for i in range(2))
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


LOGITS, LABELS = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32), np.array([0, 1, 2, 3, 3, 0])
MASK = np.array([1, 1, 1, 1, 0, 1], np.float32)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def batch_loss(measure):
    return float(measure(jnp.asarray(LOGITS), {"label": jnp.asarray(LABELS), "mask": jnp.asarray(MASK)})["loss"].value)


def test_labels_are_smoothed_in_training_alone():
    smoothed = classification.objective("image", loss=Loss(label_smoothing=0.1))
    targets = 0.9 * np.eye(4)[LABELS] + 0.1 / 4
    expected = -(targets * log_softmax(LOGITS)).sum(1) @ MASK / MASK.sum()
    np.testing.assert_allclose(batch_loss(smoothed.train_metrics), expected, rtol=1e-5)
    reference = optax.softmax_cross_entropy(LOGITS, optax.smooth_labels(jnp.eye(4)[LABELS], 0.1)) @ MASK / MASK.sum()
    np.testing.assert_allclose(batch_loss(smoothed.train_metrics), reference, rtol=1e-5)
    plain = classification.objective("image")
    assert batch_loss(smoothed.metrics) == batch_loss(plain.metrics) == batch_loss(plain.train_metrics)


def focal(logits, targets):
    log_probabilities = jax.nn.log_softmax(logits)
    return -(targets * (1 - jnp.exp(log_probabilities)) ** 2 * log_probabilities).sum(-1)


def mean(logits, targets):
    return focal(logits, targets).mean()


def test_a_function_is_a_loss_in_training_and_evaluation(monkeypatch):
    monkeypatch.setitem(sys.modules, focal.__module__, SimpleNamespace(focal=focal, mean=mean))
    own = classification.objective("image", loss=Loss(focal))
    log_probabilities = log_softmax(LOGITS)[np.arange(6), LABELS]
    expected = -((1 - np.exp(log_probabilities)) ** 2 * log_probabilities) @ MASK / MASK.sum()
    for measure in (own.metrics, own.train_metrics):
        np.testing.assert_allclose(batch_loss(measure), expected, rtol=1e-5)
    with pytest.raises(UserError, match=r"must give losses \[6\], not \[\]"):
        batch_loss(classification.objective("image", loss=Loss(mean)).metrics)


def test_other_tasks_refuse_a_loss():
    experiment = registry.all_experiments()["text/char_lm"]
    with pytest.raises(UserError, match=r"text/char_lm: loss is for classifiers"):
        tasks.build(
            dataclasses.replace(experiment, loss=Loss(label_smoothing=0.1)), catalog.element_spec(experiment.dataset)
        )

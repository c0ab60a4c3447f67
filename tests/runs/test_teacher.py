"""Distillation: what the teacher's seeds say of each training image, and the loss that it adds."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from jaxnets import cli, registry
from jaxnets.config import Loss, with_fields
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.pipeline import images
from jaxnets.runs import load, teacher
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.progress import Reporter
from jaxnets.runs.train import train
from jaxnets.tasks import classification, losses

RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(5, 4)).astype(np.float32), np.array([0, 1, 2, 3, 0])
OTHERS = RNG.normal(size=(5, 4)).astype(np.float32)


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_gradient_is_the_difference_of_probabilities_times_the_temperature(temperature):
    soft = softmax(OTHERS / temperature)
    gradient = jax.grad(lambda logits: losses.distillation(logits, soft, temperature).sum())(jnp.asarray(LOGITS))
    np.testing.assert_allclose(gradient, temperature * (softmax(LOGITS / temperature) - soft), atol=1e-5)
    assert np.abs(losses.distillation(jnp.asarray(OTHERS) + 3, soft, temperature)).max() < 1e-5 * temperature**2
    p, q = soft, softmax(LOGITS / temperature)
    kl = (p * np.log(p / q)).sum(-1)
    np.testing.assert_allclose(losses.distillation(jnp.asarray(LOGITS), p, temperature), temperature**2 * kl, rtol=1e-4)


def test_hot_logits_are_compared_as_they_are():
    """In the limit of Hinton et al., section 2.1, the loss is the squared difference of centered logits over 2 C."""
    center = lambda x: x - x.mean(-1, keepdims=True)
    soft = softmax(OTHERS.astype(np.float64) / 50).astype(np.float32)
    expected = np.square(center(LOGITS) - center(OTHERS)).sum(-1) / 2 / LOGITS.shape[1]
    np.testing.assert_allclose(losses.distillation(jnp.asarray(LOGITS), soft, 50.0), expected, rtol=0.1)


def test_the_teacher_has_its_share_of_the_training_loss_alone():
    soft, mask = softmax(OTHERS / 2), np.array([1, 1, 0, 1, 1], np.float32)
    batch = {"label": jnp.asarray(LABELS), "mask": jnp.asarray(mask)}
    told = {**batch, "teacher": jnp.asarray(soft)}
    value = lambda measure, batch: float(measure(jnp.asarray(LOGITS), batch)["loss"].value)
    objective = classification.objective("image", loss=Loss(label_smoothing=0.1, temperature=2.0, teacher_share=0.7))
    alone = value(objective.train_metrics, batch)
    taught = float(losses.distillation(jnp.asarray(LOGITS), soft, 2.0) @ mask / mask.sum())
    assert value(objective.train_metrics, told) == pytest.approx(0.3 * alone + 0.7 * taught, rel=1e-5)


def test_the_teachers_word_is_mixed_as_labels_are():
    config = with_fields(registry.all_experiments()["cifar10/lenet/best"], {"data.augment.mixup": 1.0}).data
    gather = images.image_batches(config, images.Normalization((0.0,), (1.0,)))
    arrays = {"image": jnp.zeros((5, 4, 4, 1), jnp.uint8), "label": jnp.asarray(LABELS)}
    arrays["teacher"] = jnp.asarray(softmax(OTHERS))
    order = jnp.asarray([3, 0, 4, 1])
    batch = gather(arrays, order, jax.random.key(0))
    share, soft = np.asarray(batch["mix_share"])[:, None], softmax(OTHERS)[np.asarray(order)]
    np.testing.assert_allclose(batch["teacher"], share * soft + (1 - share) * soft[::-1], rtol=1e-5)
    assert "teacher" not in gather(arrays, order, None)


SPLITS = {
    split: {"image": RNG.integers(0, 256, (18, 32, 32, 3), np.uint8), "label": np.arange(18, dtype=np.int32) % 3}
    for split in ("train", "validation", "test")
}
DATA = Dataset("noise", SPLITS, {"class_names": list("abc"), "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.2]})
CHANGES = {"data.batch_size": 6, "eval_batch_size": 7, "seeds": 2, "epochs": 1, "optim.warmup_epochs": 0.0}
PUPIL = with_fields(registry.all_experiments()["cifar10/lenet/best"], CHANGES)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A folder with the run of a teacher."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "open_data", lambda *_: DATA)
        train(PUPIL, folder, Reporter(Console(quiet=True)))
    return folder


def with_teacher(folder):
    return dataclasses.replace(PUPIL, loss=Loss(teacher=str(folder), temperature=3.0))


def test_soft_labels_are_the_mean_of_the_seeds_at_the_temperature(taught):
    soft = teacher.with_soft_labels(with_teacher(taught), DATA).splits["train"]["teacher"]
    by_seed = [net.predictor(SPLITS["train"]["image"]) for net in load.load_all(taught)]
    expected = np.mean([softmax(np.log(probabilities) / 3) for probabilities in by_seed], 0)
    np.testing.assert_allclose(soft, expected, rtol=1e-4)
    assert teacher.with_soft_labels(PUPIL, DATA) is DATA


def test_seeds_that_failed_in_training_are_asked_nothing(taught, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(taught, run)
    folder = RunFolder(run)
    folder.finish({**folder.summary(), "failed_at": [3, -1]})
    [other] = load.load_all(run)
    by_seed = other.predictor(SPLITS["train"]["image"])
    np.testing.assert_array_equal(by_seed, load.load(taught, 1).predictor(SPLITS["train"]["image"]))
    soft = teacher.with_soft_labels(with_teacher(run), DATA).splits["train"]["teacher"]
    np.testing.assert_allclose(soft, softmax(np.log(by_seed) / 3), rtol=1e-4)
    with pytest.raises(UserError, match="replica 0 failed in training; those that completed it are 1"):
        load.load(run, 0)
    Image.fromarray(SPLITS["test"]["image"][0]).save(tmp_path / "a.png")
    assert cli.main(["classify", str(run), str(tmp_path / "a.png")]) == 0
    assert "1 of the seeds" in capsys.readouterr().err


def test_who_cannot_teach_is_told(taught, tmp_path):
    renamed = DATA._replace(meta={**DATA.meta, "class_names": list("xyz")})
    with pytest.raises(UserError, match="knows other classes: a, b, c, not x, y, z"):
        teacher.with_soft_labels(with_teacher(taught), renamed)
    with pytest.raises(UserError, match="no such run"):
        teacher.with_soft_labels(with_teacher(tmp_path / "nowhere"), DATA)


def test_a_run_learns_from_its_teacher_and_knows_it_again(taught, tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "open_data", lambda *_: DATA)
    monkeypatch.chdir(tmp_path)
    pupil, copy = with_teacher("copy"), tmp_path / "copy"
    shutil.copytree(taught, copy)
    summary = train(pupil, tmp_path / "run", Reporter(Console(quiet=True)))
    assert summary["seeds"] == 2
    assert load.experiment(tmp_path / "run").loss.teacher == str(copy)
    assert (tmp_path / "run" / "net.json").read_text() == (taught / "net.json").read_text()
    before = teacher.fingerprint(pupil)
    (copy / "weights.safetensors").write_bytes(b"other")
    assert teacher.fingerprint(pupil) != before

"""ResNet-50's size, its weights from files, and training from them."""

import dataclasses
import http.client
import io
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxnets import models, registry
from jaxnets.cli import main
from jaxnets.config.model import ResNet50Config
from jaxnets.errors import UserError
from jaxnets.models import pretrained, torch_form
from jaxnets.runs import load
from jaxnets.training import engine, state

NARROW = ResNet50Config(blocks=(2, 1), width=4)
IMAGES = jnp.zeros((1, 32, 32, 3))


def shapes(config, classes):
    model = models.build(config, {"classes": classes})
    return jax.eval_shape(lambda key: model.init(key, IMAGES, train=False), jax.random.key(0))


def test_as_many_parameters_as_published():
    like = shapes(ResNet50Config(), 1000)
    assert state.parameter_count(like["params"]) == 25_557_032
    form = torch_form.of(models.build(ResNet50Config(), {"classes": 1000}), (32, 32, 3))
    assert len(list(torch_form.tensors(form, like))) == len(jax.tree.leaves(like))


def torch_layout(classes=7, seed=0):
    """Random tensors under the common names, written out by hand, for NARROW."""
    rng = np.random.default_rng(seed)
    tensors = {}

    def convolution(name, norm, features, channels, kernel):
        tensors[f"{name}.weight"] = rng.normal(size=(features, channels, kernel, kernel)) * 0.2
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{norm}.{part}"] = rng.uniform(0.5, 1.5, features)
        tensors[f"{norm}.num_batches_tracked"] = np.array(3)

    convolution("conv1", "bn1", 4, 3, 7)
    channels = 4
    for block, width, first in (("layer1.0", 4, True), ("layer1.1", 4, False), ("layer2.0", 8, True)):
        convolution(f"{block}.conv1", f"{block}.bn1", width, channels, 1)
        convolution(f"{block}.conv2", f"{block}.bn2", width, width, 3)
        convolution(f"{block}.conv3", f"{block}.bn3", 4 * width, width, 1)
        if first:
            convolution(f"{block}.downsample.0", f"{block}.downsample.1", 4 * width, channels, 1)
        channels = 4 * width
    tensors["fc.weight"], tensors["fc.bias"] = rng.normal(size=(classes, channels)), rng.normal(size=classes)
    return {name: np.asarray(tensor, np.float32 if tensor.ndim else np.int64) for name, tensor in tensors.items()}


@pytest.fixture
def file(tmp_path):
    save_file(torch_layout(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def load_weights(path, classes=7):
    model = models.build(dataclasses.replace(NARROW, weights=str(path)), {"classes": classes})
    return pretrained.load(model, shapes(NARROW, classes), (32, 32, 3), seeds=1).shared


def test_every_tensor_finds_its_place(file):
    variables, tensors = load_weights(file), torch_layout()
    expected = shapes(NARROW, 7)
    assert jax.tree.structure(variables) == jax.tree.structure(expected)
    assert jax.tree.map(lambda x: x.shape, variables) == jax.tree.map(lambda x: x.shape, expected)
    block = variables["params"]["Block_2"]
    np.testing.assert_array_equal(block["Conv_1"]["kernel"][0, 2, 3, 5], tensors["layer2.0.conv2.weight"][5, 3, 0, 2])
    np.testing.assert_array_equal(block["Conv_3"]["kernel"][0, 0], tensors["layer2.0.downsample.0.weight"][..., 0, 0].T)
    np.testing.assert_array_equal(block["BatchNorm_3"]["scale"], tensors["layer2.0.downsample.1.weight"])
    statistics = variables["batch_stats"]["Block_1"]["BatchNorm_2"]
    np.testing.assert_array_equal(statistics["mean"], tensors["layer1.1.bn3.running_mean"])
    np.testing.assert_array_equal(statistics["var"], tensors["layer1.1.bn3.running_var"])
    np.testing.assert_array_equal(variables["params"]["head"]["kernel"], tensors["fc.weight"].T)


def test_a_head_for_other_classes_is_left_out(file):
    variables = load_weights(file, classes=3)
    assert "head" not in variables["params"]
    assert set(variables["params"]) == set(shapes(NARROW, 3)["params"]) - {"head"}


def test_without_weights_nothing_is_loaded():
    model = models.build(dataclasses.replace(NARROW, weights="none"), {"classes": 7})
    assert pretrained.load(model, {}, (32, 32, 3), seeds=1) == ({}, {})


def change(name, tensor):
    return lambda tensors: {**tensors, name: tensor}


def rename(old, new):
    return lambda tensors: {new if name == old else name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (rename("layer1.1.bn2.running_var", "x"), "it has no layer1.1.bn2.running_var; this net has no x$"),
        (rename("fc.bias", "head.bias"), "it has no fc.bias; this net has no head.bias"),
        (
            change("layer1.2.conv1.weight", np.zeros(3)),
            "holds another net: this net has no layer1.2.conv1.weight",
        ),
        (
            change("layer1.0.conv2.weight", np.zeros((4, 4, 5, 5))),
            r"layer1.0.conv2.weight is \[4, 4, 5, 5\], not \[4, 4, 3, 3\]",
        ),
        (change("conv1.weight", np.zeros((4, 3, 7))), r"conv1.weight is \[4, 3, 7\], not \[4, 3, 7, 7\]"),
        (change("bn1.bias", np.zeros(5)), r"bn1.bias is \[5\], not \[4\]"),
    ],
)
def test_wrong_tensors_are_named(tmp_path, spoil, message):
    path = tmp_path / "wrong.safetensors"
    save_file(spoil(torch_layout()), path)
    with pytest.raises(UserError, match=message) as caught:
        load_weights(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path, file):
    with pytest.raises(UserError, match="no such file"):
        load_weights(tmp_path / "nowhere.safetensors")
    for content in (b"", b"not tensors at all", file.read_bytes()[:-100]):
        file.write_bytes(content)
        with pytest.raises(UserError, match="is not a whole safetensors file"):
            load_weights(file)


def test_without_a_network_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path))

    def refuse(url, timeout):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(UserError, match="Name or service not known.*--model.weights FILE.*--model.weights none"):
        load_weights("hub")


def test_a_server_that_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path))
    monkeypatch.setattr(pretrained, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:  # The system accepts, and nobody answers.
        monkeypatch.setattr(pretrained, "_URL", f"http://127.0.0.1:{server.getsockname()[1]}/weights")
        with pytest.raises(UserError, match=r"cannot be downloaded \(timed out\).*--model.weights FILE"):
            load_weights("hub")


def test_a_download_is_reused(tmp_path, file, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: file.open("rb"))
    first = load_weights("hub")
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: pytest.fail("downloaded again"))
    second = load_weights("hub")
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), first, second))


def test_two_at_once_download_once(tmp_path, file, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "data"))
    content, opened, found = file.read_bytes(), [], []
    second = threading.Thread(target=lambda: found.append(pretrained.fetch()))

    def download(url, timeout):
        opened.append(url)
        if len(opened) == 1:
            second.start()
            second.join(0.5)  # It would be done by then if it did not wait.
        return io.BytesIO(content)

    monkeypatch.setattr(urllib.request, "urlopen", download)
    found.append(pretrained.fetch())
    second.join()
    assert len(opened) == 1
    assert [path.read_bytes() for path in found] == [content] * 2


def test_a_download_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path))

    class Broken(io.BytesIO):
        def read(self):
            raise http.client.IncompleteRead(b"half", 4)

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Broken())
    with pytest.raises(UserError, match="IncompleteRead.*--model.weights FILE"):
        pretrained.fetch()
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(b"content"))
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match="No space left on device"):
        pretrained.fetch()
    assert not any(path.is_file() for path in tmp_path.glob("weights/*"))


SMALL = ("--model.blocks", "2", "1", "--model.width", "4", "--data.source", "synthetic", "--data.batch-size", "8")


def test_a_run_starts_from_the_file_and_trains_the_head_alone(file, tmp_path, few_shapes, capsys):
    run = ["run", "sun/resnet50_finetune/head", *SMALL, "--data.augment.crop-padding", "2", "--steps", "2", "--seeds", "2"]
    out = tmp_path / "runs"
    assert main([*run, "--eval-batch-size", "100", "--model.weights", str(file), "--out", str(out)]) == 0, (
        capsys.readouterr()
    )
    file.unlink()  # What is trained needs the file no more.
    folder = out / "sun" / "resnet50_finetune" / "head"
    nets = [load.load(folder, replica).variables for replica in (0, 1)]
    tensors = torch_layout()
    for net in nets:
        kernel = net["params"]["Block_0"]["Conv_1"]["kernel"]
        np.testing.assert_array_equal(kernel, tensors["layer1.0.conv2.weight"].transpose(2, 3, 1, 0))
        np.testing.assert_array_equal(net["batch_stats"]["BatchNorm_0"]["mean"], tensors["bn1.running_mean"])
    heads = [net["params"]["head"]["kernel"] for net in nets]
    assert heads[0].shape == (32, 10)
    assert (heads[0] != heads[1]).any()


def test_full_training_moves_every_layer(few_shapes):
    experiment = registry.select(["sun/resnet50_finetune/full"])[0]
    data = dataclasses.replace(experiment.data, source="synthetic", batch_size=8)
    model = dataclasses.replace(NARROW, weights="none")
    experiment = dataclasses.replace(experiment, data=data, model=model, seeds=1, steps=1)
    experiment = dataclasses.replace(experiment, optim=dataclasses.replace(experiment.optim, warmup_epochs=0))
    built = engine.build(experiment, few_shapes)
    start = built.init()
    before = jax.tree.map(np.asarray, (start.params, start.model_state))
    end, _ = built.train(start, jax.tree.map(lambda x: x[:, :1], built.epoch_indices(start.key, 0)))
    changed = jax.tree.map(lambda a, b: bool((a != np.asarray(b)).any()), before, (end.params, end.model_state))
    assert jax.tree.all(changed), changed

"""`jaxnets export`, and runs that start from what it wrote."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxnets import cli
from jaxnets.runs import load

pytestmark = pytest.mark.usefixtures("few_shapes", "engines_built_once")
ID = "cifar10/gray_cnn/best"
# One step that trains the head alone, at a rate that rounds to nothing: what is evaluated is what the run began with.
STILL = ("--steps", "1", "--optim.trainable", "head", "--optim.lr", "1e-30", "--optim.weight-decay", "0")


def run(out, *args):
    net = ("--model.width", "4", "--data.batch-size", "16", "--data.source", "synthetic")
    return cli.main(["run", ID, *net, *args, "--out", str(out)])


def accuracies(out):
    """On the test split, by seed."""
    return json.loads((out / ID / "summary.json").read_text())["final"]["test"]["accuracy"]["values"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, few_shapes, engines_built_once):
    """Where a run of two seeds is."""
    out = tmp_path_factory.mktemp("trained")
    assert run(out, "--steps", "40", "--seeds", "2", "--model.batch-norm") == 0
    return out


@pytest.fixture(scope="module")
def exported(trained):
    """The files of the second seed."""
    assert cli.main(["export", str(trained / ID), "--replica", "1"]) == 0
    return trained / ID / "export"


def test_what_is_exported_evaluates_the_same(trained, exported, tmp_path):
    assert run(tmp_path, *STILL, "--model.batch-norm", "--model.weights", str(exported / "weights.safetensors")) == 0
    expected = accuracies(trained)
    assert expected[0] != expected[1]
    assert accuracies(tmp_path) == [expected[1]] * 3
    ours, theirs = (load.load(out / ID, seed).variables for out, seed in ((trained, 1), (tmp_path, 2)))
    np.testing.assert_array_equal(ours["params"]["Dense_0"]["kernel"], theirs["params"]["Dense_0"]["kernel"])
    np.testing.assert_array_equal(ours["batch_stats"]["BatchNorm_1"]["var"], theirs["batch_stats"]["BatchNorm_1"]["var"])


def test_each_seed_starts_from_its_own(trained, tmp_path):
    weights = str(trained / ID / "weights.safetensors")
    assert run(tmp_path / "both", *STILL, "--model.batch-norm", "--model.weights", weights, "--seeds", "2") == 0
    assert accuracies(tmp_path / "both") == accuracies(trained)
    assert run(tmp_path / "first", *STILL, "--model.batch-norm", "--model.weights", weights, "--seeds", "1") == 0
    assert accuracies(tmp_path / "first") == accuracies(trained)[:1]


def test_a_file_of_one_seed_is_for_all(trained, tmp_path):
    tensors = load_file(trained / ID / "weights.safetensors")
    save_file({name: np.ascontiguousarray(tensor[1:]) for name, tensor in tensors.items()}, tmp_path / "one.safetensors")
    weights = str(tmp_path / "one.safetensors")
    assert run(tmp_path, *STILL, "--model.batch-norm", "--model.weights", weights, "--seeds", "3") == 0
    assert accuracies(tmp_path) == accuracies(trained)[1:] * 3


@pytest.mark.parametrize("layout", ["run", "torch"])
def test_a_head_for_other_classes_stays_random(trained, exported, tmp_path, layout):
    """The hidden layers are those of the file, heads those of a run without it."""
    file = (exported if layout == "torch" else trained / ID) / "weights.safetensors"
    axis, names = (0, ("fc2.weight", "fc2.bias")) if layout == "torch" else (-1, ("params/head/kernel", "params/head/bias"))
    tensors = load_file(file)
    tensors |= {name: np.concatenate([tensors[name]] * 2, axis) for name in names}
    save_file(tensors, tmp_path / "more.safetensors")
    still = (*STILL, "--model.batch-norm", "--seeds", "1", "--model.weights")
    assert run(tmp_path / "given", *still, str(tmp_path / "more.safetensors")) == 0
    assert run(tmp_path / "random", *still, "none") == 0
    given, random, source = (
        load.load(out / ID, seed).variables["params"]
        for out, seed in ((tmp_path / "given", 0), (tmp_path / "random", 0), (trained, 1 if layout == "torch" else 0))
    )
    np.testing.assert_array_equal(given["head"]["kernel"], random["head"]["kernel"])
    np.testing.assert_array_equal(given["Conv_0"]["kernel"], source["Conv_0"]["kernel"])


@pytest.mark.parametrize(
    ("file", "args", "message"),
    [
        ("weights.safetensors", ("--model.batch-norm", "--seeds", "3"), "has the weights of 2 seeds, and this run 3 seeds"),
        (
            "weights.safetensors",
            ("--model.no-batch-norm",),
            "holds another net: this net has no batch_stats/BatchNorm_0/mean, ",
        ),
        (
            "export/weights.safetensors",
            ("--model.no-batch-norm",),
            "this net has no bn1.bias, bn1.running_mean, bn1.running_var and ",
        ),
        (
            "export/weights.safetensors",
            ("--model.batch-norm", "--model.kernel", "5"),
            "conv1.weight is [4, 1, 3, 3], not [4, 1, 5, 5], ",
        ),
        (
            "export/weights.safetensors",
            ("--model.batch-norm", "--model.dense", "64"),
            "holds another net: fc1.bias is [128], not [64], fc1.weight is [128, 512], not [64, 512], fc2.weight",
        ),
        ("weights.safetensors", ("--model.batch-norm", "--model.convolutions", "3"), "it has no "),
        ("", ("--model.batch-norm",), "is a folder; name the weights.safetensors in it"),
        ("nothing", ("--model.batch-norm",), "no such file"),
        ("config.json", ("--model.batch-norm",), "is not a whole safetensors file"),
    ],
)
def test_weights_that_do_not_fit_get_one_line(trained, exported, tmp_path, capsys, file, args, message):
    assert run(tmp_path, "--steps", "1", "--seeds", "1", "--model.weights", str(trained / ID / file), *args) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--replica", "2"), "has replicas 0 to 1, not 2"),
        (("--out", "/dev/null/x"), "cannot write to /dev/null/x: Not a dir"),
    ],
)
def test_what_cannot_be_exported_gets_one_line(trained, capsys, args, message):
    assert cli.main(["export", str(trained / ID), *args]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_published_weights_are_for_nets_that_have_some(tmp_path, capsys):
    assert run(tmp_path, "--model.weights", "hub") == 2
    assert "model.weights cannot be 'hub'" in capsys.readouterr().err

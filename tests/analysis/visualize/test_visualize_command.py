"""`jaxnets visualize`: every view of a small trained net, and one line for every mistake."""

import json

import pytest

from jaxnets import cli, registry
from jaxnets.config import to_json

SMALL = ("--data.source", "synthetic", "--steps", "4", "--seeds", "1")
OPTIONS = {
    "filters": (),
    "activations": ("--examples", "30"),
    "maximize": ("--steps", "3", "--channels", "0", "5"),
    "deconvnet": ("--examples", "30", "--number", "4", "--channels", "0", "5"),
    "occlusion": ("--images", "0", "7", "--stride", "8"),
    "transfer": ("--data", "shapes10", "--epochs", "1", "--seeds", "1"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data_folder):
    """A LeNet, a gray CNN, and what there is at the start of a run of a net that is no CNN."""
    out = tmp_path_factory.mktemp("runs")
    assert cli.main(["run", "cifar10/lenet/bn", *SMALL, "--data.batch-size", "2000", "--out", str(out)]) == 0
    assert cli.main(["run", "cifar10/gray_cnn/plain", *SMALL, "--model.width", "8", "--out", str(out)]) == 0
    [spelling] = registry.select(["names/char_rnn"])
    (out / spelling.id).mkdir(parents=True)
    (out / spelling.id / "config.json").write_text(json.dumps(to_json(spelling)))
    return out


def ask(capsys, *args):
    capsys.readouterr()
    status = cli.main(["visualize", *map(str, args)])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


def is_png(path):
    return path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size > 5000


@pytest.mark.parametrize("what", OPTIONS)
def test_every_view_writes_its_picture(runs, capsys, tmp_path, what):
    run = runs / "cifar10" / "lenet" / "bn"
    status, lines, error = ask(capsys, run, what, *OPTIONS[what])
    assert (status, error) == (0, "")
    assert lines[-1] == f"picture: {run / 'visualize' / what}.png"
    assert is_png(run / "visualize" / f"{what}.png")
    if what == "transfer":
        assert [line.split("  ")[0] for line in lines[2:5]] == [
            "last layer, trained features", "last layer, random features", "all layers, from scratch",
        ]  # fmt: skip
        assert "850" in lines[2]  # 84 · 10 + 10 parameters
        assert "62,458" in lines[4]


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("filters", ()),
        ("filters", ("--layer", "Conv_1")),
        ("maximize", ("--layer", "head", "--steps", "2", "--restarts", "1")),
        ("occlusion", ("--stride", "16", "--side", "32", "--images", "3")),
        ("deconvnet", ("--layer", "Conv_0", "--examples", "20", "--number", "2", "--channels", "1")),
    ],
)
def test_gray_nets_and_other_layers(runs, capsys, tmp_path, what, options):
    status, lines, error = ask(capsys, runs / "cifar10" / "gray_cnn" / "plain", what, "--out", tmp_path / "new", *options)
    assert (status, error) == (0, "")
    assert is_png(tmp_path / "new" / f"{what}.png")
    if what == "maximize":
        assert len([line for line in lines if "for noise" in line]) == 10


@pytest.mark.parametrize(
    ("run", "what", "options", "message"),
    [
        ("lenet/bn", "dreams", (), "dreams"),
        ("lenet/bn", "filters", ("--layer", "Conv_7"), "no layer 'Conv_7': choose from Conv_0, Activation_0, Conv_1"),
        ("lenet/bn", "filters", ("--layer", "Dense_0"), "Dense_0 is not a convolution: choose from Conv_0, Conv_1"),
        ("lenet/bn", "filters", ("--steps", "3"), "--steps"),
        ("lenet/bn", "filters", ("--replica", "1"), "has replicas 0 to 0, not 1"),
        ("lenet/bn", "activations", ("--layer", "Conv_9"), "no layer 'Conv_9'"),
        ("lenet/bn", "activations", ("--examples", "0"), "examples must be at least 1, got 0"),
        ("lenet/bn", "maximize", ("--channels", "16"), "layer Conv_1 has channels 0 to 15, not 16"),
        ("lenet/bn", "maximize", ("--channels", "-1"), "layer Conv_1 has channels 0 to 15, not -1"),
        ("lenet/bn", "maximize", ("--rate", "nan"), "rate must be a finite number above 0"),
        ("lenet/bn", "maximize", ("--restarts", "0"), "restarts must be at least 1"),
        ("lenet/bn", "deconvnet", ("--layer", "Dense_0"), "the outputs of Dense_0 are not maps"),
        ("lenet/bn", "deconvnet", ("--channels", "99"), "has channels 0 to 15, not 99"),
        ("lenet/bn", "occlusion", ("--images", "0", "99999"), "has images 0 to 1999, not 99999"),
        ("lenet/bn", "occlusion", ("--side", "33"), "side must be at most 32, the image's, got 33"),
        ("lenet/bn", "occlusion", ("--stride", "0"), "stride must be at least 1"),
        ("lenet/bn", "transfer", ("--data", "shape10"), "did you mean shapes10"),
        ("lenet/bn", "transfer", ("--data", "toy_names"), "data set toy_names has no labeled images"),
        ("lenet/bn", "transfer", ("--data", "mnist"), "data set mnist is not prepared"),
        ("../names/char_rnn", "filters", (), "this net is a CharRNN, not a CNN for images"),
        ("nowhere", "filters", (), "has no config.json"),
    ],
)
def test_mistakes_get_one_line(runs, capsys, run, what, options, message):
    status, lines, error = ask(capsys, runs / "cifar10" / run, what, *options)
    assert status == 2
    assert not lines
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_named(runs, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    status, _, error = ask(capsys, runs / "cifar10" / "lenet" / "bn", "filters", "--out", tmp_path / "file")
    assert status == 2
    assert "choose another --out" in error


@pytest.mark.parametrize("args", [(), ("RUN", "occlusion")])
def test_help(capsys, args):
    with pytest.raises(SystemExit) as stop:
        cli.main(["visualize", *args, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "usage: jaxnets visualize" in out
    assert ("--stride" in out) == bool(args)

"""`jaxnets visualize`: every view of a small trained net, and one line for every mistake."""

import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxnets import cli, registry
from jaxnets.analysis.report import plots
from jaxnets.analysis.visualize import filters, network, occlusion
from jaxnets.config import to_json
from jaxnets.runs import load

SMALL = ("--data.source", "synthetic", "--steps", "4", "--seeds", "1", "--eval-examples", "60", "--eval-batch-size", "60")
OPTIONS = {
    "filters": (),
    "activations": ("--examples", "30"),
    "maximize": ("--steps", "3", "--channels", "0", "5"),
    "deconvnet": ("--examples", "30", "--number", "4", "--channels", "0", "5"),
    "occlusion": ("--images", "0", "7", "--stride", "8"),
    "transfer": ("--data", "shapes10", "--epochs", "1", "--seeds", "1"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, few_shapes):
    """A LeNet, a gray CNN, and what there is at the start of a run of a net that is no CNN."""
    out = tmp_path_factory.mktemp("runs")
    assert cli.main(["run", "cifar10/lenet/bn", *SMALL, "--data.batch-size", "100", "--out", str(out)]) == 0
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


@pytest.fixture
def drawn(monkeypatch):
    """The figures that a test saves, whose data can be read back."""
    figures, save = [], plots.save

    def save_and_keep(figure, path, dpi):
        figures.append(figure)
        return save(figure, path, dpi)

    monkeypatch.setattr(plots, "save", save_and_keep)
    return figures


def trained(run):
    """(the run's net, the same as a CNN)."""
    net = load.load(run)
    return net, network.from_trained(net, run)


def images_of(figure):
    """The image drawn in each panel that has one, by the panels' titles, left or centered."""
    panels = [axes for axes in figure.axes if axes.images]
    return [(axes.get_title("left") or axes.get_title(), np.asarray(axes.images[0].get_array())) for axes in panels]


def tile(mosaic, row, column, size):
    """One of the square images in a mosaic with lines one pixel wide."""
    top, left = 1 + row * (size + 1), 1 + column * (size + 1)
    return mosaic[top : top + size, left : left + size]


def check_filters(figure, lines, net, cnn):
    kernel = np.asarray(cnn.variables["params"]["Conv_0"]["kernel"])
    panels = images_of(figure)
    assert [title for title, _ in panels] == [str(i) for i in range(6)]
    np.testing.assert_allclose([image for _, image in panels], filters.as_images(kernel), atol=1e-6)
    assert f"from {kernel.min():.3g} to {kernel.max():.3g}" in lines[1]


def check_activations(figure, lines, net, cnn):
    maps = cnn.features(network.examples(net, "test", range(30)).images)
    means = {axes.get_title("left"): axes.containers[0].lines[0].get_ydata() for axes in figure.axes if axes.containers}
    assert list(means) == [layer.name for layer in cnn.feature_layers()]
    for name, mean in means.items():
        np.testing.assert_allclose(mean, maps[name].mean((0, 1, 2)), rtol=1e-3, atol=1e-4)


def check_maximize(figure, lines, net, cnn):
    panels = images_of(figure)
    assert [title.split(":")[0] for title, _ in panels] == ["0", "5"]
    for title, mosaic in panels:
        channel, activation = title.split(": ")
        best, other = (tile(mosaic, 0, restart, 32) for restart in (0, 1))
        assert not np.allclose(best, other)
        maps = np.asarray(cnn.features(jnp.asarray(np.stack([best, other])))["Conv_1"])
        first, second = maps.mean((1, 2))[:, int(channel)]
        assert float(activation) == pytest.approx(first, abs=0.006)
        assert first >= second


def check_deconvnet(figure, lines, net, cnn):
    images = network.examples(net, "test", range(30)).images
    largest = np.asarray(cnn.features(images)["Conv_1"]).max((1, 2))
    panels = images_of(figure)
    for i, channel in enumerate((0, 5)):
        title, patches = panels[2 * i]
        _, projections = panels[2 * i + 1]
        best = largest[:, channel].argmax()
        assert title == f"channel {channel}: up to {largest[best, channel]:.2f}"
        assert f"images {best}," in next(line for line in lines if line.startswith(f"channel {channel}:"))
        size = (len(patches) - 1) // 2 - 1
        patch, projection = tile(patches, 0, 0, size), tile(projections, 0, 0, size)
        places = np.ndindex(33 - size, 33 - size)
        assert any(np.allclose(images[best][y : y + size, x : x + size], patch, atol=1e-6) for y, x in places)
        assert np.abs(projection - 0.5).max() == pytest.approx(0.5, abs=1e-6)


def check_occlusion(figure, lines, net, cnn):
    examples = network.examples(net, "test", (0, 7))
    panels = images_of(figure)
    for i, (number, image, label) in enumerate(zip((0, 7), examples.images, examples.labels, strict=True)):
        (title, shown), (_, probability), _ = panels[3 * i : 3 * i + 3]
        assert title.startswith(f"{cnn.class_names[label]} (test image {number}): ")
        np.testing.assert_allclose(shown, image, atol=1e-6)
        expected = occlusion.sensitivity(cnn.probabilities, image, jnp.asarray(label), 8, 8).probability
        np.testing.assert_allclose(probability, expected, rtol=1e-4)
        assert f"{probability.min():.3f} to {probability.max():.3f} covered" in lines[1 + i]


def check_transfer(figure, lines, net, cnn):
    curves = figure.axes[0].lines
    assert [line.get_label() for line in curves] == [
        "last layer, trained features", "last layer, random features", "all layers, from scratch",
    ]  # fmt: skip
    assert all(list(line.get_xdata()) == [1] for line in curves)
    assert all(0 < line.get_ydata()[0] < 100 for line in curves)


CHECKS = {
    "filters": check_filters,
    "activations": check_activations,
    "maximize": check_maximize,
    "deconvnet": check_deconvnet,
    "occlusion": check_occlusion,
    "transfer": check_transfer,
}


@pytest.mark.parametrize("what", OPTIONS)
def test_every_view_draws_what_it_names(runs, capsys, drawn, what):
    run = runs / "cifar10" / "lenet" / "bn"
    status, lines, error = ask(capsys, run, what, *OPTIONS[what])
    assert (status, error) == (0, "")
    assert lines[-1] == f"picture: {run / 'visualize' / what}.png"
    [figure] = drawn
    with Image.open(run / "visualize" / f"{what}.png") as picture:
        assert picture.format == "PNG"
        np.testing.assert_allclose(picture.size, 130 * figure.get_size_inches(), atol=1)
    CHECKS[what](figure, lines, *trained(run))
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
def test_gray_nets_and_other_layers(runs, capsys, drawn, tmp_path, what, options):
    run = runs / "cifar10" / "gray_cnn" / "plain"
    status, lines, error = ask(capsys, run, what, "--out", tmp_path / "new", *options)
    assert (status, error) == (0, "")
    assert (tmp_path / "new" / f"{what}.png").is_file()
    net, cnn = trained(run)
    panels = images_of(drawn[0])
    if what == "filters":
        layer = options[1] if options else "Conv_0"
        kernel = np.asarray(cnn.variables["params"][layer]["kernel"])
        if options:  # A table of slices: a row for each filter, a column for each input channel.
            [(_, table)] = panels
            for channel, number in ((0, 0), (3, 1), (7, 5)):
                slice_ = kernel[:, :, channel, number] / np.abs(kernel).max()
                np.testing.assert_allclose(tile(table, number, channel, len(kernel)), slice_, atol=1e-6)
        else:
            np.testing.assert_allclose([image for _, image in panels], filters.as_images(kernel)[..., 0], atol=1e-6)
    elif what == "maximize":
        assert [title.split(":")[0] for title, _ in panels] == list(cnn.class_names)
        assert len([line for line in lines if "for noise" in line]) == 10
    elif what == "occlusion":
        np.testing.assert_allclose(panels[0][1], network.examples(net, "test", (3,)).images[0, ..., 0], atol=1e-6)
    else:
        assert [re.sub(":.*", "", title) for title, _ in panels] == ["channel 1", "projected"]


def test_pictures_of_different_layers_differ(runs, capsys, tmp_path):
    pixels = []
    for layer in ("Conv_0", "Conv_1"):
        assert ask(capsys, runs / "cifar10" / "lenet" / "bn", "filters", "--layer", layer, "--out", tmp_path)[0] == 0
        with Image.open(tmp_path / "filters.png") as picture:
            pixels.append(np.asarray(picture.convert("RGB").resize((64, 64))).astype(int))
    assert np.abs(pixels[0] - pixels[1]).mean() > 5
    assert all(picture.std() > 10 for picture in pixels)


def test_a_net_without_images_is_refused_before_it_is_loaded(runs, capsys, monkeypatch):
    monkeypatch.setattr(load, "load", lambda *_: pytest.fail("the net was loaded"))
    run = runs / "names" / "char_rnn"
    status, _, error = ask(capsys, run, "filters")
    assert (status, error) == (2, f"jaxnets: error: {run}: this net is a CharRNN, not a CNN for images\n")


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
        ("lenet/bn", "maximize", ("--rate", "nan"), "rate must be a finite number, got nan"),
        ("lenet/bn", "maximize", ("--restarts", "0"), "restarts must be at least 1"),
        ("lenet/bn", "deconvnet", ("--layer", "Dense_0"), "the outputs of Dense_0 are not maps"),
        ("lenet/bn", "deconvnet", ("--channels", "99"), "has channels 0 to 15, not 99"),
        ("lenet/bn", "occlusion", ("--images", "0", "99999"), "has images 0 to 199, not 99999"),
        ("lenet/bn", "occlusion", ("--side", "33"), "side must be at most 32, the image's, got 33"),
        ("lenet/bn", "occlusion", ("--stride", "0"), "stride must be at least 1"),
        ("lenet/bn", "transfer", ("--data", "shape10"), "did you mean shapes10"),
        ("lenet/bn", "transfer", ("--data", "toy_names"), "data set toy_names has no labeled images"),
        ("lenet/bn", "transfer", ("--data", "mnist"), "data set mnist is not prepared"),
        ("../names/char_rnn", "filters", (), "this net is a CharRNN, not a CNN for images"),
        ("nowhere", "filters", (), "no such run"),
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

"""Exported nets in a process that has neither jaxnets nor JAX: their outputs are those of the trained nets."""

import dataclasses
import json
import subprocess
import sys
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: exported nets are not run")

from benchmarks import data
from jaxnets import config, models, registry
from jaxnets.config import with_field
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.export import to_onnx, to_pytorch
from jaxnets.models import mlp
from jaxnets.runs.load import TrainedNet
from jaxnets.tasks import task as tasks

COLOR, GRAY = data.images(8), data.images(8, (20, 16, 1), classes=3)
SMALL = {"model.hidden": 12}
CASES = {
    "lenet": ("cifar10/lenet/super", COLOR, {}),
    "lenet_shrunk": ("tiny_imagenet/lenet/bn", data.images(8, (64, 64, 3)), {"data.eval_flip": True}),
    "tutorial_net": ("cifar10/tutorial_net", COLOR, {}),
    "small_cnn": ("cifar10/small_cnn", COLOR, {}),
    "cnn": ("cifar10/gray_cnn/best", COLOR, {"model.width": 4}),
    "mlp": ("nist36/mlp", GRAY, {"model.hidden": (7, 9)}),
    "autoencoder": ("nist36/autoencoder", GRAY, {"model.hidden": (7, 9)}),
    "autoencoder_gray": ("nist36/autoencoder", COLOR, {"model.hidden": (7,), "data.gray": True, "data.shrink": 2}),
    "autoencoder_filters": ("nist36/autoencoder", GRAY, {"model.hidden": (7,), "model.filters": (3, 5)}),
    "resnet": ("cifar10/resnet34/super", COLOR, {"model.blocks": (1, 2), "model.width": 8}),
    "resnet50": ("sun/resnet50_finetune/full", COLOR, {"model.blocks": (1, 2), "model.width": 8, "model.weights": "none"}),
    "fast_cnn": ("cifar10/fast", COLOR, {"model.widths": (6, 8), "model.depth": 3, "model.residual": True}),
    **{f"rows_{cell}": (f"mnist_rows/{cell}_128", GRAY, SMALL) for cell in ("rnn", "gru", "lstm")},
    "linear": ("sun/bow", COLOR, {"data.dictionary_size": 20}),
    "names": ("names/char_rnn", "toy_names", SMALL),
    "names_by_category": ("names/conditional_rnn", "toy_names", SMALL),
    "names_by_category_gru": ("names/conditional_rnn", "toy_names", {**SMALL, "model.cell": "gru"}),
    "letters": ("text/char_lm", "toy_letters", SMALL),
    "words_tied": ("word_lm/tiny_shakespeare", "toy_words", {**SMALL, "model.embedding": 12}),
    "reviews": ("imdb/best", "toy_reviews", {**SMALL, "data.max_length": 20}),
    "reviews_last": ("imdb/lstm", "toy_reviews", {**SMALL, "data.max_length": 20, "model.cell": "gru"}),
    "translation": ("translate/best", "toy_pairs", SMALL),
    "translation_lstm": ("translate/lstm", "toy_pairs", SMALL),
}
SENTENCES = {
    "reviews": ["The acting is brilliant, the music is not awful.", "an awful <br /> script"],
    "translation": ["nous sommes ici .", "Je suis triste."],
    "reviews_last": ["The actıng ıs brılliant."],
    "translation_lstm": ["Je suıs trıste."],
}
SPELLED_OUT = ("reviews_last", "translation_lstm")
"""Nets of own data, whose letters are spelled out."""
# Reads [{"folder", "arrays", "texts"}], and writes what each net makes of its arrays and texts.
PROGRAM = """
import importlib.util, json, sys, numpy, torch
for case in json.loads(sys.argv[1]):
    spec = importlib.util.spec_from_file_location("model", case["folder"] + "/model.py")
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    net = model.load()
    arrays = numpy.load(case["folder"] + "/inputs.npz")
    inputs = [torch.tensor(arrays[name]) for name in sorted(arrays) if name != "pictures"]
    with torch.no_grad():
        outputs = net(*inputs)
    results = {"outputs": outputs[0] if isinstance(outputs, tuple) else outputs}
    if "pictures" in arrays:
        results["predicted"] = model.predict(net, torch.tensor(arrays["pictures"]))
    if case["texts"] and hasattr(model, "CLASSES"):
        results["predicted"] = model.predict(net, case["texts"])
    elif case["texts"]:
        results["predicted"] = [model.predict(net, text) for text in case["texts"]]
    if case["start"]:
        results["predicted"] = model.predict(net, *case["start"])
    numpy.savez(case["folder"] + "/outputs.npz", **{name: numpy.asarray(value) for name, value in results.items()})
assert not {"jax", "flax", "jaxnets"} & set(sys.modules), sys.modules
"""
# What is drawn at random is only looked at: it begins as asked.
STARTS = {
    "names": ["G"],
    "names_by_category": ["Gri", "Droth"],
    "names_by_category_gru": ["G", "Droth"],
    "letters": ["we ", 9],
    "words_tied": ["We are", 5],
}


def sentences(name):
    """What a net for sentences is asked; None for others."""
    return SENTENCES.get(name, SENTENCES.get(name.split("_")[0]))


def make(name):
    """A net with random weights and statistics, and inputs [N, ...] for it."""
    id_, make_dataset, changes = CASES[name]
    experiment = dataclasses.replace(registry.all_experiments()[id_], seeds=1)
    for path, value in {"data.batch_size": 4, "eval_batch_size": 4, **changes}.items():
        experiment = with_field(experiment, path, value)
    dataset = catalog.open_dataset(make_dataset) if isinstance(make_dataset, str) else make_dataset()
    dataset = dataset._replace(meta={**dataset.meta, "spelled_out": name in SPELLED_OUT})
    task = tasks.build(experiment, dataset)
    model = models.build(experiment.model, task.sizes)
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda key: model.init(key, *task.sample_inputs, train=False), jax.random.key(0))
    variables = jax.tree.map(lambda x: rng.normal(scale=0.2, size=x.shape).astype(np.float32), dict(shapes))
    variables["batch_stats"] = jax.tree.map(lambda x: np.abs(x) + np.float32(0.1), variables.get("batch_stats", {}))
    sizes = [size for name, size in task.sizes.items() if name.endswith("vocab_size")] or [0]

    def draw(like):
        if jnp.issubdtype(like.dtype, jnp.floating):
            return rng.normal(size=(4, *like.shape[1:])).astype(np.float32)
        if like.ndim == 1:  # Lengths; or categories, of which there is more than one in every case that has them.
            return np.array([1, 3, 2, min(5, task.sample_inputs[0].shape[1])], np.int32)
        return rng.integers(0, min(sizes), (4, *like.shape[1:])).astype(np.int32)

    inputs = [draw(x) for x in task.sample_inputs if isinstance(x, jax.Array)]
    return TrainedNet(experiment, model, variables, dataset), inputs


def outputs_of(net, inputs):
    """Logits, or whatever a model's PyTorch form returns first."""
    outputs = jax.jit(lambda variables, inputs: net.model.apply(variables, *inputs, train=False))(net.variables, inputs)
    if hasattr(outputs, "features"):
        return outputs.features @ outputs.kernel + outputs.bias.reshape(1, 1, -1)
    return getattr(outputs, "logits", outputs)


def torch_inputs(net, inputs):
    if inputs[0].ndim == 4:
        return [inputs[0].transpose(0, 3, 1, 2)]
    letters_and_category = isinstance(net.experiment.model, config.CharRNNConfig)
    return [x.astype(np.int64) if x.dtype == np.int32 else x for x in (inputs[::2] if letters_and_category else inputs)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(net, inputs, outputs of the other process) of every case."""
    folder, nets, jobs = tmp_path_factory.mktemp("exported"), {}, []
    for name in CASES:
        net, inputs = nets[name] = make(name)
        to_pytorch.export(net, folder / name)
        arrays = dict(zip("abc", torch_inputs(net, inputs), strict=False))
        if inputs[0].ndim == 4:
            arrays["pictures"] = net.spec.splits["train"]["image"].transpose(0, 3, 1, 2)
        np.savez(folder / name / "inputs.npz", **arrays)
        texts = sentences(name) or []
        jobs.append({"folder": str(folder / name), "texts": texts, "start": STARTS.get(name)})
    subprocess.run([sys.executable, "-I", "-c", PROGRAM, json.dumps(jobs)], env={}, check=True)
    return {name: (*nets[name], dict(np.load(folder / name / "outputs.npz"))) for name in CASES}


def assert_close(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_the_trained_net(exported, name):
    net, inputs, found = exported[name]
    expected = np.asarray(outputs_of(net, inputs))
    outputs, mask = found["outputs"], np.ones(expected.shape[:2], bool)
    if isinstance(net.experiment.model, config.AutoencoderConfig):
        outputs = outputs.transpose(0, 2, 3, 1)
    if isinstance(net.experiment.model, config.CharRNNConfig):  # After the end of a name, ours are of no use.
        mask = np.arange(expected.shape[1]) < inputs[1][:, None]
    assert outputs.shape == expected.shape
    assert expected.std() > 1e-3
    assert_close(outputs[mask], expected[mask])


@pytest.mark.parametrize("name", [name for name in CASES if "linear" not in name])
def test_predictions_are_those_of_the_trained_net(exported, name):
    net, _, found = exported[name]
    predicted = found["predicted"]
    if name in STARTS:
        start, *_ = STARTS[name]
        assert str(predicted).startswith(start.lower() if name == "words_tied" else start)
        return
    question = sentences(name) or net.spec.splits["train"].get("image")
    expected = net.predictor(question)
    if isinstance(expected, list):
        assert predicted.tolist() == expected
    else:
        assert_close(predicted.transpose(0, 2, 3, 1) if predicted.ndim == 4 else predicted, expected)


@pytest.mark.parametrize(
    "name", ["lenet_shrunk", pytest.param("small_cnn", marks=pytest.mark.slow), "autoencoder_filters", "resnet", "rows_lstm"]
)
def test_onnx_files_answer_as_the_trained_net(exported, name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: ONNX files are not run")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: ONNX files are not written")
    net, _, _ = exported[name]
    [path] = to_onnx.export(net, tmp_path)
    session = onnxruntime.InferenceSession(str(path))
    pictures = net.spec.splits["train"]["image"][:5]
    [found] = session.run(None, {"images": pictures.transpose(0, 3, 1, 2)})
    expected = net.predictor(pictures)
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1) if found.ndim == 4 else found, expected, rtol=0, atol=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(net.spec.meta["class_names"])


def test_onnx_is_for_images(exported, tmp_path):
    with pytest.raises(UserError, match="^names/char_rnn: ONNX is for nets that look at images; choose --format pytorch$"):
        to_onnx.export(exported["names"][0], tmp_path)


def test_every_architecture_is_among_them():
    kinds = {kind for kind in config.ModelConfig.__subclasses__() if kind.__module__.startswith("jaxnets.")}
    assert {type(registry.all_experiments()[id_].model) for id_, *_ in CASES.values()} == kinds


def test_a_model_of_ones_own_is_refused(tmp_path):
    class Own(mlp.MLP):
        """A Linen module of a user's."""

    @dataclasses.dataclass(frozen=True)
    class OwnConfig(config.MLPConfig):
        target: ClassVar[Any] = Own

    net, _ = make("mlp")
    model = models.build(OwnConfig(), {"classes": 3})
    with pytest.raises(UserError, match=r"^Own has no PyTorch form: the built-in models alone have one$"):
        to_pytorch.export(net._replace(model=model), tmp_path)
    assert not list(tmp_path.iterdir())

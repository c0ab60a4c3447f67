"""Experiments as data: checks, JSON, differences, help texts."""

import ast
import dataclasses
import inspect
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnets import registry
from jaxnets.config import Experiment, differences, field_at, from_json, parse_field, to_json, validate, with_field
from jaxnets.config import data as data_configs
from jaxnets.config import experiment as experiment_config
from jaxnets.config import model as model_configs
from jaxnets.config import optim as optim_configs
from jaxnets.errors import UserError

SUPER = registry.all_experiments()["cifar10/lenet/super"]


def changed(path, value, config=SUPER):
    """A copy of a config with the field at a dotted path replaced."""
    head, _, rest = path.partition(".")
    inner = changed(rest, value, getattr(config, head)) if rest else value
    return dataclasses.replace(config, **{head: inner})


@pytest.mark.parametrize("experiment", registry.all_experiments().values(), ids=lambda e: e.id)
def test_json_gives_the_same_experiment_back(experiment):
    assert from_json(Experiment, json.loads(json.dumps(to_json(experiment)))) == experiment


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("epochs", 0),
        ("steps", 0),
        ("seeds", -1),
        ("seed", -1),
        ("data.batch_size", 0),
        ("data.augment.brightness", 1.5),
        ("data.augment.crop_padding", -1),
        ("optim.lr", 0.0),
        ("optim.lr", float("nan")),
        ("optim.momentum", 1.0),
        ("optim.weight_decay", -1e-4),
        ("optim.spsa.gamma", 0.6),
        ("optim.spsa.alpha", -0.1),
        ("optim.spsa.num_perturbations", 0),
        ("model.dropout_conv", (0.0, 1.0)),
        ("model.dense", (120, 0)),
        ("model.init.std", 0.0),
        ("eval_batch_size", -5),
        ("eval_examples", 0),
    ],
)
def test_invalid_values_are_named(path, value):
    with pytest.raises(UserError) as error:
        validate(changed(path, value))
    assert SUPER.id in str(error.value)
    assert path in str(error.value)
    assert "\n" not in str(error.value)


@given(lr=st.floats(1e-6, 10), epochs=st.integers(1, 1000), momentum=st.floats(0, 0.999))
def test_valid_values_pass(lr, epochs, momentum):
    experiment = changed("optim.momentum", momentum, changed("optim.lr", lr, changed("epochs", epochs)))
    assert validate(experiment) is experiment


@pytest.mark.parametrize("path", ["optim.spsa.alpha", "optim.spsa.gamma"])
def test_gains_of_spsa_may_be_constant(path):
    assert validate(changed(path, 0.0))


@pytest.mark.parametrize(
    ("id_", "path", "value"),
    [
        ("sun/bow", "data.dictionary_size", 0),
        ("sun/bow", "data.levels", 7),
        ("sun/bow", "data.cell_sizes", ()),
        ("sun/bow", "data.cell_sizes", (4, 0)),
        ("sun/bow", "data.spacing", 0),
        ("sun/bow", "data.color_weight", -0.1),
        ("sun/resnet50_finetune/head", "model.weights", ""),
        ("sun/resnet50_finetune/head", "model.blocks", (3, 0)),
    ],
)
def test_invalid_values_for_scenes_are_named(id_, path, value):
    with pytest.raises(UserError, match=f"{id_}: {path}"):
        validate(changed(path, value, registry.all_experiments()[id_]))


@pytest.mark.parametrize(
    ("id_", "path", "value"),
    [
        ("cifar10/lenet/plain", "grad_accumulation_steps", 2),
        ("cifar10/resnet34/super", "model.dtype", "bfloat16"),
        ("cifar10/resnet34/super", "model.remat", True),
    ],
)
def test_what_layerwise_differences_cannot_look_into_is_named(id_, path, value):
    experiment = changed(path, value, registry.all_experiments()[id_])
    spsa = optim_configs.Spsa(directions="layerwise")
    assert validate(changed("optim", optim_configs.Optim("spsa"), experiment))
    with pytest.raises(UserError, match=rf"{id_}: optim\.spsa\.directions layerwise needs {path} .*, got {value}"):
        validate(changed("optim", optim_configs.Optim("spsa", spsa=spsa), experiment))


def test_differences_name_path_and_both_values():
    other = changed("optim.lr", 0.5, changed("seeds", 7))
    assert differences(to_json(other), to_json(SUPER)) == ["optim.lr (0.001 there, 0.5 here)", "seeds (3 there, 7 here)"]
    assert differences(to_json(SUPER), to_json(SUPER)) == []


def test_synthetic_means_the_stand_in():
    assert SUPER.dataset == "cifar10"
    assert changed("data.source", "synthetic").dataset == "shapes10"


def documented_fields(module):
    """(class, field, whether a docstring follows it) for the fields that the dataclasses of a module introduce."""
    for cls in (node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)):
        inherited = {
            name for base in getattr(module, cls.name).__mro__[1:] for name in vars(base).get("__annotations__", ())
        }
        for node, after in zip(cls.body, [*cls.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and node.target.id not in inherited:
                yield cls.name, node.target.id, isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)


@pytest.mark.parametrize("module", [data_configs, experiment_config, model_configs, optim_configs], ids=lambda m: m.__name__)
def test_every_field_says_what_it_is(module):
    """The docstrings are the help texts of the command line."""
    fields = list(documented_fields(module))
    missing = [f"{cls}.{field}" for cls, field, documented in fields if not documented]
    # The experiment's own parts are explained by their classes.
    assert set(missing) <= {"Experiment.data", "Experiment.model", "Experiment.optim"}
    assert len(fields) > 5


def test_arguments_of_a_rule_survive_json_and_cannot_be_changed():
    muon = changed("optim", optim_configs.Optim("optax.contrib.muon", args={"ns_coeffs": [3.0, -4.0], "nesterov": False}))
    assert from_json(Experiment, json.loads(json.dumps(to_json(muon)))) == muon
    with pytest.raises(TypeError):
        muon.optim.args["beta"] = 0.9
    with_beta = with_field(muon, "optim.args.beta", parse_field(muon, "optim.args.beta", "0.9"))
    assert field_at(with_beta, "optim.args.beta") == 0.9
    assert differences(to_json(with_beta), to_json(muon)) == ["optim.args.beta (None there, 0.9 here)"]


def test_a_rule_that_is_neither_known_nor_a_path_is_refused():
    with pytest.raises(UserError, match=r"optim\.name must be sgd, .* got lion"):
        validate(changed("optim.name", "lion"))

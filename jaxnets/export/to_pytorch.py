"""A trained net as two files that need PyTorch alone: model.py and weights.safetensors."""

import json
import pprint
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

import jaxnets
from jaxnets.config import ImageData
from jaxnets.data import pairs
from jaxnets.errors import UserError
from jaxnets.export.source import extract, statements
from jaxnets.models import torch_form
from jaxnets.pipeline import images
from jaxnets.runs.load import TrainedNet
from jaxnets.tasks import task as tasks

MODEL, WEIGHTS, VOCABULARY = "model.py", "weights.safetensors", "vocabulary.json"
_FORMS = "jaxnets.export.pytorch"

_LOAD = '''\
def load(path: str | Path = Path(__file__).parent / "weights.safetensors") -> {name}:
    """The trained net, in evaluation mode."""
    net = {name}(
{arguments}    )
    net.load_state_dict(load_file(path))
    return net.eval()'''

_HEAD = '''\
"""{name} of the run {id}, exported by jaxnets {version}. Needs torch and safetensors.

    import model
    net = model.load()  # The weights are in weights.safetensors, beside this file.
    {example}
"""'''

_EXAMPLES = {
    "classification": "model.predict(net, images)  # uint8 [N, {channels}, {height}, {width}] -> probabilities of CLASSES",
    "autoencoding": "model.predict(net, images)  # uint8 [N, {channels}, {height}, {width}] -> floats in [0, 1]",
    "bag_of_words": "model.predict(net, pyramids)  # [N, D] -> probabilities of CLASSES",
    "sentiment": 'model.predict(net, ["What a film!"])  # Probabilities of CLASSES.',
    "char_lm": 'model.predict(net, "A"{category})  # A name.',
    "language_model": "model.predict(net, {prompt!r})  # A text that begins so.",
    "translation": "model.predict(net, sentence)",
}
"""By task: one of jaxnets.tasks with a file of the same name in jaxnets.export.pytorch.usage."""


def export(net: TrainedNet, folder: Path) -> list[Path]:
    """Writes the net's files into a folder, which is made if need be, and returns their paths.

    Raises UserError for a model without a PyTorch form, and for a folder that cannot be written.
    """
    form = form_of(net)
    tensors = torch_form.to_torch(form, net.variables)
    text, vocabulary = source(net, form)
    files = [folder / name for name in (MODEL, WEIGHTS, *([VOCABULARY] if vocabulary else []))]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files[0].write_text(text, encoding="utf-8")
        # safetensors writes memory as it lies, whatever the array's strides.
        save_file({name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}, files[1])
        if vocabulary:
            files[2].write_text(json.dumps(vocabulary, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error
    return files


def form_of(net: TrainedNet) -> torch_form.TorchForm:
    """The PyTorch form of a trained net. Raises UserError if there is none."""
    return torch_form.of(net.model, tasks.build(net.experiment, net.spec).sample_inputs[0].shape[1:])


def source(net: TrainedNet, form: torch_form.TorchForm) -> tuple[str, dict[str, Any]]:
    """(the text of model.py, the constants that are read from vocabulary.json)."""
    name, task = type(net.model).__name__, net.experiment.task.removeprefix("jaxnets.tasks.")
    wanted = [(f"{_FORMS}.{type(net.model).__module__.rpartition('.')[2]}", name)]
    constants: dict[str, Any] = {}
    example = "net(…)"
    if task in _EXAMPLES:  # A task of the user's own has its own way to make inputs.
        wanted.append((f"{_FORMS}.usage.{task}", "predict"))
        constants, facts = _constants(net), _facts(net)
        example = _EXAMPLES[task].format(**facts)
    imports, definitions = extract(wanted, constants)
    imports |= {("pathlib", "Path"), ("safetensors.torch", "load_file")}
    vocabulary = {key: list(value) for key, value in constants.items() if key.endswith("TOKENS")}
    lines = [f"{key} = {pprint.pformat(value, width=110)}" for key, value in constants.items() if key not in vocabulary]
    if vocabulary:
        imports.add(("json", ""))
        lines.append(f'_VOCABULARY = json.loads((Path(__file__).parent / "{VOCABULARY}").read_text(encoding="utf-8"))')
        lines += [f'{key} = _VOCABULARY["{key}"]' for key in vocabulary]
    head = _HEAD.format(name=name, id=net.experiment.id, version=jaxnets.__version__, example=example)
    load = _LOAD.format(name=name, arguments="".join(f"        {key}={value!r},\n" for key, value in form.arguments.items()))
    preamble = "\n\n".join(filter(None, [head, statements(imports), "\n".join(lines)]))
    return "\n\n\n".join([preamble, *definitions, load]) + "\n", vocabulary


def _constants(net: TrainedNet) -> dict[str, Any]:
    """What the files of jaxnets.export.pytorch.usage leave to a run."""
    meta, data, task = net.spec.meta, net.experiment.data, net.experiment.task.rpartition(".")[2]
    constants: dict[str, Any] = {}
    if task in ("classification", "bag_of_words", "sentiment"):
        constants["CLASSES"] = tuple(meta["class_names"])
    if isinstance(data, ImageData):
        mean, std = images.normalization(data, meta)
        constants |= {"MEAN": tuple(mean), "STD": tuple(std), "SHRINK": data.shrink, "GRAY": data.gray}
        constants |= {"FLIP": data.eval_flip, "SHIFT": data.eval_shift} if task == "classification" else {}
    match task:
        case "sentiment":
            # Number 0 is padding.
            constants |= {"TOKENS": meta["tokens"][: data.vocab_size + 1], "MAX_LENGTH": data.max_length}  # type: ignore[attr-defined]
        case "char_lm":
            constants |= {"TOKENS": meta["tokens"], "CATEGORIES": _categories(net)}
        case "language_model":
            constants |= {"TOKENS": meta["tokens"], "TOKENIZER": meta["tokenizer"]}
        case "translation":
            constants |= {f"{side.upper()}_TOKENS": meta[f"{side}_tokens"] for side in ("source", "target")}
            constants["MAX_LENGTH"] = meta.get("max_length", pairs.MAX_TOKENS)
    if task in ("sentiment", "translation"):
        constants["SPELLED_OUT"] = meta.get("spelled_out", False)
    return constants


def _categories(net: TrainedNet) -> tuple[str, ...]:
    """The categories of names that the net takes."""
    return tuple(net.spec.meta.get("categories", ())) if getattr(net.experiment.model, "conditional", False) else ()


def _facts(net: TrainedNet) -> dict[str, Any]:
    """What the examples name."""
    meta, fields = net.spec.meta, net.spec.splits["train"]
    height, width, channels = fields["image"].shape[1:] if "image" in fields else (0, 0, 0)
    categories = _categories(net)
    known = [token for token in meta.get("tokens", ()) if token.isalpha()]
    return {
        **{"height": height, "width": width, "channels": channels, "prompt": known[0] if known else ""},
        "category": f", {categories[0]!r}" if categories else "",
    }

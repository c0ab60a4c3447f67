"""A trained net of images as one ONNX file, from raw pictures to its answer, by PyTorch's exporter."""

import importlib.util
import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets.errors import UserError, extra
from jaxnets.export import to_pytorch
from jaxnets.runs.load import TrainedNet

FILE = "model.onnx"
_TASKS = {"jaxnets.tasks.classification": "probabilities", "jaxnets.tasks.autoencoding": "reconstructions"}
"""What the file's output is called, by task."""


def export(net: TrainedNet, folder: Path) -> list[Path]:
    """Writes model.onnx into a folder, which is made if need be, and returns its path.

    Its input "images" is uint8 [N, C, H, W], for any N, and its output what `predict` of the model.py returns (see
    jaxnets.export.to_pytorch). The names of the classes are its metadata "classes", in JSON.

    Raises UserError where a package is missing, for a net that does not look at images, for a model without a PyTorch form,
    and for a folder that cannot be written.
    """
    if net.experiment.task not in _TASKS:
        raise UserError(f"{net.experiment.id}: ONNX is for nets that look at images; choose --format pytorch")
    with extra("onnx"):
        import onnx
        import onnxscript  # noqa: F401  # PyTorch's exporter needs it.
        import torch
    with tempfile.TemporaryDirectory() as temporary:
        to_pytorch.export(net, Path(temporary))
        model = _import(Path(temporary) / to_pytorch.MODEL)
        trained = model.load()

    class Predict(torch.nn.Module):
        """From raw pictures to the answer."""

        def __init__(self) -> None:
            super().__init__()
            self.net = trained

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return model.predict(self.net, images)

    shape = np.shape(net.spec.splits["train"]["image"])[1:]
    # Two of them: PyTorch takes an axis of one element for a constant.
    images = torch.zeros((2, shape[2], *shape[:2]), dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # It tells which operators of other packages are not there.
    with warnings.catch_warnings(action="ignore"):  # Of PyTorch, about its own code.
        program = torch.onnx.export(
            Predict().eval(),
            (images,),
            input_names=["images"],
            output_names=[_TASKS[net.experiment.task]],
            dynamic_shapes={"images": {0: torch.export.Dim("N")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {"classes": json.dumps(net.spec.meta["class_names"])})
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(proto, path)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error
    return [path]


def _import(path: Path) -> Any:
    """The module in a file."""
    spec = importlib.util.spec_from_file_location("jaxnets_exported_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

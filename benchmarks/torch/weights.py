"""Our weights and gradients beside those of a PyTorch twin."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm

Tree = Mapping[str, Any]


def copy_to_torch(params: Tree, model_state: Tree, form: TorchForm, module: nn.Module) -> None:
    """Overwrites the module's parameters and running statistics with ours.

    Args:
      params: our parameters.
      model_state: our other variables; "batch_stats" holds the running statistics.
      form: of our model.
      module: its twin.
    """
    tensors = torch_form.to_torch(form, {"params": params, **model_state})
    module.load_state_dict({name: torch.tensor(np.ascontiguousarray(array)) for name, array in tensors.items()})


def pairs(variables: Tree, form: TorchForm, module: nn.Module) -> Iterator[tuple[str, np.ndarray, torch.Tensor]]:
    """(name, ours in PyTorch's layout, the module's) for each of the variables: parameters or running statistics."""
    tensors = dict([*module.named_parameters(), *module.named_buffers()])
    for name, array in torch_form.to_torch(form, variables).items():
        yield name, array, tensors[name].detach()


def gradients(params: Tree, form: TorchForm, module: nn.Module) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, our gradient in PyTorch's layout, the module's) for every parameter. `params` are our gradients."""
    parameters = dict(module.named_parameters())
    for name, array in torch_form.to_torch(form, {"params": params}).items():
        yield name, array, parameters[name].grad.numpy()

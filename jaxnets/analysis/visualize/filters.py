"""The filters of a convolution as images."""

from typing import Any

import jax
import numpy as np

from jaxnets.models.features import Layer

Array = jax.Array


def kernel(params: Any, layer: Layer) -> np.ndarray:
    """The weights of a convolution as NumPy, float32 [KH, KW, C_in, C_out]."""
    for part in layer.name.split("/"):
        params = params[part]
    return np.asarray(params["kernel"], np.float32)


def scale(kernel: np.ndarray) -> float:
    """The largest absolute weight of a layer, by which all its filters are divided; 1 if all weights are 0."""
    return float(np.abs(kernel).max()) or 1.0


def as_images(kernel: np.ndarray) -> np.ndarray:
    """Filters over one or three input channels as gray or color images: [KH, KW, C_in, C_out] -> [C_out, KH, KW, C_in].

    All are normalized alike, w ↦ 1/2 + w / (2 max|w|): 0 is mid-gray in every filter, and filters can be compared.
    """
    return 0.5 + 0.5 * kernel.transpose(3, 0, 1, 2) / scale(kernel)


def as_slices(kernel: np.ndarray) -> np.ndarray:
    """Filters of any depth, one slice per input channel: [KH, KW, C_in, C_out] -> [C_out, C_in, KH, KW] in [-1, 1].

    All are divided by max|w|.
    """
    return kernel.transpose(3, 2, 0, 1) / scale(kernel)

"""The layer library: functions on arrays, Linen layers made of them, and initializers.

Images are [N, H, W, C] and sequences [T, N, ...], time first. `conv2d`, `max_pool`, `batch_norm` and `rnn_scan` run as
native kernels where a program is lowered for a CPU (see jaxnets.nn.kernels) and as XLA's operations everywhere else. All of
them work under jit, grad, vmap, scan and shard_map.

>>> import jax.numpy as jnp
>>> import jaxnets.nn as jnn
>>> images = jnp.ones((8, 32, 32, 3))
>>> features = jnn.conv2d(images, jnp.ones((5, 5, 3, 6)), jnp.zeros(6), padding=2)
>>> jnn.max_pool(features).shape
(8, 16, 16, 6)
"""

from jaxnets.config.model import Init
from jaxnets.nn.cells import CELLS, Cell, CellName
from jaxnets.nn.conv import conv2d
from jaxnets.nn.init import bias_init, fans, kernel_init
from jaxnets.nn.layers import ACTIVATIONS, Activation, BatchNorm, Conv, Dense, DenseParams, Dropout
from jaxnets.nn.norm import batch_norm
from jaxnets.nn.pool import avg_pool, global_max_pool, max_pool
from jaxnets.nn.rnn import rnn_scan, sequence_mask
from jaxnets.nn.sequence import Embed, Recurrent, RNNState, last_outputs, zero_carry

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "Activation",
    "BatchNorm",
    "Cell",
    "CellName",
    "Conv",
    "Dense",
    "DenseParams",
    "Dropout",
    "Embed",
    "Init",
    "RNNState",
    "Recurrent",
    "avg_pool",
    "batch_norm",
    "bias_init",
    "conv2d",
    "fans",
    "global_max_pool",
    "kernel_init",
    "last_outputs",
    "max_pool",
    "rnn_scan",
    "sequence_mask",
    "zero_carry",
]

"""Small arrays in one buffer, so that one kernel serves them all.

A kernel on a GPU takes some microseconds whatever it does, and a small net has ten and more arrays to update, to check and
to carry through a loop, none of which is work for a microsecond.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array

GPUS = ("gpu", "cuda", "rocm")
"""Platforms on which it is worth it."""
LIMIT = 1 << 16
"""Elements of the largest array that is worth a copy to save a kernel."""

_STATIC = {"static": True}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Packed:
    """A tree of arrays in fewer buffers."""

    buffers: list[Array]
    """A flat one for each type of small arrays, and the other arrays as they are."""
    leaves: tuple[tuple[int, ...], ...] = dataclasses.field(metadata=_STATIC)
    """Which of the tree's leaves are in each buffer."""
    shapes: tuple[tuple[int, ...], ...] = dataclasses.field(metadata=_STATIC)
    """Of the leaves."""
    structure: Any = dataclasses.field(metadata=_STATIC)
    """Of the tree."""


def pack(tree: Any, limit: int = LIMIT) -> Packed:
    """Puts arrays of at most `limit` elements one after the other, a buffer for each type.

    With a limit of 0 the buffers are the tree's leaves, but for empty ones.

    >>> import jax.numpy as jnp
    >>> packed = pack({"a": jnp.ones((2, 3)), "b": jnp.zeros(2), "c": jnp.arange(4)})
    >>> [buffer.shape for buffer in packed.buffers]
    [(8,), (4,)]
    >>> {name: leaf.shape for name, leaf in unpack(packed).items()}
    {'a': (2, 3), 'b': (2,), 'c': (4,)}

    Args:
      tree: arrays of any shapes and types; random keys stay as they are.
      limit: elements of the largest array that is put beside others.
    """
    leaves, structure = jax.tree.flatten(tree)
    groups: dict[Any, list[int]] = {}
    for place, leaf in enumerate(leaves):
        is_small = leaf.size <= limit and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
        groups.setdefault(leaf.dtype if is_small else place, []).append(place)
    together = lambda places: jnp.concatenate([_flat(leaves[place]) for place in places])
    buffers = [together(places) if len(places) > 1 else leaves[places[0]] for places in groups.values()]
    shapes = tuple(leaf.shape for leaf in leaves)
    return Packed(buffers, tuple(tuple(places) for places in groups.values()), shapes, structure)


def unpack(packed: Packed) -> Any:
    """The tree that was packed. Its leaves have the leading axes that the buffers got since, as from a scan or vmap."""
    found: dict[int, Array] = {}
    for places, buffer in zip(packed.leaves, packed.buffers, strict=True):
        if len(places) == 1:
            found[places[0]] = buffer
            continue
        start = 0
        for place in places:
            shape = packed.shapes[place]
            end = start + math.prod(shape)
            found[place] = _shaped(buffer[..., start:end], shape)
            start = end
    return jax.tree.unflatten(packed.structure, [found[place] for place in range(len(packed.shapes))])


def _flat(leaf: Array) -> Array:
    """All elements in a row. Filters [KH, KW, inputs, outputs] are stored as cuDNN wants them, [outputs, KH, KW, inputs]."""
    return (jnp.moveaxis(leaf, -1, 0) if leaf.ndim == 4 else leaf).reshape(-1)


def _shaped(flat: Array, shape: tuple[int, ...]) -> Array:
    """The reverse of `_flat`, for flat arrays [..., elements]."""
    if len(shape) == 4:
        return jnp.moveaxis(flat.reshape(*flat.shape[:-1], shape[3], *shape[:3]), -4, -1)
    return flat.reshape(*flat.shape[:-1], *shape)

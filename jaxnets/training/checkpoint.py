"""Checkpoints by Orbax: everything a run needs to resume, bit for bit, as if it had never stopped."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxnets.errors import UserError, first_line

_root_handlers = list(logging.root.handlers)
import orbax.checkpoint as ocp  # noqa: E402

logging.root.handlers[:] = _root_handlers  # Importing Orbax adds one, which would print other libraries' messages.

_KEEP = 2  # If a crash damaged the newest while it was written, the one before it is used.


class Snapshot(NamedTuple):
    """What one checkpoint holds."""

    latest: Any
    """The training state."""
    best: Any
    """Weights of the best epoch so far by validation, seed by seed."""
    progress: dict[str, Any]
    """Plain JSON: step, metric sums of the current epoch, seconds spent."""


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, folder: Path) -> None:
        logging.getLogger("absl").setLevel(logging.ERROR)
        # Blocking saves: states here are small, and a save that has returned is on disk.
        options = ocp.CheckpointManagerOptions(max_to_keep=_KEEP, enable_async_checkpointing=False)
        self._folder = folder
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, step: int, snapshot: Snapshot) -> None:
        """Writes a checkpoint, unless there is one for this step. Raises UserError when it cannot be written."""
        if step in self._manager.all_steps():
            return
        items = ocp.args.Composite(
            latest=ocp.args.StandardSave(_plain_keys(snapshot.latest)),
            best=ocp.args.StandardSave(_plain_keys(snapshot.best)),
            progress=ocp.args.JsonSave(snapshot.progress),
        )
        try:
            self._manager.save(step, args=items, force=True)
        except Exception as error:
            raise UserError(
                f"cannot write a checkpoint to {self._folder}: {first_line(error)}; free space there, then run the same "
                f"command again to resume from step {self._manager.latest_step() or 0}"
            ) from error

    def restore(self, like: Snapshot) -> tuple[Snapshot | None, list[str]]:
        """The newest readable checkpoint, and a message for each newer one, which could not be read and was renamed.

        `like` gives structure, shapes and shardings. Raises UserError if there are checkpoints but none fits.
        """
        problems: list[tuple[int, str]] = []
        abstract = jax.tree.map(_abstract, _plain_keys((like.latest, like.best)))
        for step in sorted(self._manager.all_steps(), reverse=True):
            items = ocp.args.Composite(
                latest=ocp.args.StandardRestore(abstract[0]),
                best=ocp.args.StandardRestore(abstract[1]),
                progress=ocp.args.JsonRestore(),
            )
            try:
                restored = self._manager.restore(step, args=items)
                self._put_aside(problems)
                return (
                    Snapshot(
                        _typed_keys(restored.latest, like.latest), _typed_keys(restored.best, like.best), restored.progress
                    ),
                    [
                        f"checkpoint of step {bad} could not be read ({why}); it was renamed to unreadable-{bad}"
                        for bad, why in problems
                    ],
                )
            except Exception as error:
                problems.append((step, first_line(error)))
        if problems:
            step, why = problems[0]
            raise UserError(
                f"no checkpoint under {self._folder} fits this experiment (step {step}: {why}); choose another --out or "
                "remove the folder"
            )
        return None, []

    def _put_aside(self, problems: list[tuple[int, str]]) -> None:
        for step, _ in problems:
            (self._folder / str(step)).rename(self._folder / f"unreadable-{step}")
        if problems:
            self._manager.reload()

    def close(self) -> None:
        """Releases Orbax's threads."""
        self._manager.close()


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain_keys(tree: Any) -> Any:
    """Random keys as the integers they are made of."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _typed_keys(tree: Any, like: Any) -> Any:
    return jax.tree.map(lambda leaf, model: jax.random.wrap_key_data(leaf) if _is_key(model) else leaf, tree, like)


def _abstract(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)

"""Checkpoints by Orbax: everything a run needs to resume, bit for bit, as if it had never stopped.

The arrays of several processes come together on the writer, which saves them as one process does, and go out from there
again: nets are small here, any other number of processes or devices can go on, and no other process needs to see the folder.
"""

import asyncio
import contextlib
import json
import logging
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnets.errors import UserError, first_line, remedy
from jaxnets.training import distributed, parallel

_root_handlers = list(logging.root.handlers)
import orbax.checkpoint as ocp  # noqa: E402

logging.root.handlers[:] = _root_handlers  # Importing Orbax adds one, which would print other libraries' messages.

_KEEP = 2  # If a crash damaged the newest while it was written, the one before it is used.
_UNREADABLE = "unreadable-"


class Snapshot(NamedTuple):
    """What one checkpoint holds."""

    latest: Any
    """The training state."""
    best: Any
    """Weights of the best epoch so far by validation, seed by seed."""
    progress: dict[str, Any]
    """Plain JSON: step, metric sums of the current epoch, seconds spent."""


class Checkpoints:
    """The checkpoints of one run folder, for the processes that train there: all call each method at the same step."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError for a path that Orbax cannot write to."""
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax logs the traceback of every error that it raises.
        self._folder = folder
        self._manager = distributed.written(lambda: _manager(folder))

    def save(self, step: int, snapshot: Snapshot) -> None:
        """Writes a checkpoint and reads it back, unless there is one for this step.

        Raises UserError when it cannot be written, or is not on disk what it was in memory.
        """
        if distributed.from_writer(self._manager is not None and step in self._manager.all_steps()):
            return
        arrays = parallel.fetch(_plain_keys((snapshot.latest, snapshot.best)))
        distributed.written(lambda: self._write(step, arrays, snapshot.progress))

    def _write(self, step: int, arrays: Any, progress: dict[str, Any]) -> None:
        checksum = _checksum(arrays, progress)
        items = ocp.args.Composite(
            latest=ocp.args.PyTreeSave(arrays[0]),
            best=ocp.args.PyTreeSave(arrays[1]),
            progress=ocp.args.JsonSave({**progress, "checksum": checksum}),
        )
        try:
            with _patient_loops():
                self._manager.save(step, args=items, force=True)
            self._read(step, arrays)
        except Exception as error:
            shutil.rmtree(self._folder / str(step), ignore_errors=True)
            self._manager.reload()
            raise UserError(
                f"cannot write a checkpoint to {self._folder}: {first_line(error)}; {remedy(error)} to resume from step "
                f"{self._manager.latest_step() or 0}"
            ) from error

    def restore(self, like: Snapshot) -> tuple[Snapshot | None, list[str]]:
        """The newest checkpoint that holds what was saved, and a message for each newer one, which was renamed.

        `like` gives structure, shapes and shardings. Raises UserError if there are checkpoints but none can be used; then
        all stay as they are.
        """
        places = _plain_keys((like.latest, like.best))
        blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), places)
        arrays, progress, problems = distributed.written(lambda: self._newest(blank)) or (blank, None, [])
        progress, problems = distributed.from_writer([progress, problems])
        if progress is None:
            return None, []
        latest, best = parallel.put_like(distributed.arrays_from_writer(arrays), places)
        return Snapshot(_typed_keys(latest, like.latest), _typed_keys(best, like.best), progress), [
            f"checkpoint of step {bad} could not be read ({why}); it was renamed to {_UNREADABLE}{bad}"
            for bad, why in problems
        ]

    def _newest(self, like: Any) -> tuple[Any, dict[str, Any], list[tuple[int, str]]] | None:
        """(arrays, progress, what is wrong with newer ones, by step) of the newest checkpoint that can be used."""
        problems: list[tuple[int, str]] = []
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                arrays, progress = self._read(step, like)
            except Exception as error:
                problems.append((step, first_line(error)))
                continue
            self._put_aside(problems)
            return arrays, progress, problems
        if problems:
            step, why = problems[0]
            raise UserError(
                f"no checkpoint under {self._folder} can be read as one of this experiment (step {step}: {why}); they "
                "are left as they are: resume with the version of jaxnets that wrote them, or choose another --out"
            )
        return None

    def _read(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        """((latest, best), progress) of a checkpoint, as NumPy arrays. Raises any exception where it is damaged."""
        args = [
            ocp.args.PyTreeRestore(item, restore_args=ocp.checkpoint_utils.construct_restore_args(item)) for item in like
        ]
        items = ocp.args.Composite(latest=args[0], best=args[1], progress=ocp.args.JsonRestore())
        with _patient_loops():
            restored = self._manager.restore(step, args=items)
        arrays, progress = (restored.latest, restored.best), dict(restored.progress)
        if jax.tree.map(np.shape, arrays) != jax.tree.map(np.shape, tuple(like)):
            raise ValueError("its arrays have other shapes")
        checksum = progress.pop("checksum", None)  # Those of jaxnets 0.2.0 have none.
        if checksum is not None and checksum != _checksum(arrays, progress):
            raise ValueError("its content is not what was saved")
        return arrays, progress

    def _put_aside(self, problems: list[tuple[int, str]]) -> None:
        for step, _ in problems:
            shutil.rmtree(self._folder / f"{_UNREADABLE}{step}", ignore_errors=True)
            (self._folder / str(step)).rename(self._folder / f"{_UNREADABLE}{step}")
        if problems:
            self._manager.reload()

    def clear_unreadable(self) -> None:
        """Removes what `restore` renamed: for a run that is complete."""
        for folder in self._folder.iterdir() if self._folder.exists() else ():
            if folder.name.startswith(_UNREADABLE):
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Releases Orbax's threads."""
        if self._manager is not None:
            self._manager.close()


def _manager(folder: Path) -> ocp.CheckpointManager:
    """Orbax's manager of a folder, in a process that does not wait for others to have one too."""
    path = str(folder.absolute())
    # Its files are named by URLs.
    if "\\" in path:
        raise UserError(f"checkpoints cannot be kept in {folder}: the path has a backslash; choose another --out")
    if path.encode("utf-8", "ignore").decode() != path:
        encoding = sys.getfilesystemencoding()
        advice = "choose another --out" if encoding == "utf-8" else "set PYTHONUTF8=1"
        raise UserError(f"checkpoints cannot be kept in {folder}: the path is not text in {encoding}; {advice}")
    folder.mkdir(parents=True, exist_ok=True)
    alone = ocp.options.MultiprocessingOptions(
        active_processes={0} if distributed.count() > 1 else None, barrier_sync_key_prefix="writer"
    )
    # Blocking saves: states here are small, and a save that has returned is on disk.
    options = ocp.CheckpointManagerOptions(
        max_to_keep=_KEEP,
        enable_async_checkpointing=False,
        cleanup_tmp_directories=True,
        create=False,
        multiprocessing_options=alone,
    )
    # One file for each array. With OCDBT, Orbax finds its files by a glob pattern that begins with the folder's path.
    arrays = lambda: ocp.PyTreeCheckpointHandler(use_ocdbt=False, multiprocessing_options=alone)
    handlers = {"latest": arrays(), "best": arrays(), "progress": ocp.JsonCheckpointHandler(multiprocessing_options=alone)}
    return ocp.CheckpointManager(folder.absolute(), options=options, item_handlers=handlers)


class _PatientLoop(asyncio.SelectorEventLoop):
    """Finishes its tasks before it closes."""

    def close(self) -> None:
        if not self.is_closed() and not self.is_running() and (tasks := asyncio.all_tasks(self)):
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        super().close()


@contextlib.contextmanager
def _patient_loops() -> Iterator[None]:
    """Event loops that are made inside are patient.

    Orbax closes its own as soon as one array cannot be read. The threads that read the others then find it closed, and each
    prints a traceback.
    """
    make = asyncio.new_event_loop
    asyncio.new_event_loop = _PatientLoop
    try:
        yield
    finally:
        asyncio.new_event_loop = make


def _checksum(arrays: Any, progress: dict[str, Any]) -> int:
    """CRC-32 of all leaves, with their places, types and shapes, and of the progress."""
    total = zlib.crc32(json.dumps(progress, sort_keys=True).encode())
    for path, leaf in jax.tree_util.tree_flatten_with_path(arrays)[0]:
        total = zlib.crc32(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(leaf).view(np.uint8).data, total)
    return total


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain_keys(tree: Any) -> Any:
    """Random keys as the integers they are made of."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _typed_keys(tree: Any, like: Any) -> Any:
    return jax.tree.map(lambda leaf, model: jax.random.wrap_key_data(leaf) if _is_key(model) else leaf, tree, like)

"""A run's folder: its configuration, the machine it ran on, what was measured.

config.json        the experiment, whole
environment.json   versions, devices, processor, commit
metrics.jsonl      one line an epoch; one line for each of the first steps
images.npz         images of the trained model, where its insides can be drawn
weights.safetensors, net.json   the trained net; see jaxnets.runs.weights
summary.json       final figures per seed with mean and standard deviation; written when the run is complete
checkpoints/       see jaxnets.training.checkpoint
"""

import dataclasses
import fcntl
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxnets.config import Experiment, differences, from_json, to_json
from jaxnets.errors import UserError
from jaxnets.tasks.task import ImageGrid

Json = dict[str, Any]


class RunFolder:
    """Reads and writes the files of one run. Every write is complete before the next begins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._locked: IO[str] | None = None

    def open(self, experiment: Experiment, environment: Json) -> None:
        """Starts a run here, or continues the one that is here if it is of the same experiment.

        Raises UserError for a run of another configuration, one that another process is working on, and a folder that
        cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock()
            if (self.path / "config.json").exists() and not self._untouched:
                self._check(experiment)
                if not self.finished:
                    resumed = self.read("environment.json")
                    resumed.setdefault("resumed", []).append(environment)
                    self._write("environment.json", resumed)
            else:
                self._write("environment.json", environment)
                self._write("config.json", to_json(experiment))
        except OSError as error:
            raise UserError(f"cannot write to {self.path}: {error.strerror}; choose another --out") from error

    @property
    def _untouched(self) -> bool:
        """Whether the run that was started here recorded nothing, so that another may replace it."""
        return not self.finished and not self.metrics() and not any((self.path / "checkpoints").glob("*"))

    def _lock(self) -> None:
        """Locks the folder for this process; the lock ends with the process, however it ends."""
        self._locked = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is running in {self.path}; wait for it, or choose another --out") from None

    def close(self) -> None:
        """Releases the folder for other processes."""
        if self._locked is not None:
            self._locked.close()

    def _check(self, experiment: Experiment) -> None:
        # Another number of seeds or rate is another run; mixing them would spoil both. Texts may change. Fields that did not
        # exist when the run began have their defaults.
        plain = lambda e: to_json(dataclasses.replace(e, summary="", source="", reported={}))
        different = differences(plain(experiment), plain(self.experiment()))
        if different:
            raise UserError(
                f"{self.path} holds a run of another configuration: {', '.join(different[:4])}"
                f"{', …' if len(different) > 4 else ''}; choose another --out or remove the folder"
            )

    def read(self, name: str) -> Json:
        """One of the JSON files. Raises UserError where it is missing or damaged."""
        try:
            return json.loads((self.path / name).read_text())
        except FileNotFoundError:
            raise UserError(f"{self.path} has no {name}; is it the folder of a finished run?") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path / name} cannot be read: {error}") from None

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return (self.path / "summary.json").exists()

    def experiment(self) -> Experiment:
        """The experiment this folder is a run of."""
        return from_json(Experiment, self.read("config.json"))

    def metrics(self) -> list[Json]:
        """All complete lines of metrics.jsonl."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        parsed = []
        for line in lines:
            try:
                parsed.append(json.loads(line))
            except ValueError:
                break  # A crash can leave a torn last line.
        return parsed

    def first_losses(self) -> list[float | None] | None:
        """The loss of the run's first step by seed; None where it is not recorded."""
        return next((line["loss"] for line in self.metrics() if line["step"] == 1 and "epoch" not in line), None)

    def append(self, lines: Sequence[Json]) -> None:
        """Adds lines to metrics.jsonl."""
        text = "".join(json.dumps(_finite(line)) + "\n" for line in lines)
        try:
            with (self.path / "metrics.jsonl").open("a") as file:
                file.write(text)
        except OSError as error:
            raise UserError(
                f"cannot write to {self.path}: {error.strerror}; "
                "run the same command again to resume from its last checkpoint"
            ) from error

    def forget_after(self, step: int) -> None:
        """Drops what was recorded after `step`, which a resumed run will record again."""
        kept = [line for line in self.metrics() if line["step"] <= step]
        path = self.path / "metrics.jsonl"
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        temporary.replace(path)

    def finish(self, summary: Json) -> None:
        """Writes summary.json, which marks the run complete."""
        try:
            self._write("summary.json", summary)
        except OSError as error:
            raise UserError(f"cannot write to {self.path}: {error.strerror}; run the same command again") from error

    def write_images(self, images: Mapping[str, ImageGrid]) -> None:
        """Writes images.npz, if there are any."""
        if not images:
            return
        arrays = {f"{caption}/{field}": value for caption, grid in images.items() for field, value in grid._asdict().items()}
        try:
            np.savez_compressed(self.path / "images.npz", **arrays)
        except OSError as error:
            raise UserError(f"cannot write to {self.path}: {error.strerror}; run the same command again") from error

    def images(self) -> dict[str, ImageGrid]:
        """What `write_images` wrote, by caption."""
        path = self.path / "images.npz"
        if not path.exists():
            return {}
        with np.load(path) as arrays:
            captions = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
            return {c: ImageGrid(*(arrays[f"{c}/{field}"] for field in ImageGrid._fields)) for c in captions}

    def _write(self, name: str, content: Json) -> None:
        temporary = self.path / f".{name}.tmp"
        temporary.write_text(json.dumps(_finite(content), indent=1) + "\n")
        temporary.replace(self.path / name)


def find_runs(folder: Path) -> list[RunFolder]:
    """All run folders at or below `folder`, by path."""
    return [RunFolder(path.parent) for path in sorted(folder.rglob("config.json"))]


def _finite(value: Any) -> Any:
    """JSON has no NaN or infinity: they become null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

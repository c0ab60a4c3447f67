"""A run's folder: its configuration, the machine it ran on, what was measured.

config.json        the experiment, whole
environment.json   versions, devices, processor, commit, settings, checksums of the data
metrics.jsonl      one line an epoch; one line for each of the first steps
images.npz         images of the trained model, where its insides can be drawn
weights.safetensors, net.json   the trained net; see jaxnets.runs.weights
summary.json       final figures per seed with mean and standard deviation; written when the run is complete
diverged           instead of a summary: no seed was left to train on
SHA256SUMS         checksums of all these, while nothing is trained: `sha256sum --check SHA256SUMS`
checkpoints/       see jaxnets.training.checkpoint
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from jaxnets.config import Experiment, differences, from_json, to_json, validate, without_description
from jaxnets.errors import UserError, first_line
from jaxnets.runs import files
from jaxnets.runs.lock import Lock, is_held
from jaxnets.runs.shape import ENVIRONMENT, EPOCH, STEP, SUMMARY, mismatch
from jaxnets.tasks.task import ImageGrid

Json = dict[str, Any]


class RunFolder:
    """Reads and writes the files of one run. Every write is complete before the next begins; reading changes nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recorded = 0
        """Lines in metrics.jsonl, while training."""
        self._lock: Lock | None = None

    def open(self, experiment: Experiment, environment: Json) -> None:
        """Starts a run here, or continues the one that is here if it is of the same experiment.

        Raises UserError for a run of another configuration, one that another process is working on, and a folder that
        cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.path / ".lock")
            if (self.path / "config.json").exists() and not self._untouched:
                self._check(experiment)
                if not self.ended:
                    (self.path / files.SUMS).unlink(missing_ok=True)
                    files.write_json(self.path / "environment.json", self._resumed(environment))
            else:
                files.write_json(self.path / "environment.json", environment)
                files.write_json(self.path / "config.json", to_json(experiment))
        except OSError as error:
            raise UserError(f"cannot write to {self.path}: {error.strerror}; choose another --out") from error

    def _resumed(self, environment: Json) -> Json:
        try:
            first = self.read("environment.json")
        except UserError:
            # A record that was lost does not stop the run. On what data it began, its checkpoints know.
            first = {"data": None}
        return {**environment, **first, "resumed": [*first.get("resumed", []), environment]}

    @property
    def _untouched(self) -> bool:
        """Whether the run that was started here recorded nothing, so that another may replace it."""
        metrics = self.path / "metrics.jsonl"
        recorded = metrics.exists() and metrics.stat().st_size > 0
        return not (self.ended or recorded) and not any((self.path / "checkpoints").glob("*"))

    @property
    def busy(self) -> bool:
        """Whether another process is working here."""
        return is_held(self.path / ".lock")

    def close(self) -> None:
        """Releases the folder for other processes."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _check(self, experiment: Experiment) -> None:
        # Another number of seeds or rate is another run; mixing them would spoil both. Texts may change. Fields that did not
        # exist when the run began have their defaults.
        plain = lambda e: to_json(without_description(e))
        different = differences(plain(experiment), plain(self.experiment()))
        if different:
            raise UserError(
                f"{self.path} holds a run of another configuration: {', '.join(different[:4])}"
                f"{', …' if len(different) > 4 else ''}; choose another --out"
            )

    def content(self, name: str) -> bytes:
        """One of the files. Raises UserError where it is missing, or is not what the run wrote."""
        return files.content(self.path, name)

    def read(self, name: str, shape: Any = dict) -> Json:
        """One of the JSON files. Raises UserError where it is missing, damaged, or of another shape."""
        return files.read_json(self.path, name, shape)

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return (self.path / "summary.json").exists()

    @property
    def diverged(self) -> bool:
        """Whether the run ended early since every seed's loss or weights were no longer finite."""
        return (self.path / "diverged").exists()

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train."""
        return self.finished or self.diverged

    def mark_diverged(self) -> None:
        """Marks the run as one that ended early, which need not be trained again."""
        with files.writing(self.path):
            (self.path / "diverged").touch()

    def damaged(self) -> list[str]:
        """Files of the trained net that are missing or not what the run wrote, which no page needs."""
        return [name for name in ("net.json", "weights.safetensors") if not files.is_whole(self.path, name)]

    def experiment(self) -> Experiment:
        """The experiment this folder is a run of."""
        config = self.read("config.json", {"type": str})
        try:
            return validate(from_json(Experiment, config))
        except (UserError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{self.path / 'config.json'} is not a run's: {first_line(error)}") from None

    def summary(self) -> Json:
        """What jaxnets.runs.summary made of a finished run."""
        return self.read("summary.json", SUMMARY)

    def environment(self) -> Json:
        """What the run was made with; what was not recorded is unknown."""
        unknown: Json = {"versions": {}, "devices": {}, "processor": "unknown", "commit": None, "settings": {}}
        if not (self.path / "environment.json").exists():
            return unknown
        return files.read_json(self.path, "environment.json", ENVIRONMENT, unknown)

    def metrics(self) -> list[Json]:
        """All lines of metrics.jsonl. A crash may have torn the last; raises UserError for any other that cannot be read."""
        lines, problem = self._lines()
        if problem:
            raise UserError(problem)
        return lines

    def _lines(self) -> tuple[list[Json], str]:
        """(the lines of metrics.jsonl up to the first that is damaged, what is wrong with that one)."""
        lines: list[Json] = []
        content = self.content("metrics.jsonl") if (self.path / "metrics.jsonl").exists() else b""
        layouts: dict[bool, Any] = {}
        *complete, _ = content.split(b"\n")  # After the last line's end is nothing, or a line that a crash tore.
        for number, line in enumerate(complete, 1):
            problem = ""
            try:
                value = json.loads(line)
                kind = isinstance(value, dict) and "epoch" in value
                problem = mismatch(value, EPOCH if kind else STEP)
                if not problem and _layout(value) != layouts.setdefault(kind, _layout(value)):
                    problem = "it has other metrics or seeds than the lines before"
            except (ValueError, RecursionError) as error:
                problem = first_line(error)
            if problem:
                return lines, f"{self.path / 'metrics.jsonl'}, line {number} cannot be read: {problem[:200]}"
            lines.append(value)
        return lines, ""

    def first_losses(self) -> list[float | None] | None:
        """The loss of the run's first step by seed; None where it is not recorded."""
        return next((line["loss"] for line in self.metrics() if line["step"] == 1 and "epoch" not in line), None)

    def append(self, lines: Sequence[Json]) -> None:
        """Adds lines to metrics.jsonl."""
        text = "".join(json.dumps(files.finite(line)) + "\n" for line in lines)
        with files.writing(self.path), (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(text)
        self.recorded += len(lines)

    def sync(self) -> None:
        """Flushes metrics.jsonl to disk, before a checkpoint relies on it."""
        with files.writing(self.path), (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            os.fsync(file.fileno())

    def forget_after(self, step: int, recorded: int | None = None) -> list[str]:
        """Drops what was recorded after `step`, which a resumed run will record again.

        Returns messages about what is lost: a line that cannot be read, with all after it, and what is missing of the
        `recorded` lines that a checkpoint counted.
        """
        lines, problem = self._lines()
        kept = [line for line in lines if line["step"] <= step]
        files.replace(self.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept).encode())
        self.recorded = len(kept)
        if recorded is not None and len(kept) < recorded:
            lost = f"{self.path / 'metrics.jsonl'} has {len(kept)} of the {recorded} lines recorded up to step {step}"
            return [*filter(None, [problem]), f"{lost}: curves will have a gap"]
        return [problem] if problem else []

    def finish(self, summary: Json) -> None:
        """Writes SHA256SUMS, then summary.json, which marks the run complete."""
        content = files.encode(summary)
        self.seal({"summary.json": hashlib.sha256(content).hexdigest()})
        with files.writing(self.path):
            files.replace(self.path / "summary.json", content)

    def seal(self, further: Mapping[str, str] = MappingProxyType({})) -> None:
        """Writes SHA256SUMS, which holds until training goes on; `further` are checksums by name."""
        names = ("config.json", "environment.json", "metrics.jsonl", "images.npz", "net.json", "weights.safetensors")
        with files.writing(self.path):
            sums = {name: files.checksum(self.path / name) for name in names if (self.path / name).exists()}
            lines = [f"{digest}  {name}\n" for name, digest in {**sums, **further}.items()]
            files.replace(self.path / files.SUMS, "".join(lines).encode())

    def write_images(self, images: Mapping[str, ImageGrid]) -> None:
        """Writes images.npz, if there are any."""
        if not images:
            return
        arrays = {f"{caption}/{field}": value for caption, grid in images.items() for field, value in grid._asdict().items()}
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        with files.writing(self.path):
            files.replace(self.path / "images.npz", content.getvalue())

    def images(self) -> dict[str, ImageGrid]:
        """What `write_images` wrote, by caption."""
        if not (self.path / "images.npz").exists():
            return {}
        content = self.content("images.npz")
        try:
            with np.load(io.BytesIO(content)) as arrays:
                captions = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
                grids = {c: ImageGrid(*(arrays[f"{c}/{field}"] for field in ImageGrid._fields)) for c in captions}
        except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.path / 'images.npz'} cannot be read: {first_line(error)}") from None
        if any(grid.images.ndim != 5 or grid.images.dtype.kind not in "fiu" for grid in grids.values()):
            raise UserError(f"{self.path / 'images.npz'} does not hold images of a run")
        return grids


def _layout(line: Json) -> Any:
    """The number of seeds of each metric of a line."""
    splits = [line["train"], line["validation"]] if "epoch" in line else [{"loss": line["loss"]}]
    return [{name: len(values) for name, values in split.items()} for split in splits]


def find_runs(folder: Path) -> list[RunFolder]:
    """All run folders at or below `folder`, by path."""
    found = []
    for path, folders, names in os.walk(folder):  # Unlike rglob it passes over what a run at work removes meanwhile.
        folders[:] = [name for name in folders if name != "checkpoints"]
        found += [Path(path)] * ("config.json" in names)
    return [RunFolder(path) for path in sorted(found)]

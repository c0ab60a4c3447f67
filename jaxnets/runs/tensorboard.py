"""Event files for TensorBoard."""

import os
import time
from pathlib import Path
from typing import Any

from jaxnets.errors import extra
from jaxnets.runs.statistics import mean_std


class TensorBoard:
    """Writes each epoch's metrics, averaged over seeds, as event files under RUN/tensorboard.

    An epoch is in its file before a checkpoint can count on it, which a writer with a queue and a thread would not promise:
    the next process hides what it records again, and no more.
    """

    def __init__(self, folder: Path) -> None:
        with extra("tensorboard"):
            from tensorboardX import event_file_writer, summary
            from tensorboardX.proto import event_pb2
        self._folder, self._event, self._scalar = folder / "tensorboard", event_pb2.Event, summary.scalar
        self._start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        # The file's name has the second of its start, and begins anew what is called so.
        self._new = lambda: event_file_writer.EventsWriter(str(self._folder / "events"), f".{os.getpid()}")
        self._writer: Any = None

    def write(self, line: dict[str, Any]) -> None:
        """One epoch's line of metrics.jsonl. The first hides what an earlier process wrote of this epoch and later ones."""
        epoch = line["epoch"]
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = self._new()
            self._writer.write_event(self._event(wall_time=time.time(), step=epoch, session_log=self._start))
        for split in ("train", "validation"):
            for name, values in line[split].items():
                scalar = self._scalar(f"{split}/{name}", mean_std(values)["mean"])
                self._writer.write_event(self._event(wall_time=time.time(), step=epoch, summary=scalar))
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._writer:
            self._writer.close()

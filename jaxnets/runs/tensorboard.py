"""Event files for TensorBoard."""

from pathlib import Path
from typing import Any

from jaxnets.errors import extra
from jaxnets.runs.statistics import mean_std


class TensorBoard:
    """Writes each epoch's metrics, averaged over seeds, as event files under RUN/tensorboard."""

    def __init__(self, folder: Path) -> None:
        with extra("tensorboard"):
            from tensorboardX import SummaryWriter
        self._start = lambda epoch: SummaryWriter(str(folder / "tensorboard"), purge_step=epoch)
        self._writer: Any = None

    def write(self, line: dict[str, Any]) -> None:
        """One epoch's line of metrics.jsonl. The first hides what an earlier process wrote of this epoch and later ones."""
        self._writer = self._writer or self._start(line["epoch"])
        for split in ("train", "validation"):
            for name, values in line[split].items():
                self._writer.add_scalar(f"{split}/{name}", mean_std(values)["mean"], line["epoch"])

    def close(self) -> None:
        """Writes what is still waiting."""
        if self._writer:
            self._writer.close()

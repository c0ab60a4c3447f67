"""Event files for TensorBoard."""

import contextlib
import time

import pytest

from jaxnets.runs.tensorboard import TensorBoard


def test_tensorboard_shows_no_epoch_twice(tmp_path):
    """An event of a new file hides what a process that was killed wrote of the epochs that are recorded again."""
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    from tensorboardX.event_file_writer import RecordWriter  # noqa: F401  # The format is TFRecord's.
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    for epochs in ((1, 2), (2, 3)):
        with contextlib.closing(TensorBoard(tmp_path)) as board:
            for epoch in epochs:
                board.write({"epoch": epoch, "train": {}, "validation": {"loss": [1.0]}})
        time.sleep(1)  # The files' names hold the second.
    starts = []
    for file in sorted((tmp_path / "tensorboard").iterdir()):
        content = file.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + size])
            starts += [event.step] if event.session_log.status == SessionLog.START else []
            content = content[16 + size :]
    assert starts == [1, 2]

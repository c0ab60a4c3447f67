"""Event files for TensorBoard."""

import time

import pytest

from jaxnets.runs.tensorboard import TensorBoard


def events(folder):
    """All events of the files of a folder, which are in TFRecord's format."""
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            yield Event.FromString(content[12 : 12 + size])
            content = content[16 + size :]


def test_tensorboard_shows_every_epoch_once(tmp_path):
    """Of a run that is killed in its third epoch: no process closes its file, and an event of the next one hides what it
    records again.
    """
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    from tensorboardX.proto.event_pb2 import SessionLog

    shown, boards = [], []
    for epochs in ((1, 2), (2, 3)):
        boards.append(TensorBoard(tmp_path))
        for epoch in epochs:
            boards[-1].write({"epoch": epoch, "train": {}, "validation": {"loss": [float(len(boards))]}})
        time.sleep(1)  # The files' names hold the second.
    for event in events(tmp_path / "tensorboard"):
        if event.session_log.status == SessionLog.START:
            shown = [(epoch, loss) for epoch, loss in shown if epoch < event.step]
        shown += [(event.step, value.simple_value) for value in event.summary.value]
    assert shown == [(1, 1.0), (2, 2.0), (3, 2.0)]
    for board in boards:
        board.close()

"""`record.tensorboard`: what else takes the rows of a run while it goes on."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hpcli.errors import UsageError

if TYPE_CHECKING:
    from hpcli.config import Config
    from hpcli.recording.disk import DiskRecorder
    from hpcli.recording.recorder import MethodRecorder

LOG = "tensorboard"
"""The folder of the log, in the run's."""


def has_log(command: str, config: Config) -> bool:
    """Whether a command writes a log: other commands than train take a config that asks for one, and write none.

    Raises:
        UsageError: tensorboard is not installed.
    """
    if command != "train" or not config.record.tensorboard:
        return False
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError("record.tensorboard: tensorboard is not installed: pip install 'hpcli[tensorboard]'")
    return True


@contextmanager
def live(recorder: DiskRecorder, *, logs: bool) -> Iterator[MethodRecorder]:
    """The recorder of a run, with a log beside it."""
    if not logs:
        yield recorder
        return
    from hpcli.recording.fan_out import FanOut
    from hpcli.recording.tensorboard import TensorBoard

    log = TensorBoard(recorder.path / LOG, goes_on=True)
    try:
        yield FanOut(recorder, log)
    finally:
        log.finish()

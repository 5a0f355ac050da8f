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


def check_live(command: str, config: Config) -> None:
    """Refuse what cannot be written, before anything is.

    Raises:
        UsageError: not a training, or tensorboard is not installed.
    """
    if not config.record.tensorboard:
        return
    if command != "train":
        raise UsageError(f"record.tensorboard: of train alone; {command} first, then hpcli export tensorboard RUN")
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError("record.tensorboard: tensorboard is not installed: pip install 'hpcli[tensorboard]'")


@contextmanager
def live(config: Config, recorder: DiskRecorder) -> Iterator[MethodRecorder]:
    """The recorder of a run, with everything beside it that the config asks for."""
    if not config.record.tensorboard:
        yield recorder
        return
    from hpcli.recording.fan_out import FanOut
    from hpcli.recording.tensorboard import TensorBoard

    log = TensorBoard(recorder.path / LOG, goes_on=True)
    try:
        yield FanOut(recorder, log)
    finally:
        log.finish()

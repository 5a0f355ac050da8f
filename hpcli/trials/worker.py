"""A process that runs trials for another one, each in its folder. It is given a descriptor to hear and to answer by.

What is sent to it: a `Setup`, then specs, one after the other, or `STOP`. What it sends: progress, words, and an
outcome for every spec. It stops as a run does, with a state to go on from: when it is told to, when a signal comes, and
when the other process is gone.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from hpcli import catalog
from hpcli.config import Config
from hpcli.errors import HpcliError, UsageError
from hpcli.files import is_locked
from hpcli.recording.child import ChildFolder
from hpcli.recording.progress import Progress
from hpcli.recording.status import LOCK
from hpcli.signals import StopSignals
from hpcli.trials.executor import Outcome
from hpcli.trials.serial import SerialExecutor
from hpcli.trials.spec import Spec
from hpcli.trials.trainers import Trainers

STOP = "stop"
REPORT_SECONDS = 0.2
BUSY_SECONDS = 60.0
"""A trial's folder may still be held by a worker whose driver was killed: so long it is waited for."""


@dataclass(frozen=True)
class Setup:
    """What a worker has to know before its first trial."""

    folder: Path  # where trials lie, each in one by its key
    config: Config
    device: str
    images: Mapping[str, str]  # part → what its images are, by their hash


class _Within:
    """The trials of a run folder that another process holds."""

    def __init__(self, folder: Path, signals: StopSignals) -> None:
        self.folder, self.signals = folder, signals

    def child(self, key: str, config: Config) -> ChildFolder:
        """The folder of a trial, once nobody holds it."""
        folder, until = self.folder / key, time.monotonic() + BUSY_SECONDS
        while is_locked(folder / LOCK) and time.monotonic() < until and not self.should_stop():
            time.sleep(0.1)
        return ChildFolder.of(folder, config, self.signals)

    def should_stop(self) -> bool:
        """Whether a signal asked the worker to stop."""
        return self.signals.received is not None


class _Worker:
    def __init__(self, link: Connection, setup: Setup) -> None:
        self.link, self.setup, self.signals = link, setup, StopSignals()
        self.waiting: SimpleQueue[Spec | None] = SimpleQueue()
        self.executor: SerialExecutor | None = None
        self._reported = 0.0

    def work(self) -> None:
        """Train what comes, until there is no more."""
        warnings.showwarning = lambda message, *_, **__: self._send(str(message))
        threading.Thread(target=self._listen, daemon=True).start()
        with self.signals:
            while (spec := self.waiting.get()) is not None:
                self._send(self._outcome(spec))

    def _outcome(self, spec: Spec) -> Outcome | HpcliError:
        """How a trial ended, or what ends the whole sweep."""
        catalog.allow_code(*spec.allowed_code)
        try:
            self.executor = self.executor or self._new_executor()
            (outcome,) = self.executor.run([spec], self._report)
        except HpcliError as error:
            return error
        return outcome

    def _new_executor(self) -> SerialExecutor:
        setup = self.setup
        trainers = Trainers(setup.config, device=setup.device)
        if trainers.splits.fingerprints != setup.images:
            raise UsageError("sweep.parallel: the images that were passed are not those of the config; leave it at 1")
        return SerialExecutor(_Within(setup.folder, self.signals), trainers)

    def _listen(self) -> None:
        try:
            with contextlib.suppress(EOFError, OSError):  # the other process is gone
                while (message := self.link.recv()) != STOP:
                    self.waiting.put(message)
        finally:
            self.signals.received = self.signals.received or signal.SIGTERM
            self.waiting.put(None)

    def _report(self, report: Progress) -> None:
        now = time.monotonic()
        if report.loss is not None and now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._send(Progress(report.done, report.total, report.loss))

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            self.link.send(message)


def work(descriptor: int) -> None:
    """Work until the other process has no more to do, or is gone."""
    link: Connection = Connection(descriptor)
    with contextlib.suppress(EOFError, KeyboardInterrupt):  # it is gone already; a second Ctrl-C
        _Worker(link, link.recv()).work()

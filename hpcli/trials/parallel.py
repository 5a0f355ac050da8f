"""The executor that runs trials side by side, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli import catalog
from hpcli.config import Config
from hpcli.errors import CheckpointError, HpcliError, HpcliWarning
from hpcli.recording.progress import OnProgress, Progress
from hpcli.recording.recorder import ParentRecorder
from hpcli.states import RunStatus
from hpcli.trials.crew import Crew
from hpcli.trials.executor import Executor, Outcome, at_once
from hpcli.trials.launcher import Launcher
from hpcli.trials.local_launcher import LocalLauncher
from hpcli.trials.ray_launcher import RayLauncher
from hpcli.trials.serial import SerialExecutor
from hpcli.trials.shared import SharedExecutor
from hpcli.trials.spec import Spec
from hpcli.trials.trainers import Trainers
from hpcli.trials.worker import STOP, Setup

if TYPE_CHECKING:
    import torch

LOOK_SECONDS = 0.1
"""Between two looks at whether somebody asked to stop."""
END_SECONDS = 10.0


@contextmanager
def executor_for(
    config: Config, recorder: ParentRecorder, trainers: Trainers, *, device: torch.device
) -> Iterator[Executor]:
    """What runs the trials of an experiment: here, or as `sweep.workers` and `sweep.parallel` say, in a run folder."""
    here, folder = SerialExecutor(recorder, trainers), recorder.children_folder
    many, workers = at_once(config, on_gpu=device.type == "cuda"), config.sweep.workers
    if many == 1 and workers is None:
        yield here
    elif folder is None:
        key = "parallel" if workers is None else "workers"
        warnings.warn(f"sweep.{key}: needs a run folder; one trial at a time", HpcliWarning, stacklevel=3)
        yield here
    elif workers is not None:
        launcher = _launcher(config, folder.parent, device, asked=trainers.device)
        with closing(Crew(folder.parent, workers, launcher)) as crew:
            yield SharedExecutor(recorder, here, folder, crew)
    else:
        setup = Setup(folder.resolve(), config, str(device), trainers.splits.fingerprints)
        beside = ParallelExecutor(recorder, here, setup, many)
        try:
            yield beside
        finally:
            beside.close()


def _launcher(config: Config, run: Path, device: torch.device, *, asked: str) -> Launcher:
    """What starts the workers of a sweep: here, or on Ray, whose nodes may have what this machine has not."""
    options = ["--allow-code"] if catalog.allowed_code else []
    workers, threads = config.sweep.workers, config.train.threads
    if config.sweep.launcher == "ray" and workers and threads:
        return RayLauncher(run, workers, options, threads=threads, device=asked)
    return LocalLauncher(run, [*options, "--device", str(device)])


@dataclass
class _Process:
    """A worker, and what it is doing."""

    link: Connection
    process: subprocess.Popen[bytes]
    spec: Spec | None = None
    report: Progress = field(default_factory=lambda: Progress(0, 0))


class ParallelExecutor:
    """Runs trials in workers. Those that are over are read here, and a lone one is trained here."""

    def __init__(self, recorder: ParentRecorder, here: SerialExecutor, setup: Setup, at_once: int) -> None:
        self.recorder, self.here, self.setup, self.at_once = recorder, here, setup, at_once
        self._workers: list[_Process] = []

    def run(self, specs: Sequence[Spec], on_progress: OnProgress) -> Iterator[Outcome]:
        """Bring trials to their end, yielding an outcome after each. A worker that dies is its trial's failure.

        Raises:
            StorageError: the run folder cannot be written.
            UsageError: the images are others than those of the config.
        """
        new = [spec for spec in specs if not self._is_over(spec)]
        new = new if len(new) > 1 else []
        yield from self.here.run([spec for spec in specs if spec not in new], on_progress)
        waiting = deque([] if self.recorder.should_stop() else new)
        while waiting or any(each.spec for each in self._workers):
            if self.recorder.should_stop():
                waiting.clear()
                self._tell_to_stop()
            self._give(waiting)
            busy = {each.link: each for each in self._workers if each.spec is not None}
            for link in wait(list(busy), LOOK_SECONDS):
                outcome = self._heard(busy[link], on_progress)  # type: ignore[index]
                if outcome is not None:
                    yield outcome

    def close(self) -> None:
        """End the workers; one that is training saves before."""
        self._tell_to_stop()
        for each in self._workers:
            try:
                each.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
            each.link.close()
        self._workers.clear()

    def _is_over(self, spec: Spec) -> bool:
        try:
            known = self.recorder.find_child(spec.key)
            return known is not None and known.status.is_over
        except CheckpointError:
            return False

    def _give(self, waiting: deque[Spec]) -> None:
        """Have as many trials running as may be."""
        self._workers = [each for each in self._workers if each.spec is not None or each.process.poll() is None]
        while waiting and len(self._workers) < min(self.at_once, len(waiting) + self._num_busy):
            self._workers.append(_started(self.setup))
        for each in self._workers:
            if waiting and each.spec is None:
                each.spec = waiting.popleft()
                _send(each, each.spec)

    @property
    def _num_busy(self) -> int:
        return sum(each.spec is not None for each in self._workers)

    def _heard(self, worker: _Process, on_progress: OnProgress) -> Outcome | None:
        """What a worker says; an outcome where its trial has ended."""
        try:
            message = worker.link.recv()
        except (EOFError, OSError):
            return self._lost(worker)
        if isinstance(message, Progress):
            worker.report = message
            reports = [each.report for each in self._workers]
            done, total = (sum(getattr(each, name) for each in reports) for name in ("done", "total"))
            on_progress(Progress(done, total, message.loss))
        elif isinstance(message, str):
            warnings.warn(message, HpcliWarning, stacklevel=3)
        elif isinstance(message, HpcliError):
            raise message
        else:
            worker.spec, worker.report = None, Progress(0, 0)
            return message  # type: ignore[no-any-return]
        return None

    def _lost(self, worker: _Process) -> Outcome:
        """A worker that is gone: by a signal, or for lack of memory."""
        self._workers.remove(worker)
        code, spec = worker.process.wait(), worker.spec
        worker.link.close()
        assert spec is not None
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        stopped = self.recorder.should_stop()
        status = RunStatus.INTERRUPTED if stopped else RunStatus.FAILED
        return Outcome(spec, status, reason=None if stopped else f"its process ended with {how}")

    def _tell_to_stop(self) -> None:
        for each in self._workers:
            _send(each, STOP)


def _started(setup: Setup) -> _Process:
    own, others = Pipe()
    code = f"import sys; sys.path[:] = {sys.path!r}; from hpcli.trials.worker import work; work({others.fileno()})"
    process = subprocess.Popen(
        [sys.executable, "-c", code], pass_fds=[others.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    others.close()
    worker = _Process(own, process)
    _send(worker, setup)
    return worker


def _send(worker: _Process, message: object) -> None:
    with suppress(OSError):  # it is gone, which is noticed where it is listened to
        worker.link.send(message)

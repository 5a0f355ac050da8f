"""What runs trials: any object that takes their descriptions and yields how they ended."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hpcli.config import Config
from hpcli.recording.progress import OnProgress
from hpcli.results.train import TrainResult
from hpcli.states import RunStatus
from hpcli.trials.spec import Spec


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    spec: Spec
    status: RunStatus
    result: TrainResult | None = None  # None: it failed
    seconds: float | None = None
    reused: bool = False  # it was over before
    reason: str | None = None  # why it failed

    @property
    def in_words(self) -> str:
        """How the trial ended, as a line."""
        what, result = f"{self.spec.name}, seed {self.spec.seed}: ", self.result
        if self.status != RunStatus.FINISHED or result is None:
            return what + self.status + (f" ({self.reason})" if self.reason else "")
        loss, accuracy = (score or 0.0 for score in result.judged[:2])
        return f"{what}valid loss {loss:.4f}  accuracy {accuracy:.1%}  {self.seconds or 0.0:.1f} s"


class Executor(Protocol):
    """Runs trials, somewhere, in any order."""

    at_once: int
    """How many run side by side."""

    def run(self, specs: Sequence[Spec], on_progress: OnProgress) -> Iterator[Outcome]:
        """Bring trials to their end, yielding an outcome after each; stop early where somebody asked to."""


def at_once(config: Config, *, on_gpu: bool) -> int:
    """How many trials run side by side: as the config says; auto: as many as the CPU has cores for their threads."""
    asked, threads = config.sweep.parallel, config.train.threads
    if config.sweep.workers is not None:
        return max(1, config.sweep.workers)
    if isinstance(asked, int):
        return asked
    return 1 if on_gpu or threads is None else max(1, len(os.sched_getaffinity(0)) // threads)

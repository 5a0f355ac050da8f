"""The executor that leaves trials to workers: it lays them out in the run folder, waits, and reads what came of them.

A worker is any process that runs `shared_worker.py`, wherever it sees the folder. What both of them know of a trial is
its folder: its lock, held by who trains it, and how its `status.json` says it stands.
"""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpcli.errors import CheckpointError, HpcliWarning, RunInUseError, UsageError
from hpcli.recording.child import ChildFolder
from hpcli.recording.csv_text import last_row
from hpcli.recording.failed_start import ENVIRONMENT, ERROR
from hpcli.recording.progress import OnProgress, Progress, silent
from hpcli.recording.recorder import Stop
from hpcli.recording.status import Standing, read_standing
from hpcli.results.train import Step
from hpcli.signals import StopSignals
from hpcli.states import RunStatus
from hpcli.trials.crew import Crew
from hpcli.trials.executor import Outcome
from hpcli.trials.serial import SerialExecutor
from hpcli.trials.spec import Spec

POLL_SECONDS = 0.2
"""Between two looks at the trials; nine times as long as one takes, where that is more."""
IDLE_SECONDS = 10.0
"""So long nobody trains before that is said."""


BEFORE = Step(-1, math.nan, math.nan, math.nan)
"""Of a trial that has taken no step yet."""


class SharedExecutor:
    """Has trials trained by workers: those of its crew, and any that join. Those that are over are read here."""

    def __init__(self, stop: Stop, here: SerialExecutor, folder: Path, crew: Crew) -> None:
        """Begin with nothing.

        Args:
            stop: who may ask to stop.
            here: reads trials that are over.
            folder: where trials lie, each in a folder by its key.
            crew: workers of its own.
        """
        self.stop, self.here, self.folder, self.crew = stop, here, folder, crew
        self.at_once = max(1, crew.count)
        self._busy_at = time.monotonic()
        self._has_warned = False

    def run(self, specs: Sequence[Spec], on_progress: OnProgress) -> Iterator[Outcome]:
        """Bring trials to their end, yielding an outcome after each, in the order in which they end.

        Raises:
            HpcliError: a worker of its own ended by an error.
            StorageError: the run folder cannot be written.
            UsageError: workers of its own are lost before they begin a trial.
        """
        waiting: list[Spec] = []
        for spec in specs:
            if self.stop.should_stop():
                return
            if self._publish(spec, again=True):  # and never later: it may have failed just now
                yield self._read(spec, reused=True)
            else:
                waiting.append(spec)
        self._busy_at = time.monotonic()
        while waiting and not self.stop.should_stop():
            started, busy = time.monotonic(), list[Step]()
            self.crew.keep(len(waiting))
            for spec in list(waiting):
                outcome = self._look(spec, busy)
                if outcome is not None:
                    waiting.remove(spec)
                    self.crew.lost = 0
                    yield outcome
            if busy:
                self._busy_at = time.monotonic()
                self.at_once = max(len(busy), self.crew.count)
                begun = [row for row in busy if row is not BEFORE]
                if begun:
                    on_progress(Progress(sum(row.step + 1 for row in begun), 0, begun[0].train_loss))
            elif waiting:
                self._idle(waiting)
            time.sleep(max(POLL_SECONDS, 9 * (time.monotonic() - started)) if waiting else 0)

    def _publish(self, spec: Spec, *, again: bool = False) -> bool:
        """Let a trial lie there to be taken, if nobody is at it; `again`: also if it has failed. Whether it is over."""
        try:
            return self._child(spec).publish(again=again).is_over
        except RunInUseError:
            return False

    def _child(self, spec: Spec) -> ChildFolder:
        return ChildFolder.of(self.folder / spec.key, spec.config, StopSignals())

    def _read(self, spec: Spec, *, reused: bool) -> Outcome:
        (outcome,) = self.here.run([spec], silent)
        return dataclasses.replace(outcome, reused=reused)

    def _look(self, spec: Spec, busy: list[Step]) -> Outcome | None:
        """How a trial has ended; None: not yet. Where somebody is at it, its newest step is added to `busy`."""
        path, standing = self.folder / spec.key, self._standing(spec)
        if standing is None or standing.status.is_over:
            over = self._publish(spec)  # one that is damaged begins anew
            return self._read(spec, reused=False) if over else None
        if standing.status == RunStatus.FAILED:
            return Outcome(spec, RunStatus.FAILED, reason=_reason(path))
        if standing.status == RunStatus.RUNNING:
            busy.append(last_row(path / f"{Step.table}.csv", Step) or BEFORE)
        lost = self.crew.is_losing and standing.status == RunStatus.CRASHED and (path / ENVIRONMENT).exists()
        return self._given_up(spec) if lost else None

    def _standing(self, spec: Spec) -> Standing | None:
        """How a trial stands; None: its folder is gone, or damaged."""
        try:
            return read_standing(self.folder / spec.key)
        except CheckpointError:
            return None

    def _given_up(self, spec: Spec) -> Outcome | None:
        """The failure of a trial that workers have been lost at; None: another one has just taken it."""
        reason = f"{self.crew.lost} workers were lost, the last one with {self.crew.how}"
        try:
            self._child(spec).give_up(reason)
        except RunInUseError:
            return None
        return Outcome(spec, RunStatus.FAILED, reason=reason)

    def _idle(self, waiting: Sequence[Spec]) -> None:
        """Nobody trains: say so, and lay the trials out anew, in case they are not what they should be."""
        idle = time.monotonic() - self._busy_at
        if idle < IDLE_SECONDS:
            return
        if self.crew.is_losing and self.crew.is_alone:
            raise UsageError(
                f"sweep.workers: {self.crew.lost} workers were lost before they began a trial, the last one with "
                f"{self.crew.how}; go on with --set sweep.workers=null to train here"
            )
        self._busy_at = time.monotonic()
        for spec in waiting:
            self._publish(spec)
        if not self.crew.count and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"nobody has trained for {idle:.0f} s, {len(waiting)} trials wait; start workers, here or wherever the "
                f"folder is seen: hpcli sweep --resume {self.folder.parent} --worker",
                HpcliWarning,
                stacklevel=3,
            )


def _reason(path: Path) -> str | None:
    """The last line of what a trial failed of."""
    try:
        lines = (path / ERROR).read_text(errors="replace").split("\n")
    except OSError:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), None)

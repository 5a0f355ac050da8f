"""A process that takes trials of a sweep which another one drives: free ones, by their locks, one after the other.

What there is to do stands in the sweep's tables, in order; a trial is there to be taken once its folder is. Nothing is
sent between the processes: see `shared.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hpcli.config import Config
from hpcli.config.code import check_code
from hpcli.config.varying import identity
from hpcli.errors import CheckpointError, RunInUseError
from hpcli.files import is_locked
from hpcli.recording.child import ChildFolder
from hpcli.recording.csv_text import read_rows
from hpcli.recording.folder import CHILDREN, Folder
from hpcli.recording.progress import OnProgress, Progress
from hpcli.recording.status import LOCK, Standing, read_standing
from hpcli.results.data import DataFacts
from hpcli.results.fresh import FreshTrial
from hpcli.results.retune import RetuneTrial
from hpcli.results.trials import SweepTrial
from hpcli.signals import StopSignals
from hpcli.states import RunStatus
from hpcli.trials.executor import Outcome
from hpcli.trials.serial import SerialExecutor
from hpcli.trials.spec import Spec
from hpcli.trials.trainers import Trainers

TABLES = (RetuneTrial, SweepTrial, FreshTrial)
POLL_SECONDS = 0.2
"""Between two looks for a trial; nine times as long as one takes, where that is more."""
LINGER_SECONDS = 10.0
"""So long a worker waits for more, where nobody drives the sweep: it may be gone on with."""
FREE = (RunStatus.CRASHED, RunStatus.INTERRUPTED)
"""How a trial stands that nobody is at, and that is to be trained. One that lies there untouched reads as crashed."""


class Taken(ChildFolder):
    """The folder of a trial that was free; see whether it still is once the lock is held."""

    def _look(self) -> None:
        standing = _standing(self.path)
        if standing is None or standing.status not in (RunStatus.CREATED, RunStatus.RUNNING, RunStatus.INTERRUPTED):
            raise RunInUseError(f"{self.path}: another worker has just brought it to its end")
        super()._look()


class _Within:
    """The trials of a run folder that another process drives."""

    def __init__(self, folder: Path, signals: StopSignals) -> None:
        self.folder, self.signals = folder, signals

    def child(self, key: str, config: Config) -> ChildFolder:
        """The folder of a trial, taken by this worker."""
        return Taken.of(self.folder / key, config, self.signals)

    def should_stop(self) -> bool:
        """Whether a signal asked the worker to stop."""
        return self.signals.received is not None


class SharedWorker:
    """Takes trials until the sweep is over, or it is asked to stop."""

    def __init__(
        self,
        run: Path,
        trainers: Trainers,
        signals: StopSignals,
        on_progress: OnProgress,
        *,
        data: DataFacts,
        allow_code: bool = False,
    ) -> None:
        """Begin with nothing.

        Args:
            run: the folder of the sweep.
            trainers: of the sweep's config.
            signals: who may ask to stop.
            on_progress: called after every step, and with a line after every trial.
            data: what this process has loaded.
            allow_code: whether code that a trial names may run.
        """
        self.run, self.signals, self.on_progress, self.data, self.allow_code = (
            Folder(run), signals, on_progress, data, allow_code,
        )  # fmt: skip
        self.within = _Within(run / CHILDREN, signals)
        self.executor = SerialExecutor(self.within, trainers)
        self.ended: Counter[RunStatus] = Counter()  # trials that this process brought to their end
        self._has_checked = False

    def work(self) -> None:
        """Take trials, one after the other.

        Raises:
            DataError: the images are not those of the sweep.
            StorageError: the run folder cannot be written.
        """
        idle_since: float | None = None
        while not self.within.should_stop():
            started = time.monotonic()
            if self._take():
                idle_since = None
                continue
            if is_locked(self.run.path / LOCK):  # it is driven, and more may come
                idle_since = None
            elif is_over(self.run.path):
                return
            else:
                idle_since = started if idle_since is None else idle_since
                if started - idle_since >= LINGER_SECONDS:
                    return
            time.sleep(max(POLL_SECONDS, 9 * (time.monotonic() - started)))

    def _take(self) -> bool:
        """Bring the first free trial to its end, if there is one, and nobody else is quicker."""
        for trial, standing in listed(self.run.path):
            spec = _spec(trial, standing) if standing is not None and standing.status in FREE else None
            if spec is None:
                continue
            self._check(spec.config)
            try:
                (outcome,) = self.executor.run([spec], self._report)
            except RunInUseError:
                continue
            self._say(outcome)
            return True
        return False

    def _check(self, config: Config) -> None:
        check_code(config, allowed=self.allow_code)
        if not self._has_checked:  # the driver has recorded its data before there is a trial
            self.data.check_unchanged(self.run)
            self._has_checked = True

    def _say(self, outcome: Outcome) -> None:
        if outcome.status != RunStatus.INTERRUPTED:
            self.ended[outcome.status] += 1
            self.on_progress(Progress(0, 0, line=outcome.in_words))

    def _report(self, report: Progress) -> None:
        if report.loss is not None:
            self.on_progress(Progress(report.done, report.total, report.loss))


def listed(run: Path) -> Iterator[tuple[SweepTrial, Standing | None]]:
    """The trials of a sweep that its tables have not as over, in order, and how each stands; None: not laid out."""
    for kind in TABLES:
        try:
            rows: list[SweepTrial] = [*read_rows(run / f"{kind.table}.csv", kind)]
        except CheckpointError:  # the driver will write it again
            continue
        for row in rows:
            if not row.has_ended:
                yield row, _standing(run / CHILDREN / row.trial)


def is_over(run: Path) -> bool:
    """Whether a sweep has ended, by itself, so that nothing is left to train."""
    standing = _standing(run)
    return standing is not None and (standing.status.is_over or standing.status == RunStatus.FAILED)


def _standing(path: Path) -> Standing | None:
    """How a run stands; None: it is not there, or damaged."""
    try:
        return read_standing(path)
    except CheckpointError:
        return None


def _spec(trial: SweepTrial, standing: Standing) -> Spec | None:
    """A trial, by what it was asked to be; None: it is another one, which the driver mends."""
    try:
        config = Config.model_validate(standing.config)
    except ValueError:
        return None
    return Spec(trial.trial, trial.value, trial.seed, config) if identity(config, trial.value) == trial.trial else None

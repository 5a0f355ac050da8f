"""The executor that runs trials here, one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

from hpcli.errors import HpcliError, HpcliWarning, RunInUseError, StorageError
from hpcli.recording.progress import OnProgress
from hpcli.recording.recorder import Parent
from hpcli.results.made_with import MadeWith
from hpcli.states import RunStatus
from hpcli.trials import run
from hpcli.trials.executor import Outcome
from hpcli.trials.made_with import made_with
from hpcli.trials.spec import Spec
from hpcli.trials.trainers import Trainers


class SerialExecutor:
    """Runs trials with one trainer, which is put back to its start in between."""

    at_once = 1

    def __init__(self, recorder: Parent, trainers: Trainers) -> None:
        self.recorder, self.trainers = recorder, trainers
        self._made: MadeWith | None = None  # what the first trial was computed with
        self._has_warned = False

    def run(self, specs: Sequence[Spec], on_progress: OnProgress) -> Iterator[Outcome]:
        """Bring trials to their end, yielding an outcome after each. A failed trial is an outcome too.

        Raises:
            StorageError: the run folder cannot be written. An OSError of a user's network is its trial's.
            RunInUseError: another process is at the trial.
        """
        for spec in specs:
            outcome = self._run(spec, on_progress)
            yield outcome
            if outcome.status == RunStatus.INTERRUPTED or self.recorder.should_stop():
                return

    def _run(self, spec: Spec, on_progress: OnProgress) -> Outcome:
        try:
            with self.recorder.child(spec.key, spec.config) as own:
                reused = own.status.is_over
                trainer = None if reused else self.trainers.trainer_for(spec.config)
                self._compare(own.rows(MadeWith) if trainer is None else [made_with(trainer.numerics)])
                result = run.run_trial(spec, own, trainer=trainer, on_progress=on_progress)
                return Outcome(spec, result.status, result, own.seconds, reused)
        except (StorageError, RunInUseError):
            raise
        except Exception as error:
            self.trainers.drop()
            reason = str(error) if isinstance(error, HpcliError) else repr(error)
            return Outcome(spec, RunStatus.FAILED, reason=reason)

    def _compare(self, made: Sequence[MadeWith]) -> None:
        """Warn, once, where trials that are compared were computed with different things."""
        for each in made:
            self._made = self._made or each
            if each.kind != self._made.kind and not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"some trials were made with {self._made}, others with {each}: a difference between them may be "
                    "the machine's; compare within one, in a new run folder",
                    HpcliWarning,
                    stacklevel=2,
                )

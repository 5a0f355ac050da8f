"""The trials of a sweep as a table, settings × seeds, with their outcomes and the sweep's progress."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from hpcli.config import Config
from hpcli.config.varying import JOINED, Setting
from hpcli.recording.progress import OnProgress, Progress
from hpcli.recording.recorder import ParentRecorder
from hpcli.results.data import DataFacts, check_batch_size
from hpcli.results.train import TrainResult
from hpcli.results.trials import SweepTrial
from hpcli.states import RunStatus
from hpcli.trials.executor import Executor, Outcome
from hpcli.trials.spec import Spec

T = TypeVar("T", bound=SweepTrial)


class TrialTable:
    """Plans trials, has an executor run those that are missing, and keeps their tables up to date.

    Trials that judge are in `sweep.csv`; those that serve something else have a table of their own.
    """

    def __init__(
        self,
        config: Config,
        data: DataFacts,
        recorder: ParentRecorder,
        executor: Executor,
        on_progress: OnProgress,
        *,
        keys: Sequence[str] | None = None,
        kind: type[SweepTrial] = SweepTrial,
    ) -> None:
        """Begin with what the recorder has.

        Args:
            config: of the experiment.
            data: what is trained on.
            recorder: of the experiment.
            executor: runs the trials.
            on_progress: told of every step, and a line after every trial.
            keys: what varies; None: what the sweep varies.
            kind: the table of the trials that judge.
        """
        self.config, self.data, self.recorder, self.executor = config, data, recorder, executor
        self.on_progress = on_progress
        self.parameter = JOINED.join(config.sweep.values if keys is None else keys)
        self.before = recorder.rows(kind)  # of an earlier process
        self.steps_to_come = 0  # of trials that will be planned
        self._planned: dict[type[SweepTrial], list[Spec]] = {}  # by table
        self._specs: dict[tuple[str, str, int], Spec] = {}  # a trial's key is worked out once
        self._outcomes: dict[str, Outcome] = {}
        self._steps_done = self._steps_planned = 0
        self._has_forecast = False

    def plan(
        self, settings: Sequence[Setting], seeds: Iterable[int], kind: type[SweepTrial] = SweepTrial
    ) -> list[Spec]:
        """The trials of these settings and seeds, all settings of a seed first: from now on the table of this kind.

        Raises:
            ConfigError: a batch that is larger than the training images are many.
        """
        return self.plan_pairs([(setting, seed) for seed in seeds for setting in settings], kind)

    def plan_pairs(self, pairs: Iterable[tuple[Setting, int]], kind: type[SweepTrial]) -> list[Spec]:
        """The trials of these settings, each with its seed: from now on the table of this kind.

        Raises:
            ConfigError: a batch that is larger than the training images are many.
        """
        self._has_forecast &= kind in self._planned  # other trials, another forecast
        planned = self._planned[kind] = [self._spec(setting, seed) for setting, seed in pairs]
        for own in (spec.config.data for spec in planned):
            check_batch_size(own.batch_size, self.data.train_images_of(own))
        self._steps_planned = self._steps_done + sum(map(self._steps, self._left())) + self.steps_to_come
        self._write(kind)
        return planned

    def run(self, specs: Sequence[Spec]) -> None:
        """Bring trials to their end. Trials that an earlier process finished come first: reading them is quick.

        One that has failed in this process would fail again; resuming the sweep gives it another chance.
        """
        over = {trial.trial for trial in self.before if trial.status.is_over}
        waiting = sorted((spec for spec in specs if not self._has_ended(spec)), key=lambda spec: spec.key not in over)
        if self.is_stopped:
            return
        if waiting and not self._outcomes and JOINED in self.parameter:
            self.say(f"a line a run: {self.parameter.replace(JOINED, ', ')}")
        for outcome in self.executor.run(waiting, self._report):
            self._outcomes[outcome.spec.key] = outcome
            self._steps_done += self._steps(outcome.spec)
            self._write(*(kind for kind, planned in self._planned.items() if outcome.spec in planned))
            if outcome.status != RunStatus.INTERRUPTED and outcome.spec.key not in over:
                self.say(outcome.in_words)
            self._say_forecast()

    def rows(self, kind: type[T]) -> list[T]:
        """The rows of a table so far."""
        planned = self._planned.get(kind, ())
        return [_row(kind, spec, self._outcomes.get(spec.key), self.parameter) for spec in planned]

    @property
    def results(self) -> dict[str, TrainResult]:
        """Trial → its training run, for every trial that has trained."""
        return {key: each.result for key, each in self._outcomes.items() if each.result is not None}

    @property
    def is_stopped(self) -> bool:
        """Whether somebody asked the sweep to stop."""
        interrupted = any(each.status == RunStatus.INTERRUPTED for each in self._outcomes.values())
        return interrupted or self.recorder.should_stop()

    def seconds(self, spec: Spec) -> float:
        """The seconds that a trial took; 0: it has not ended."""
        outcome = self._outcomes.get(spec.key)
        return (outcome and outcome.seconds) or 0.0

    def say(self, *lines: str) -> None:
        """Say something, beside the progress."""
        for line in lines:
            self.on_progress(Progress(self._steps_done, self._steps_planned, line=line))

    def _left(self) -> list[Spec]:
        """The planned trials that have not ended yet."""
        return [spec for planned in self._planned.values() for spec in planned if not self._has_ended(spec)]

    def _write(self, *kinds: type[SweepTrial]) -> None:
        for kind in kinds:
            self.recorder.replace(kind, self.rows(kind))

    def _say_forecast(self) -> None:
        """Once one has been trained, say how long the others will take, those of `steps_to_come` too."""
        left, outcomes = self._left(), list(self._outcomes.values())
        took = [(self._images(each.spec), each.seconds) for each in outcomes if each.seconds]
        has_trained = any(each.result is not None and not each.reused for each in outcomes)
        further = round(self.steps_to_come / max(self._steps(outcomes[-1].spec), 1))
        count = len(left) + further
        if has_trained and count and took and not self._has_forecast:
            images, seconds = map(sum, zip(*took, strict=True))
            waiting = sum(map(self._images, left)) + further * self._images(outcomes[-1].spec)
            takes = waiting * seconds / images / self.executor.at_once
            self.say(f"{count} more trial{'s' * (count > 1)}, about {takes:.0f} s")
            self._has_forecast = True

    def _report(self, report: Progress) -> None:
        if report.loss is not None:
            self.on_progress(Progress(self._steps_done + report.done, self._steps_planned, report.loss))

    def _spec(self, setting: Setting, seed: int) -> Spec:
        what = setting.name, repr(setting.also), seed
        if what not in self._specs:
            self._specs[what] = Spec.of(setting, seed)
        return self._specs[what]

    def _has_ended(self, spec: Spec) -> bool:
        outcome = self._outcomes.get(spec.key)
        return outcome is not None and (outcome.status.is_over or outcome.status == RunStatus.FAILED)

    def _steps(self, spec: Spec) -> int:
        return self.data.steps_per_epoch(spec.config.data) * spec.config.train.epochs

    def _images(self, spec: Spec) -> int:
        """How many images it trains on, one counted as often as it is seen: what its time goes with."""
        return self._steps(spec) * spec.config.data.batch_size


def _row(kind: type[T], spec: Spec, outcome: Outcome | None, parameter: str) -> T:
    result = outcome.result if outcome else None
    loss, accuracy, top5 = result.judged if result else (None, None, None)
    return kind(
        trial=spec.key,
        value=spec.name,
        seed=spec.seed,
        status=outcome.status if outcome else RunStatus.WAITING,
        valid_loss=loss,
        valid_accuracy=accuracy,
        valid_top5=top5,
        seconds=outcome.seconds if outcome else None,
        parameter=parameter,
        running_loss=result.valid_loss if result and result.reestimated else None,
        reused=bool(outcome and outcome.reused),
    )

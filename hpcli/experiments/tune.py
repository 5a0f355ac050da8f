"""The whole method as one command: range test, joint search, verdict on fresh seeds, training (docs/tune.md)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from pydantic import JsonValue

from hpcli.analysis.search import Array, following, lowest
from hpcli.config import Config, with_overrides
from hpcli.config.experiments import TuneConfig
from hpcli.config.space import pinned, setting_at
from hpcli.config.varying import JOINED, Setting, written
from hpcli.data.dataset import Splits, load_splits
from hpcli.errors import ConfigError
from hpcli.experiments.lr_find import lr_find
from hpcli.experiments.preflight import check_searched
from hpcli.experiments.train import train
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import OnProgress, Progress
from hpcli.recording.recorder import MethodRecorder
from hpcli.results.data import DataFacts
from hpcli.results.lr_find import LRFindResult
from hpcli.results.train import TrainResult
from hpcli.results.tune import TuneResult
from hpcli.results.tune_budget import affordable, bounded, divided, in_words, range_test_keys, ranges_lr, short_epochs
from hpcli.results.tune_trials import TuneFresh, TunePlan, TuneRange, TuneTrial
from hpcli.results.tune_words import best_yaml
from hpcli.results.tuning import RANGE_TEST, TRAINING
from hpcli.states import RunStatus
from hpcli.training.device import generators_kept
from hpcli.trials.serial import SerialExecutor
from hpcli.trials.table import TrialTable
from hpcli.trials.trainers import Trainers
from hpcli.views.progress import shown

UNTIL = ("range_test", "search", "verdict", "train")


@generators_kept()
def tune(
    config: Config,
    *,
    recorder: MethodRecorder | None = None,
    on_progress: OnProgress | None = None,
    device: str = "auto",
    splits: Splits | None = None,
) -> TuneResult:
    """Find learning rate, momentum and weight decay together, and train with them.

    Args:
        config: what to train; `config.tune` says what is searched, and with how many short runs.
        recorder: where everything goes; None: memory. What it has already is not trained again.
        on_progress: called after every step, and with a line after every run; None: nobody, in IPython a bar.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        splits: the images, if you have loaded them.

    Raises:
        ConfigError, UsageError: before anything trains: a key or a value that does not fit.
        DataError: the data cannot be read.
    """
    splits = splits or load_splits(config)
    run = _Tune(config, recorder or MemoryRecorder(config), shown(on_progress, "tune"), device, splits)
    steps: Mapping[str, Callable[[], None]] = {
        "range_test": run.range_test,
        "search": run.search,
        "verdict": run.confirm,
        "train": run.train,
    }
    for name in UNTIL[: UNTIL.index(config.tune.until) + 1]:
        steps[name]()
        if run.is_stopped:
            return run.result()
    if config.tune.until != "range_test":
        run.keep_best()  # with what the training, if there was one, has come to
    return run.result()


class _Tune:
    """A tuning while it runs. All that it decides comes from the tables: a run that goes on decides the same."""

    def __init__(
        self, config: Config, recorder: MethodRecorder, on_progress: OnProgress, device: str, splits: Splits
    ) -> None:
        self.config, self.recorder, self.on_progress, self.device, self.splits = (
            config, recorder, on_progress, device, splits,
        )  # fmt: skip
        self.base = pinned(config)
        self.data = DataFacts.of(splits)
        self.data.check_unchanged(recorder)
        self.data.record(recorder)
        self.ranged: LRFindResult | None = None
        self.trained: TrainResult | None = None
        self.trained_in = TRAINING
        self.is_stopped = False
        self.epochs = short_epochs(self.base, self.data)
        self.steps = self.data.steps_per_epoch(self.base.data) * self.epochs
        executor = SerialExecutor(recorder, Trainers(self.base, device=device, splits=splits))
        check_searched(self.base, self.result().space, splits)
        keys = self.result().keys
        self.table = TrialTable(config, self.data, recorder, executor, on_progress, keys=keys, kind=TuneTrial)

    def range_test(self) -> None:
        """Bound the learning rate: between a tenth of what the test suggests and where the loss breaks."""
        if not ranges_lr(self.config):
            return
        known, keys = self.recorder.find_step(RANGE_TEST), range_test_keys(self.config, self.steps)
        if known is None and keys is None:
            self.say("range test: left out, it would take more than an eighth of the steps")
            return
        own = with_overrides(self._plain(), keys or {}) if known is None else known.config  # more runs, the same test
        with self.recorder.step_of(RANGE_TEST, RANGE_TEST, own) as step:
            if not step.status.is_over:
                step.load()  # what an interrupted test has written goes
                found = lr_find(
                    own, recorder=step, on_progress=self.on_progress, device=self.device, splits=self.splits
                )
                step.finish(found.status, found.summary())
            self.ranged = found if not step.status.is_over else LRFindResult.from_run(step)
        self.is_stopped = self.ranged.status == RunStatus.INTERRUPTED
        if not self.is_stopped:
            bounds = bounded(self.ranged)
            self.recorder.replace(TuneRange, [] if bounds is None else [bounds])
            self.say(bounds.why if bounds else "range test: refused; max_lr is searched in the usual range")

    def search(self) -> None:
        """Run settings, each chosen from what those before it have shown."""
        result = self.result()
        names = [trial.value for trial in result.trials] or [result.present_name]
        found = [self._setting(result.values(name)) for name in names]
        self._run(found)
        while not self.is_stopped and ((plan := self._planned()) is None or len(found) < plan.search):
            another = self._another(found)
            if another is None:
                self.say("no other setting is left to run")
                return
            found.append(another)
            self._run(found)

    def confirm(self) -> None:
        """Compare the setting with the lowest fitted mean, run or not, and the present one on fresh seeds."""
        plan, result = self._planned(), self.result()
        best = self._best(result) if plan is not None and plan.pairs else None
        if plan is None or best is None or best.name == result.present_name:
            return
        before = [(self._setting(result.values(each.value)), each.seed) for each in result.earlier_fresh]
        asked, known = range(plan.first_fresh, plan.first_fresh + plan.pairs), {each.seed for each in result.own_fresh}
        both = (self._setting(result.present), best)
        fresh = [(each, seed) for seed in sorted(known.union(asked)) for each in both]
        self.table.steps_to_come = 0
        self.table.run(self.table.plan_pairs([*before, *fresh], TuneFresh))
        self.is_stopped = self.table.is_stopped

    def train(self) -> None:
        """Train with what was found, for as long as the config says."""
        self.keep_best()
        result = self.result()
        own = result.training_config
        if own is None:
            return
        self.trained_in = result.training_step(self.recorder)
        with self.recorder.step_of(self.trained_in, "train", own) as step:
            if not step.status.is_over:
                found = train(own, recorder=step, on_progress=self.on_progress, device=self.device, splits=self.splits)
                step.finish(found.status, found.summary())
            self.trained = found if not step.status.is_over else TrainResult.from_run(step)
        self.is_stopped = self.trained.status == RunStatus.INTERRUPTED

    def keep_best(self) -> None:
        """Keep the config with what was found, if anything was."""
        if (text := best_yaml(self.result())) is not None:
            self.recorder.keep_text("best.yaml", text)

    def result(self) -> TuneResult:
        """What there is so far."""
        trials = self.recorder.rows(TuneTrial)
        states = {trial.status for trial in trials}
        if self.is_stopped:
            status = RunStatus.INTERRUPTED
        elif states and states <= {RunStatus.DIVERGED, RunStatus.FAILED}:
            status = RunStatus.FAILED if states == {RunStatus.FAILED} else RunStatus.DIVERGED
        else:
            status = RunStatus.FINISHED
        return TuneResult.from_rows(
            self.config, status, self.recorder, range_test=self.ranged, trained=self.trained, trained_in=self.trained_in
        )

    def say(self, line: str) -> None:
        """Say something, beside the progress."""
        self.on_progress(Progress(0, 1, line=line))

    def _planned(self) -> TunePlan | None:
        """What the budget is divided into, decided once for each; None: it is not known yet how many runs fit."""
        plans, config = self.recorder.rows(TunePlan), self.config.tune
        asked: int | None = config.runs
        if config.minutes is not None:
            is_known = bool(plans) and plans[-1].minutes == config.minutes
            asked = plans[-1].runs if is_known else affordable(self.recorder.rows(TuneTrial), config.minutes)
        if asked is None:
            return None
        range_steps = 0 if self.ranged is None else sum(len(curve.lr) for curve in self.ranged.curves)
        plan = divided(asked, config.confirm, seed=self.config.seed, epochs=self.epochs, steps=self.steps,
                       range_steps=range_steps, minutes=config.minutes, before=plans,
                       searched=len(self.recorder.rows(TuneTrial)))  # fmt: skip
        if not plans or plans[-1] != plan:
            self.recorder.add(plan, durable=True)
            self.say(in_words(plan, trains=config.until == "train"))
        return plan

    def _run(self, found: Sequence[Setting]) -> None:
        """Run those of the search so far."""
        plan = self._planned()
        left = 0 if plan is None else max(plan.search - len(found), 0) + 2 * plan.pairs
        self.table.steps_to_come = left * self.steps
        self.table.run(self.table.plan(found, [self.config.seed], TuneTrial))
        self.is_stopped = self.table.is_stopped

    def _best(self, result: TuneResult) -> Setting | None:
        """The setting that the verdict compares: as it has begun, else the lowest; None: nothing has learnt."""
        name, surface = result.winner_name, result.searched.surface
        if name is None or surface is None:
            return None
        known = self._setting(result.values(name)) if result.own_fresh else None
        return known or next(self._settings(lowest(surface, self.config.seed)))

    def _another(self, found: Sequence[Setting]) -> Setting | None:
        """The setting to run next; None: no other is left."""
        surface = self.result().searched.surface
        assert surface is not None
        points = following(surface, len(found), self.config.seed)
        return next(self._settings(points, {each.name for each in found}), None)

    def _settings(self, points: Array, known: Collection[str] = ()) -> Iterator[Setting]:
        """The settings at points of the space, without the known ones and those whose values do not go together."""
        space = self.result().space
        for point in points:
            values = {each.key: each.value(float(part)) for each, part in zip(space, point, strict=True)}
            if JOINED.join(map(written, values.values())) not in known:
                with suppress(ConfigError):
                    yield self._setting(values)

    def _setting(self, values: Mapping[str, JsonValue]) -> Setting:
        return setting_at(self.base, self.epochs, values)

    def _plain(self) -> Config:
        """The config of a step: without the search."""
        return self.base.model_copy(update={"tune": TuneConfig()})

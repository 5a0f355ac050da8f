"""Values compared by short, complete runs of shared seeds (1803.09820, section 4), and which of them to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from hpcli.analysis.refine import refined
from hpcli.config import Config
from hpcli.config.points import num_points
from hpcli.config.spelling import read_among
from hpcli.config.varying import JOINED, Setting, with_settings, with_values
from hpcli.data.dataset import Splits, load_splits
from hpcli.experiments.seeds import affordable_seeds
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import OnProgress
from hpcli.recording.recorder import ParentRecorder
from hpcli.results import fresh, retune
from hpcli.results.budgets import budgets_of, in_lines
from hpcli.results.data import DataFacts
from hpcli.results.foresight import foresight
from hpcli.results.fresh import FreshTrial
from hpcli.results.looks import SweepLook, level_of, looks_at, looks_of_plan, next_look
from hpcli.results.points import settings_of
from hpcli.results.retune import RetuneTrial
from hpcli.results.same_runs import same_trainings
from hpcli.results.sweep import SweepResult
from hpcli.results.trials import SweepTrial
from hpcli.states import Judgement, RunStatus
from hpcli.training.device import choose_device, generators_kept
from hpcli.trials.parallel import executor_for
from hpcli.trials.table import TrialTable
from hpcli.trials.trainers import Trainers
from hpcli.views.progress import shown

LOOKS = 3
"""Times that a sweep until decided is judged at most."""
FIRST_SEEDS = 2
"""So many tell of the noise: after them it is said what the plan can find."""


@generators_kept()
def sweep(
    config: Config,
    vary: Mapping[str, Sequence[object]] | None = None,
    *,
    recorder: ParentRecorder | None = None,
    on_progress: OnProgress | None = None,
    device: str = "auto",
    splits: Splits | None = None,
) -> SweepResult:
    """Train every value with every seed, and say what can be told apart.

    Args:
        config: what to train; `config.sweep` says what is compared, how long, with how many seeds, and what matters.
        vary: a config key, or weight_decay or momentum, and its values; two keys: every pair of their values; more, or
            with `config.sweep.points`: points between them. None: what `config.sweep.values` says.
        recorder: where trials go; None: memory. Those that it has already are not trained again.
        on_progress: called after every step, and with a line after every trial; None: nobody, in IPython a bar.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        splits: the images, if you have loaded them.

    Raises:
        ConfigError, UsageError: before anything trains: a key or a value that does not fit, the same value twice.
        DataError: the data cannot be read.
    """
    config = config if vary is None else with_values(config, "sweep", vary)
    found = settings_of(config)
    splits, recorder = splits or load_splits(config), recorder or MemoryRecorder()
    data = DataFacts.of(splits, config.data.train_fraction)
    data.check_unchanged(recorder)
    trainers, where = Trainers(config, device=device, splits=splits), choose_device(device)
    with executor_for(config, recorder, trainers, device=where) as executor:
        data.record(recorder)  # not before: workers that cannot be had leave a folder that may be taken
        run = _Sweep(config, found, TrialTable(config, data, recorder, executor, shown(on_progress, "sweep")))
        same = same_trainings(tuple(config.sweep.values), found, splits.source, data, on_gpu=where.type == "cuda")
        run.table.say(*same)
        return run.through()


class _Sweep:
    """A sweep while it runs: its settings and seeds so far, and the verdicts on its trials."""

    def __init__(self, config: Config, found: list[Setting], table: TrialTable) -> None:
        self.config, self.settings, self.table = config, found, table
        self.seeds = 0
        self.most = config.sweep.max_seeds if config.sweep.until_decided else 0
        self.has_foreseen, self.said_of_retuning = False, ""
        self.looks = table.recorder.rows(SweepLook)
        self.plan = self.looks[-1].plan + 1 if self.looks else 1
        self.added: set[str] = set()  # names of the values that the last refinement added
        keys, epochs = tuple(config.sweep.values), config.sweep.epochs
        table.say(*in_lines(keys, budgets_of(keys, found, table.data), epochs))

    def through(self) -> SweepResult:
        """All trials that the config asks for, and what they come to."""
        if self.config.sweep.until_decided:
            self.until_decided(self.config.sweep.max_seeds)
            return self.look(of=LOOKS)
        self.train(self.settings, self.num_seeds())
        while self.config.sweep.refine and self.refine():
            pass
        if self.config.sweep.refine or num_points(self.config):
            self.keep_earlier()
        result = self.look()
        return self.confirm(result) if self.config.sweep.refine else result

    def num_seeds(self) -> int:
        """As many as the config says; `auto`: as were decided on before, or as the first trial's time allows."""
        asked = self.config.sweep.seeds
        if isinstance(asked, int):
            return self.with_earlier_seeds(asked)
        before = len({trial.seed for trial in self.table.before})
        if before > 1:
            return before
        self.settings = self.retuned(self.settings)
        first = self.table.plan(self.settings, [self.config.seed])[0]
        self.table.run([first])
        return affordable_seeds(self.table.seconds(first), len(self.settings))

    def with_earlier_seeds(self, asked: int) -> int:
        """As many seeds as are asked for, and those beyond that an earlier process has trained all settings with."""
        over = {(trial.value, trial.seed) for trial in self.table.before if trial.status.is_over}
        while all((setting.name, self.config.seed + asked) in over for setting in self.settings):
            asked += 1
        return asked

    def keep_earlier(self) -> None:
        """Settings that an earlier process has trained stay: other seeds refine others, fewer points may be asked."""
        known, values = {setting.name for setting in self.settings}, self.config.sweep.values
        over = dict.fromkeys(trial.value for trial in self.table.before if trial.status.is_over)
        texts = [zip(values, name.split(JOINED), strict=True) for name in over if name not in known]
        if texts and not self.table.is_stopped:
            more = [tuple(read_among(key, text, values[key]) for key, text in each) for each in texts]
            combined = [*(setting.values for setting in self.settings), *more]
            if self.config.sweep.refine:
                combined.sort(key=lambda each: cast(float, each[0]))
            self.train(with_settings(self.config, combined), self.seeds)

    def train(self, found: list[Setting], num_seeds: int) -> None:
        """Train the missing trials of these settings with `num_seeds` seeds, each setting retuned before."""
        self.seeds = max(self.seeds, num_seeds)
        self.settings = self.retuned(found)
        specs = self.table.plan(self.settings, range(self.config.seed, self.config.seed + self.seeds))
        self.table.run(specs[: FIRST_SEEDS * len(found)])
        self.say_foresight()
        self.table.run(specs)

    def retuned(self, found: list[Setting]) -> list[Setting]:
        """The settings, each with what goes best with it, where the config retunes."""
        if not self.config.sweep.retune:
            return found
        tried = [each for setting in found for each in retune.candidates(self.config, setting)]
        self.table.run(self.table.plan(tried, retune.seeds(self.config), RetuneTrial))
        best = retune.retuned(self.config, found, self.table.rows(RetuneTrial))
        words = retune.in_words(self.config, best)
        if not self.table.is_stopped and words != self.said_of_retuning:
            self.table.say(words)
            self.said_of_retuning = words
        return [each.setting for each in best]

    def say_foresight(self) -> None:
        """Once, after the first seeds: what the plan can tell apart."""
        planned = max(self.seeds, self.most)
        if self.has_foreseen or planned <= FIRST_SEEDS or self.table.is_stopped:
            return
        found, level = self.result().verdict, level_of(self.plan) / (LOOKS if self.most else 1)
        words = foresight(found, num_seeds=planned, level=level) if found else None
        if words:
            self.table.say(words)
        self.has_foreseen = True

    def confirm(self, result: SweepResult) -> SweepResult:
        """Train the chosen value with fresh seeds: it was chosen for being low, among many."""
        if result.choice is None or self.table.is_stopped:
            return result
        first = self.config.seed + fresh.FIRST_SEED
        chosen = [self.settings[result.choice.index]]
        self.table.run(self.table.plan(chosen, range(first, first + self.seeds), FreshTrial))
        return self.result()

    def until_decided(self, most: int) -> None:
        """Add seeds at three looks, each at a third of the level; what was looked at in the same plan before counts."""
        asked, own = self.config.sweep.seeds, looks_of_plan(self.looks, values=len(self.settings), of=LOOKS)
        first = min(asked if isinstance(asked, int) else own[0] if own else self.num_seeds(), most)
        there, planned = self.with_earlier_seeds(0), looks_at(first, most, of=LOOKS)
        if own and own == planned[: len(own)]:
            self.plan -= 1
        else:
            planned = looks_at(max(first, min(there, most)), most, of=LOOKS)
        for seeds in planned[max(sum(each <= there for each in planned) - 1, 0) :]:
            self.train(self.settings, seeds)
            found = self.look(of=LOOKS).verdict
            undecided = found and any(each.verdict == Judgement.UNDECIDED for each in found.comparisons)
            if self.table.is_stopped or not undecided:
                return

    def refine(self) -> bool:
        """Train values between the possible best ones and their neighbours. False: none is left, or none would gain."""
        found = self.result().verdict
        if found is None or self.table.is_stopped:
            return False
        candidates = {each.value for each in found.comparisons if each.candidate}
        values = [value for setting in self.settings if isinstance(value := setting.values[0], int | float)]
        new = [] if self.added and self.added <= candidates else refined(values, found)
        if new:
            more = with_settings(self.config, [(value,) for value in sorted([*values, *new])])
            added = [setting.name for setting in more if setting.values[0] in new]
            self.added = set(added)
            self.table.say(f"refined: {', '.join(added)}")
            self.train(more, self.seeds)
        return bool(new)

    def look(self, of: int = 1) -> SweepResult:
        """What the trials so far come to, judged at a level of its own where they are more than at the last look.

        Args:
            of: looks that this sweep has at most.
        """
        result = self.result()
        seeds = int(result.complete.sum())
        look = next_look(self.looks, plan=self.plan, values=result.num_compared, seeds=seeds, of=of)
        if result.status == RunStatus.INTERRUPTED or not seeds or look is None:
            return result
        self.looks.append(look)
        self.table.recorder.add(look, durable=True)
        return self.result()

    def result(self) -> SweepResult:
        """What the trials so far come to, at the level of the last look."""
        trials = tuple(self.table.rows(SweepTrial))
        states = {trial.status for trial in trials}
        if self.table.is_stopped:
            status = RunStatus.INTERRUPTED
        elif RunStatus.FINISHED in states:
            status = RunStatus.FINISHED
        else:
            status = RunStatus.FAILED if states == {RunStatus.FAILED} else RunStatus.DIVERGED
        return SweepResult(
            status,
            self.config,
            self.table.data,
            tuple(self.settings),
            trials,
            self.table.results,
            tuple(self.looks),
            tuple(self.table.rows(RetuneTrial)),
            tuple(self.table.rows(FreshTrial)),
        )

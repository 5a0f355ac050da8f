"""The result of a sweep: its trials, the verdict on its values, and the value to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.choice import Choice, choose
from hpcli.analysis.decay import Budget
from hpcli.analysis.verdict import Verdict, verdict
from hpcli.config import Config
from hpcli.config.keys import scope_of
from hpcli.config.points import num_points
from hpcli.config.scope import Scope
from hpcli.config.space import MOMENTUM, Dimension, Scale
from hpcli.config.varying import JOINED, Setting, own_values, positions, value_of, with_settings
from hpcli.recording.recorder import Record
from hpcli.results import Summary, after_sweep, retune
from hpcli.results.budgets import budgets_of, flagged
from hpcli.results.data import DataFacts
from hpcli.results.following import Following
from hpcli.results.fresh import Fresh, FreshTrial
from hpcli.results.html import InNotebook
from hpcli.results.key_words import lines
from hpcli.results.looks import SweepLook, level_of
from hpcli.results.points import fitted, settings_of
from hpcli.results.ranking import Runs, numbers, ranking
from hpcli.results.retune import RetuneTrial
from hpcli.results.searched import Fitted
from hpcli.results.sweep_words import sentence
from hpcli.results.train import TrainResult
from hpcli.results.trials import SweepTrial
from hpcli.states import RunStatus

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SweepResult(InNotebook, frame="trials"):
    """A sweep in plain numbers: k settings, S seeds, E epochs. Losses in nats."""

    status: RunStatus  # finished, interrupted, diverged (no setting has a finite loss) or failed (no trial ran)
    config: Config
    data: DataFacts
    settings: tuple[Setting, ...]
    trials: tuple[SweepTrial, ...]  # sweep.csv
    runs: Runs  # those that have begun
    looks: tuple[SweepLook, ...] = ()  # sweep_looks.csv: at which levels the trials have been judged
    tuning: tuple[RetuneTrial, ...] = ()  # sweep_retune.csv: trials that chose what goes with each value
    fresh_trials: tuple[FreshTrial, ...] = ()  # sweep_fresh.csv: the chosen value again, after a refinement

    @classmethod
    def from_run(cls, run: Record) -> SweepResult:
        """From a run folder, or whatever else can be read like one."""
        config, trials = run.config, run.rows(SweepTrial)
        children = {trial.trial: child for trial in trials if (child := run.find_child(trial.trial)) is not None}
        values = {setting.name: setting.values for setting in settings_of(config)}
        for trial in trials:  # values that a refinement added are in their runs' configs
            if trial.value not in values and trial.trial in children:
                own = children[trial.trial].config
                values[trial.value] = tuple(value_of(own, key) for key in config.sweep.values)
        names = [name for name in dict.fromkeys(trial.value for trial in trials) if name in values]
        tuning, base = run.rows(RetuneTrial), with_settings(config, [values[name] for name in names])
        begun = [trial.trial for trial in trials if trial.has_begun and trial.trial in children]
        return cls(
            status=run.status,
            config=config,
            data=DataFacts.from_rows(run, config.data.train_fraction),
            settings=tuple(each.setting for each in retune.retuned(config, base, tuning)) if tuning else tuple(base),
            trials=tuple(trial for trial in trials if trial.value in values),
            runs={key: TrainResult.from_run(children[key]) for key in begun},
            looks=tuple(run.rows(SweepLook)),
            tuning=tuple(tuning),
            fresh_trials=tuple(run.rows(FreshTrial)),
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """What is swept."""
        return tuple(self.config.sweep.values)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """S seeds, the same for every setting."""
        return tuple(dict.fromkeys(trial.seed for trial in self.trials))

    @cached_property
    def grid(self) -> list[list[SweepTrial]]:
        """The trials `[k][S]`: a list a setting, a trial a seed."""
        by_place = {(trial.value, trial.seed): trial for trial in self.trials}
        return [[by_place[setting.name, seed] for seed in self.seeds] for setting in self.settings]

    @cached_property
    def losses(self) -> Array:
        """[k, S] final validation losses; NaN where a run diverged, failed or is missing."""
        return np.array([[trial.loss for trial in row] for row in self.grid])

    @cached_property
    def curves(self) -> Array:
        """[k, S, E] validation losses by epoch; NaN after a run's end."""
        losses = {key: result.epochs["valid_loss"] for key, result in self.runs.items()}
        length = max((len(each) for each in losses.values()), default=0)
        curves = np.full((*self.losses.shape, length), np.nan)
        for index, row in enumerate(self.grid):
            for place, trial in enumerate(row):
                own = losses.get(trial.trial, ())
                curves[index, place, : len(own)] = own
        return curves

    @cached_property
    def seconds(self) -> Array:
        """[k, S] of each run."""
        return _numbers([[trial.seconds for trial in row] for row in self.grid])

    @cached_property
    def scale(self) -> tuple[tuple[float, ...] | None, bool]:
        """[k] each value on its own scale, and whether that is logarithmic; None: no order, or several keys."""
        if len(self.keys) > 1:
            return None, False
        places, logarithmic = positions(self.keys[0], [setting.values[0] for setting in self.settings])
        return tuple(places) if places else None, logarithmic

    @property
    def costs_differ(self) -> bool:
        """Whether the values make runs longer or shorter."""
        return any(scope_of(key) & Scope.COST for key in self.keys)

    @property
    def level(self) -> float:
        """The chance of a false *worse* that the last look has."""
        return self.looks[-1].level if self.looks else level_of(1)

    @cached_property
    def complete(self) -> NDArray[np.bool_]:
        """[S] seeds whose trials are all over, or have failed."""
        return np.asarray(np.array([[trial.has_ended for trial in row] for row in self.grid]).all(0))

    @property
    def num_compared(self) -> int:
        """Values of which no trial has failed."""
        return sum(all(trial.status != RunStatus.FAILED for trial in row) for row in self.grid)

    @cached_property
    def verdict(self) -> Verdict | None:
        """The verdict over the seeds that all values have been trained with; None: there is no such seed."""
        if not self.trials or not self.complete.any():
            return None
        diverged = np.array([[trial.status == RunStatus.DIVERGED for trial in row] for row in self.grid])
        return verdict(
            np.where(diverged, np.inf, self.losses)[:, self.complete],
            [setting.name for setting in self.settings],
            matters=self.config.sweep.matters,
            chance=self.data.chance_loss(),
            level=self.level,
        )

    @cached_property
    def choice(self) -> Choice | None:
        """Which value to use; None: none is left, or nothing is judged yet."""
        if self.verdict is None:
            return None
        here = own_values(self.config, self.keys)
        present = next((index for index, setting in enumerate(self.settings) if setting.values == here), None)
        seconds = self.seconds.mean(1).tolist() if self.costs_differ else None
        edges = None if num_points(self.config) else self.scale[0]  # points do not lie at the ends of their ranges
        found = choose(self.verdict, positions=edges, present=present, seconds=seconds)
        return replace(found, extend=False) if found and found.extend and self._is_limit(found.index) else found

    def _is_limit(self, index: int) -> bool:
        """Whether the key takes no value beyond this one, which is the least or the greatest."""
        numbers = [value for setting in self.settings if isinstance(value := setting.values[0], int | float)]
        if len(numbers) < len(self.settings):
            return False
        key, low, high = self.keys[0], min(numbers), max(numbers)
        scale = Scale.MEMORY if key == MOMENTUM else Scale.LOG if low > 0 else Scale.LINEAR
        swept = Dimension(key, scale, low, high, whole=all(isinstance(value, int) for value in numbers))
        return swept.is_limit("lower" if numbers[index] == low else "upper")

    @property
    def chosen(self) -> dict[str, object]:
        """Key → the value to use, and what goes with it; empty: none is left, or nothing is judged yet."""
        if self.choice is None:
            return {}
        setting = self.settings[self.choice.index]
        return {**dict(zip(self.keys, setting.values, strict=True)), **setting.also}

    @cached_property
    def fitted(self) -> Fitted | None:
        """The surface through the trials of a sweep by points; None: it is a grid."""
        chosen = None if self.choice is None else self.settings[self.choice.index]
        return fitted(self.config, self.trials, chosen, self.data.chance_loss())

    @property
    def following(self) -> Following | None:
        """The command to go on with."""
        return after_sweep.following(self)

    @property
    def margin(self) -> float | None:
        """The difference that matters, in nats."""
        return self.verdict.margin if self.verdict else None

    @property
    def fresh(self) -> Fresh | None:
        """The chosen value's loss on fresh seeds; None: it has not been trained with any."""
        return Fresh.of(self.settings[self.choice.index].name, self.fresh_trials) if self.choice else None

    @cached_property
    def budgets(self) -> dict[str, Budget]:
        """Name of a setting → what its weight decay can do, where that is what is swept."""
        return budgets_of(self.keys, self.settings, self.data)

    @property
    def num_failed(self) -> int:
        """Trials that failed, those on fresh seeds and those that chose what goes with a value among them."""
        every = (*self.trials, *self.tuning, *self.fresh_trials)
        return sum(trial.status == RunStatus.FAILED for trial in every)

    def summary(self) -> Summary:
        """The result in plain values."""
        found, choice, num_seeds = self.verdict, self.choice, len(self.seeds)
        every = (*self.trials, *self.tuning, *self.fresh_trials)
        begun = [trial for trial in every if trial.has_begun]
        reused = sum(trial.reused for trial in begun)
        counts = {"trained": len(begun) - reused, "reused": reused, "failed": self.num_failed}
        summary: Summary = {"parameter": JOINED.join(self.keys), **counts, "seeds": num_seeds}
        if found is None:
            return summary
        best = next((each for each in self.settings if each.name == found.best), None)
        return summary | {
            "sentence": sentence(self, found),
            "best": best and best.plain,
            "choice": self.settings[choice.index].plain if choice else None,
            "choice_also": dict(self.settings[choice.index].also) if choice else {},
            "choice_reason": choice.words if choice else None,
            "extend": bool(choice and choice.extend),
            "ranking": ranking(found, self.settings, self.grid, self.runs, self.budgets),
            **numbers(found, self.level),
            **({"keys": lines(self.fitted)} if self.fitted is not None and self.fitted.profiles else {}),
            "decay_pairs": [asdict(pair) for pair in flagged(self.keys, self.budgets, self.config.sweep.epochs)],
        }


def _numbers(table: Sequence[Sequence[float | None]]) -> Array:
    return np.array([[np.nan if value is None else value for value in row] for row in table], np.float64)

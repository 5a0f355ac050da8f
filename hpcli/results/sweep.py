"""The result of a sweep: its trials, the verdict on its values, and the value to use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.choice import Choice, choose, in_words
from hpcli.analysis.decay import Budget
from hpcli.analysis.verdict import Comparison, Verdict, verdict
from hpcli.config import Config
from hpcli.config.keys import scope_of
from hpcli.config.scope import Scope
from hpcli.config.varying import JOINED, Setting, positions, settings, value_of, with_settings
from hpcli.recording.recorder import Record
from hpcli.results import Summary
from hpcli.results.budgets import budgets_of, flagged
from hpcli.results.data import DataFacts
from hpcli.results.looks import SweepLook, level_of
from hpcli.results.train import TrainResult, mean_growth
from hpcli.results.trials import SweepTrial, said_of_short
from hpcli.states import RunStatus

Array = NDArray[np.float64]
Runs = Mapping[str, TrainResult]
"""Trial → its training run."""


@dataclass(frozen=True)
class SweepResult:
    """A sweep in plain numbers: k settings, S seeds, E epochs. Losses in nats."""

    status: RunStatus  # finished, interrupted, diverged (no setting has a finite loss) or failed (no trial ran)
    config: Config
    data: DataFacts
    settings: tuple[Setting, ...]
    trials: tuple[SweepTrial, ...]  # sweep.csv
    runs: Runs  # those that have begun
    looks: tuple[SweepLook, ...] = ()  # sweep_looks.csv: at which levels the trials have been judged

    @classmethod
    def from_run(cls, run: Record) -> SweepResult:
        """From a run folder, or whatever else can be read like one."""
        config, trials = run.config, run.rows(SweepTrial)
        children = {trial.trial: child for trial in trials if (child := run.find_child(trial.trial)) is not None}
        values = {setting.name: setting.values for setting in settings(config)}
        for trial in trials:  # values that a refinement added are in their runs' configs
            if trial.value not in values and trial.trial in children:
                own = children[trial.trial].config
                values[trial.value] = tuple(value_of(own, key) for key in config.sweep.values)
        names = [name for name in dict.fromkeys(trial.value for trial in trials) if name in values]
        begun = [trial.trial for trial in trials if trial.has_begun and trial.trial in children]
        return cls(
            status=run.status,
            config=config,
            data=DataFacts.from_rows(run),
            settings=tuple(with_settings(config, [values[name] for name in names])),
            trials=tuple(trial for trial in trials if trial.value in values),
            runs={key: TrainResult.from_run(children[key]) for key in begun},
            looks=tuple(run.rows(SweepLook)),
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
        """[k][S] trials."""
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
        """[k] each value on its own scale, and whether that is logarithmic; None: no order, or two keys."""
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
        here = tuple(value_of(self.config, key) for key in self.keys)
        present = next((index for index, setting in enumerate(self.settings) if setting.values == here), None)
        seconds = self.seconds.mean(1).tolist() if self.costs_differ else None
        places, matters = self.scale[0], self.config.sweep.matters
        return choose(self.verdict, positions=places, present=present, seconds=seconds, matters=matters)

    @property
    def margin(self) -> float | None:
        """The difference that matters, in nats."""
        lowest = self.verdict.best_mean if self.verdict else None
        return None if lowest is None else self.config.sweep.matters * lowest

    @cached_property
    def budgets(self) -> dict[str, Budget]:
        """Name of a setting → what its weight decay can do, where that is what is swept."""
        return budgets_of(self.keys, self.settings, self.data)

    @property
    def num_failed(self) -> int:
        """Trials that failed."""
        return sum(trial.status == RunStatus.FAILED for trial in self.trials)

    def summary(self) -> Summary:
        """The result in plain values."""
        found, choice, num_seeds = self.verdict, self.choice, len(self.seeds)
        begun = [trial for trial in self.trials if trial.has_begun]
        reused = sum(trial.reused for trial in begun)
        counts = {"trained": len(begun) - reused, "reused": reused, "failed": self.num_failed}
        summary: Summary = {"parameter": JOINED.join(self.keys), **counts, "seeds": num_seeds}
        if found is None:
            return summary
        needed = found.seeds_for_matters
        length, matters = self.config.sweep.epochs, self.margin or 0.0
        best = next((each for each in self.settings if each.name == found.best), None)
        return summary | {
            "sentence": in_words(
                found,
                choice,
                horizon=f"For {length}-epoch cycles",
                num_seeds=int(self.complete.sum()),
                matters=matters,
                parameter=JOINED.join(self.keys),
                chance=self.data.chance_loss(),
            )
            + said_of_short(self.trials),
            "best": best and best.plain,
            "choice": self.settings[choice.index].plain if choice else None,
            "choice_reason": choice.words if choice else None,
            "extend": bool(choice and choice.extend),
            "ranking": self._ranking(found),
            "noise_sd": found.noise_sd,
            "seed_correlation": found.seed_correlation,
            "resolution": found.resolution,
            "matters": self.margin,
            "seeds_for_matters": None if needed is None else [needed.low, needed.high],
            "level": self.level,
            "decay_pairs": [asdict(pair) for pair in flagged(self.keys, self.budgets, length)],
        }

    def _ranking(self, found: Verdict) -> list[Summary]:
        """A line a setting, the lowest mean loss first, settings without a loss last."""
        lines = [self._line(index, each) for index, each in enumerate(found.comparisons)]
        order = np.argsort([math.inf if each.mean is None else each.mean for each in found.comparisons], kind="stable")
        return [lines[index] for index in order]

    def _line(self, index: int, each: Comparison) -> Summary:
        row, setting = self.grid[index], self.settings[index]
        line: Summary = {
            "value": setting.plain,
            "mean_valid_loss": each.mean,
            "mean_valid_accuracy": _mean([trial.valid_accuracy for trial in row]),
            "difference": each.difference,
            "low": each.low,
            "high": each.high,
            "verdict": each.verdict,
            "candidate": each.candidate,
            "unstable": each.unstable,
            "mean_seconds": _mean([trial.seconds for trial in row]),
            "weight_growth": mean_growth([self.runs[trial.trial] for trial in row if trial.trial in self.runs]),
        }
        budget = self.budgets.get(setting.name)
        if budget is not None:
            line |= {"decay_budget": budget.shrinkage, "decay_rate": budget.rate}
            line["decay_epochs"] = budget.epochs_to_decay
        return line


def _numbers(table: Sequence[Sequence[float | None]]) -> Array:
    return np.array([[np.nan if value is None else value for value in row] for row in table], np.float64)


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(finite)) if finite else None

"""What a sweep came to: its tables, what can be told apart, what to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.choice import Choice, choose, in_words
from hpcli.analysis.verdict import Verdict
from hpcli.config import Config
from hpcli.experiments.budgets import budgets_of, flagged
from hpcli.experiments.store import Row
from hpcli.experiments.trials import Trial, Trials
from hpcli.experiments.varied import Setting, positions, value_of

COSTLY = ("data", "model", "train")
"""Sections whose values make runs longer or shorter."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SweepResult:
    """A sweep in plain numbers: k settings, S seeds, E epochs. Losses in nats."""

    status: str  # finished, interrupted, diverged (no setting has a finite loss) or failed (no trial ran)
    keys: tuple[str, ...]
    settings: tuple[Setting, ...]
    losses: Array  # [k, S] final validation losses; NaN where a run diverged, failed or is missing
    curves: Array  # [k, S, E] validation losses by epoch
    seconds: Array  # [k, S] of each run
    places: tuple[float, ...] | None  # [k] each value on its own scale; None: values without an order, or two keys
    logarithmic: bool  # that scale
    verdict: Verdict | None  # None: no seed is complete
    choice: Choice | None
    margin: float | None  # the difference that matters
    trials: tuple[Row, ...]  # sweep.csv
    num_failed: int
    summary: dict[str, Any]


class Judged:
    """Everything that can be said of the trials of a sweep, [k][S], and of how they compare."""

    def __init__(
        self, config: Config, keys: tuple[str, ...], grid: list[list[Trial]], found: Verdict | None, trials: Trials
    ) -> None:
        self.config, self.keys, self.grid, self.found, self.trials = config, keys, grid, found, trials
        self.settings = [row[0].setting for row in grid]
        self.budgets = budgets_of(keys, self.settings, trials.splits)
        self.places, self.logarithmic = None, False
        if len(keys) == 1:
            self.places, self.logarithmic = positions(keys[0], [each.values[0] for each in self.settings])
        self.seconds = _table(grid, "seconds")
        self.choice = self._choice()
        self.margin = config.sweep.matters * found.best_mean if found and found.best_mean is not None else None
        self.num_failed = sum(trial.status == "failed" for row in grid for trial in row)

    def result(self) -> SweepResult:
        """All of it."""
        return SweepResult(
            status=self._status(),
            keys=self.keys,
            settings=tuple(self.settings),
            losses=np.array([[trial.loss for trial in row] for row in self.grid]),
            curves=_curves(self.grid),
            seconds=self.seconds,
            places=tuple(self.places) if self.places else None,
            logarithmic=self.logarithmic,
            verdict=self.found,
            choice=self.choice,
            margin=self.margin,
            trials=tuple(self.trials.rows()),
            num_failed=self.num_failed,
            summary=self._summary(),
        )

    def _status(self) -> str:
        states = {trial.status for row in self.grid for trial in row}
        if self.trials.stopped:
            return "interrupted"
        return "finished" if "finished" in states else "failed" if states == {"failed"} else "diverged"

    def _choice(self) -> Choice | None:
        if self.found is None:
            return None
        here = tuple(value_of(self.config, key) for key in self.keys)
        present = next((index for index, setting in enumerate(self.settings) if setting.values == here), None)
        costs = self.seconds.mean(1).tolist() if self.keys[0].split(".")[0] in COSTLY else None
        return choose(self.found, positions=self.places, present=present, seconds=costs)

    def _summary(self) -> dict[str, Any]:
        found, choice = self.found, self.choice
        counts = {"trained": self.trials.trained, "reused": self.trials.reused, "failed": self.num_failed}
        summary: dict[str, Any] = {"parameter": " & ".join(self.keys), **counts, "seeds": len(self.grid[0])}
        if found is None:
            return summary
        length, matters = self.config.sweep.epochs, self.margin or 0.0
        best = next((each for each in self.settings if each.name == found.best), None)
        pairs = flagged(self.keys, self.budgets, length)
        return summary | {
            "sentence": in_words(found, choice, epochs=length, num_seeds=len(self.grid[0]), matters=matters),
            "best": _plain(best),
            "choice": _plain(self.settings[choice.index]) if choice else None,
            "choice_reason": choice.reason if choice else "no value trained",
            "extend": bool(choice and choice.extend),
            "ranking": self._ranking(found),
            "noise_sd": found.noise_sd,
            "seed_correlation": found.seed_correlation,
            "resolution": found.resolution,
            "matters": self.margin,
            "seeds_for_matters": found.seeds_for_matters,
            "decay_pairs": [asdict(pair) for pair in pairs],
        }

    def _ranking(self, found: Verdict) -> list[dict[str, Any]]:
        """A line a setting, the lowest loss first; what has none comes last."""
        accuracies = _table(self.grid, "valid_accuracy")
        lines = []
        for index, (setting, each) in enumerate(zip(self.settings, found.comparisons, strict=True)):
            line = {
                "value": _plain(setting),
                "mean_valid_loss": each.mean,
                "mean_valid_accuracy": _mean(accuracies[index]),
                "difference": each.difference,
                "low": each.low,
                "high": each.high,
                "verdict": each.verdict,
                "candidate": each.candidate,
                "mean_seconds": _mean(self.seconds[index]),
                "weight_growth": _growth(self.grid[index]),
            }
            budget = self.budgets.get(setting.name)
            if budget is not None:
                line |= {"decay_budget": budget.shrinkage, "decay_rate": budget.rate}
                line["decay_epochs"] = budget.epochs_to_decay
            lines.append(line)
        return sorted(lines, key=lambda line: (line["mean_valid_loss"] is None, line["mean_valid_loss"]))


def _plain(setting: Setting | None) -> Any:
    """The value of a setting; of two keys, the list of both."""
    if setting is None:
        return None
    return setting.values[0] if len(setting.values) == 1 else list(setting.values)


def _table(grid: list[list[Trial]], name: str) -> Array:
    """[k, S] of a number in the trials' summaries; NaN where there is none."""
    return np.array([[trial.summary.get(name) for trial in row] for row in grid], float)


def _mean(values: Array) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None


def _growth(row: Sequence[Trial]) -> dict[str, float | None]:
    """Group of weights → its norm at the end over that at the start, mean over the seeds."""
    norms = [trial.summary.get("weight_norms", {}) for trial in row]
    groups = dict.fromkeys(group for each in norms for group in each)
    ends = {group: [each[group] for each in norms if group in each and None not in each[group]] for group in groups}
    return {group: float(np.mean([end / start for start, end in pairs])) for group, pairs in ends.items() if pairs}


def _curves(grid: list[list[Trial]]) -> Array:
    """[k, S, E] of validation losses; NaN after a run's end."""
    length = max(len(trial.epochs) for row in grid for trial in row)
    curves = np.full((len(grid), len(grid[0]), length), np.nan)
    for index, row in enumerate(grid):
        for seed, trial in enumerate(row):
            losses = [epoch["valid_loss"] for epoch in trial.epochs]
            curves[index, seed, : len(losses)] = np.array(losses, float)
    return curves

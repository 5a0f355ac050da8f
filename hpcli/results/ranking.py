"""A verdict in plain values: its numbers, and its values as a table, the lowest mean loss first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hpcli.analysis.decay import Budget
from hpcli.analysis.verdict import Comparison, Verdict
from hpcli.config.varying import Setting
from hpcli.results import Summary
from hpcli.results.train import TrainResult, mean_growth
from hpcli.results.trials import SweepTrial

Runs = Mapping[str, TrainResult]
"""Trial → its training run."""


def ranking(
    found: Verdict,
    settings: Sequence[Setting],
    grid: Sequence[Sequence[SweepTrial]],
    runs: Runs,
    budgets: Mapping[str, Budget],
) -> list[Summary]:
    """A line a setting, the lowest mean loss first, settings without a loss last.

    Args:
        found: [k] comparisons.
        settings: [k].
        grid: [k][S] their trials.
        runs: of the trials that have begun.
        budgets: name of a setting → what its weight decay can do.
    """
    lines = [
        _line(each, setting, row, runs, budgets.get(setting.name))
        for each, setting, row in zip(found.comparisons, settings, grid, strict=True)
    ]
    return lowest_first(found, lines)


def numbers(found: Verdict, level: float) -> Summary:
    """What a summary holds of a verdict as a whole, judged at a level."""
    needed = found.seeds_for_matters
    return {
        "noise_sd": found.noise_sd,
        "seed_correlation": found.seed_correlation,
        "resolution": found.resolution,
        "matters": found.margin,
        "seeds_for_matters": None if needed is None else [needed.low, needed.high],
        "level": level,
    }


def compared(each: Comparison) -> Summary:
    """What a line of the table holds of a comparison."""
    names = ("difference", "low", "high", "verdict", "candidate", "unstable")
    return {name: getattr(each, name) for name in names}


def lowest_first(found: Verdict, lines: Sequence[Summary]) -> list[Summary]:
    """Lines in the order of the comparisons, put in that of their means; those without a mean come last."""
    order = np.argsort([math.inf if each.mean is None else each.mean for each in found.comparisons], kind="stable")
    return [lines[index] for index in order]


def _line(each: Comparison, setting: Setting, row: Sequence[SweepTrial], runs: Runs, budget: Budget | None) -> Summary:
    line: Summary = {
        "value": setting.plain,
        "mean_valid_loss": each.mean,
        "mean_valid_accuracy": _mean([trial.valid_accuracy for trial in row]),
        **compared(each),
        "mean_seconds": _mean([trial.seconds for trial in row]),
        "weight_growth": mean_growth([runs[trial.trial] for trial in row if trial.trial in runs]),
    }
    if budget is not None:
        line |= {"decay_budget": budget.shrinkage, "decay_rate": budget.rate, "decay_epochs": budget.epochs_to_decay}
    return line


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(finite)) if finite else None

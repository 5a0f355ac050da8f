"""How much the weight decays of a sweep can shrink weights in its runs, known before anything trains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hpcli.analysis.decay import MOST_EPOCHS, Budget, Indistinct, budget, indistinct, num_indistinct
from hpcli.config import Config
from hpcli.config.controls import finds_rate
from hpcli.config.optimizers import is_corrected
from hpcli.config.varying import Setting, written
from hpcli.results.data import DataFacts
from hpcli.training.schedules import Array, Schedule, training_schedule

KEY = "optimizer.weight_decay"
MOST_LINES = 6


def budget_of(config: Config, data: DataFacts) -> Budget | None:
    """The decay budget of a run; None: it depends on the size of the gradients.

    So does that of Adam with L2, and of an optimizer that finds its learning rate itself.
    """
    optimizer = config.optimizer
    coupled = optimizer.decay == "coupled"
    if (coupled and optimizer.name != "sgd") or finds_rate(optimizer.name):
        return None
    schedule = training_schedule(config, data.steps_per_epoch(config.data))
    return budget(
        decaying_rates(config, schedule),
        schedule.momentum,
        optimizer.weight_decay,
        epochs=config.train.epochs,
        coupled=coupled,
        nesterov=optimizer.nesterov,
    )


def decaying_rates(config: Config, schedule: Schedule) -> Array:
    """[S] What multiplies the weight decay in each step: the learning rate; corrected: its square over the peak."""
    return schedule.lr**2 / schedule.lr.max() if is_corrected(config.optimizer.name) else schedule.lr


def budgets_of(keys: Iterable[str], settings: Sequence[Setting], data: DataFacts) -> dict[str, Budget]:
    """Name of a setting → its decay budget; empty where weight decay is not swept."""
    if KEY not in keys:
        return {}
    found = {setting.name: budget_of(setting.config, data) for setting in settings}
    return {name: each for name, each in found.items() if each is not None}


def flagged(keys: Sequence[str], budgets: dict[str, Budget], epochs: int) -> list[Indistinct]:
    """Pairs of weight decays that the runs can hardly tell apart; none where a second key is swept."""
    return indistinct(list(budgets.values()), epochs) if len(keys) == 1 else []


def too_alike(keys: Sequence[str], budgets: dict[str, Budget], epochs: int, name: str) -> set[str]:
    """Names of the settings whose weight decay the runs can hardly tell from that of the setting `name`."""
    if name not in budgets:
        return set()
    own = budgets[name].weight_decay
    pairs = [(pair.first, pair.second) for pair in flagged(keys, budgets, epochs)]
    decays = {one if other == own else other for one, other in pairs if own in (one, other)}
    return {each for each, about in budgets.items() if about.weight_decay in decays}


def in_lines(keys: Sequence[str], budgets: dict[str, Budget], epochs: int) -> list[str]:
    """The flagged pairs as a person reads them, the first few of them."""
    values = list(budgets.values()) if len(keys) == 1 else []
    more = num_indistinct(values) - MOST_LINES
    lines = [
        f"{written(each.first)} and {written(each.second)}: {each.words} in {epochs} epoch{'s' * (epochs > 1)} "
        f"(what they take of a weight differs by {each.gap:.2g}; by 0.1, which may show, in {_length(each)})"
        for each in indistinct(values, epochs, most=MOST_LINES + (more == 1))
    ]
    return lines if more <= 1 else [*lines, f"… and {more} pairs more, in summary.json"]


def _length(pair: Indistinct) -> str:
    return f"more than {MOST_EPOCHS:,} epochs" if pair.epochs is None else f"{pair.epochs:,} epochs"

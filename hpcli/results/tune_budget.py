"""How the short runs of `tune` are divided: between the range test, the search and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from hpcli.config import Config
from hpcli.config.optimizers import is_timm, scale_of
from hpcli.config.space import LR, RATES
from hpcli.results.data import DataFacts
from hpcli.results.lr_find import LRFindResult
from hpcli.results.tune_trials import TunePlan, TuneRange, TuneTrial
from hpcli.states import RunStatus

STEPS = 100
"""A short run has at least so many, where the config's own run has."""
PAIRS = ((20, 3), (12, 1))
"""From so many runs on, so many pairs of the verdict."""
FIRST_FRESH, MOST_PAIRS = 300, 50
"""Seeds of the verdict, counted from the config's: beyond those of sweeps, and others for every number of runs."""

FEWEST, MOST = 4, 1000
"""Runs of a budget of minutes."""
PATIENCE = 4
"""So many runs without one that has gone to its end, and the longest of them tells how many fit."""

BELOW, ABOVE, LEAST = 10.0, 5.0, 10.0
"""A suggested learning rate is searched around by these factors, and at least over the last one."""
STEPS_A_DECADE, FEWEST_A_DECADE = 20, 10
HIGHEST = 10.0
"""Learning rate that a range test ends at."""
SHARE = 8
"""A range test takes at most one in so many of all steps."""


def short_epochs(config: Config, data: DataFacts) -> int:
    """Epochs of a short run of a config."""
    if config.tune.epochs != "auto":
        return config.tune.epochs
    per_epoch = data.steps_per_epoch(config.data)
    return max(config.sweep.epochs, min(config.train.epochs, math.ceil(STEPS / max(per_epoch, 1))))


def divided(
    runs: int,
    confirm: int | Literal["auto"],
    *,
    seed: int,
    epochs: int,
    steps: int,
    range_steps: int,
    minutes: float | None = None,
    before: Sequence[TunePlan] = (),
    searched: int = 0,
) -> TunePlan:
    """The plan of a budget.

    Args:
        runs: short runs in all.
        confirm: pairs of the verdict, or auto.
        seed: of the config.
        epochs: of a short run.
        steps: of a short run.
        range_steps: that the range test took; they count as the runs that they could have been.
        minutes: that the runs are to fit into; None: they were asked for by number.
        before: plans that there were; the pairs of the last one count as long as the search does not grow.
        searched: settings that the search has run.
    """
    pairs = next((pairs for least, pairs in PAIRS if runs >= least), 0) if confirm == "auto" else confirm
    spent = math.ceil(range_steps / max(steps, 1))
    pairs = max(0, min(pairs, (runs - spent - 2) // 2))  # the search keeps two at least
    search = max(2, runs - spent - 2 * pairs)
    first_fresh = max([seed + FIRST_FRESH + MOST_PAIRS * runs, *(each.first_fresh + MOST_PAIRS for each in before)])
    if before and (search <= searched or search == before[-1].search):
        first_fresh = before[-1].first_fresh
    return TunePlan(runs, search, pairs, epochs, steps, range_steps, first_fresh, minutes)


def affordable(trials: Sequence[TuneTrial], minutes: float) -> int | None:
    """As many runs as fit into so many minutes, by what the first took that went to its end; None: none has yet."""
    took = [trial.seconds for trial in trials if trial.status == RunStatus.FINISHED and trial.seconds][:1]
    if not took and len(trials) >= PATIENCE:
        took = [max((trial.seconds or 0.0 for trial in trials), default=0.0) or 1.0]
    return max(FEWEST, min(MOST, int(60 * minutes / took[0]))) if took else None


def in_words(plan: TunePlan, *, trains: bool = True) -> str:
    """The plan as a line; trains: whether it ends with the training."""
    spent = plan.runs - plan.search - 2 * plan.pairs
    test = f", {spent} for the range test" if spent > 0 else ""
    then = "; then the training" if trains else ""
    verdict = f", {2 * plan.pairs} for the verdict on fresh seeds" if plan.pairs else ""
    return f"{plan.runs} runs of {plan.steps} steps: {plan.search} search{test}{verdict}{then}"


def ranges_lr(config: Config) -> bool:
    """Whether a range test is made: not where the learning rate's range is given, or the usual one is known to hold.

    There it costs more than it brings: on six tables of real runs the regret after 24 runs was lower without it.
    """
    if LR in config.tune.values or config.tune.range_test is False:
        return False
    is_known = config.init.weights is None and not config.model.pretrained and ":" not in config.model.name
    is_known = is_known and not is_timm(config.optimizer.name)
    return config.tune.range_test is True or not is_known


def range_test_keys(config: Config, steps: int) -> dict[str, object] | None:
    """The keys of the range test; None: it would take too much of the budget.

    Args:
        config: of the tuning.
        steps: of a short run.
    """
    start = RATES[scale_of(config.optimizer.name)][0] / 10
    decades = math.log10(HIGHEST / start)
    count = min(round(STEPS_A_DECADE * decades), config.tune.runs * steps // SHARE)
    if count < FEWEST_A_DECADE * decades:
        return None
    return {
        "lr_find.start_lr": start,
        "lr_find.end_lr": HIGHEST,
        "lr_find.steps": count,
        "lr_find.seeds": 1,
        "lr_find.values": {},
    }


def bounded(found: LRFindResult) -> TuneRange | None:
    """The range of learning rates that a range test leaves; None: it suggests nothing."""
    if found.suggestion is None or found.suggestion.suggested_lr is None:
        return None
    suggested, breaks = found.suggestion.suggested_lr, found.suggestion.blow_up_lr
    high = min(ABOVE * suggested, breaks or math.inf)
    low = min(suggested / BELOW, high / LEAST)
    at = f", breaks at {breaks:.2g}" if breaks else ""
    why = f"range test: suggests {suggested:.2g}{at}; max_lr is searched from {low:.2g} to {high:.2g}"
    return TuneRange(LR, float(f"{low:.3g}"), float(f"{high:.3g}"), why, breaks is not None and high >= breaks)

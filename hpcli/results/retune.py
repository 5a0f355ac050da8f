"""Trials that choose what goes with each value of a sweep, such as its learning rate, on seeds that judge nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hpcli.config import Config
from hpcli.config.varying import JOINED, Setting, value_of, written
from hpcli.results.trials import SweepTrial

FIRST_SEED, NUM_SEEDS = 100, 2
"""Counted from the config's: a sweep has at most 100 seeds to judge by."""


@dataclass(frozen=True)
class RetuneTrial(SweepTrial, table="sweep_retune"):
    """A trial of a value with one of the things that may go with it."""


@dataclass(frozen=True)
class Retuned:
    """What a value has been given."""

    setting: Setting
    is_at_edge: bool  # of what was tried: better may lie beyond


def seeds(config: Config) -> range:
    """The seeds that choose."""
    return range(config.seed + FIRST_SEED, config.seed + FIRST_SEED + NUM_SEEDS)


def candidates(config: Config, setting: Setting) -> list[Setting]:
    """The setting with every combination of what may go with it."""
    keys = tuple(config.sweep.retune)
    found = []
    for values in product(*config.sweep.retune.values()):
        own = setting.along_with(dict(zip(keys, values, strict=True)))
        name = JOINED.join([setting.name, *(written(value_of(own.config, key)) for key in keys)])
        found.append(Setting(name, setting.values, own.config, own.also))
    return found


def retuned(config: Config, settings: Sequence[Setting], trials: Sequence[SweepTrial]) -> list[Retuned]:
    """Every setting with what has the lowest mean loss beside it, as far as the trials are done.

    Args:
        config: the sweep's.
        settings: [k].
        trials: of their candidates. A candidate with a run that is missing or diverged is none.

    Returns:
        [k]; a setting none of whose candidates is left is what it was.
    """
    losses: dict[str, list[float]] = {}
    for trial in trials:
        losses.setdefault(trial.value, []).append(trial.loss)
    return [_best(config, setting, losses) for setting in settings]


def _best(config: Config, setting: Setting, losses: Mapping[str, Sequence[float]]) -> Retuned:
    tried = candidates(config, setting)
    means = np.array([np.mean(losses.get(each.name, [np.nan])) for each in tried])
    if not np.isfinite(means).any():
        return Retuned(setting, is_at_edge=False)
    best = tried[int(np.nanargmin(means))]
    own = Setting(setting.name, setting.values, best.config, best.also)
    return Retuned(own, any(_is_at_edge(best, key, values) for key, values in config.sweep.retune.items()))


def _is_at_edge(best: Setting, key: str, values: Sequence[object]) -> bool:
    """Whether a number is the lowest or highest of several that were tried."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return 1 < len(numbers) == len(values) and best.also[key] in (min(numbers), max(numbers))


def in_words(config: Config, found: Sequence[Retuned]) -> str:
    """What each value has been given."""
    keys = list(config.sweep.retune)
    parts = []
    for each in found:
        given = JOINED.join(written(each.setting.also[key]) for key in keys if key in each.setting.also)
        edge = " (at the edge of what was tried)" if each.is_at_edge else ""
        parts.append(f"{each.setting.name} at {given}{edge}" if given else f"{each.setting.name} as the config has it")
    return f"Each at its own {JOINED.join(keys)}, chosen on {NUM_SEEDS} other seeds: {', '.join(parts)}."

"""The tables of `tune`, and what they come to: the settings run so far as points, and the surface through them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from hpcli.analysis.search import winner
from hpcli.analysis.surface import Axis, Surface
from hpcli.config.keys import read_text
from hpcli.config.space import DECAY, LR, MOMENTUM, Dimension
from hpcli.config.varying import JOINED
from hpcli.recording.rows import Row
from hpcli.results.trials import SweepTrial

Array = NDArray[np.float64]

LOST = 1.1
"""A run that diverged counts as a loss so many times that of guessing."""
LEARNT = 0.97
"""A loss below so many times that of guessing is more than guessing."""
REACH = {LR: (1.05, 0.5), MOMENTUM: (1.36, 0.6), DECAY: (4.0, 0.7)}
"""Over how many decades a key's effect on the loss changes, median and spread of the logarithm: from 4,500 runs on
digits and CIFAR-10 images (docs/tune.md). Other keys: most of their range."""


@dataclass(frozen=True)
class TuneTrial(SweepTrial, table="tune"):
    """A short run of the search."""


@dataclass(frozen=True)
class TuneFresh(SweepTrial, table="tune_fresh"):
    """A short run of the verdict: the present setting or the winner, with a seed that had no part in the search."""


@dataclass(frozen=True)
class TunePlan(Row, table="tune_plan"):
    """What the budget was divided into. The last row counts."""

    runs: int  # short runs in all
    search: int  # of them, those that search
    pairs: int  # of them, twice so many for the verdict
    epochs: int  # of a short run
    steps: int  # of a short run
    range_steps: int  # of the range test
    first_fresh: int  # seed of the verdict
    minutes: float | None  # that the runs were to fit into


@dataclass(frozen=True)
class TuneRange(Row, table="tune_ranges"):
    """A key's range as it was searched."""

    parameter: str
    low: float
    high: float
    why: str


def axis_of(dimension: Dimension) -> Axis:
    """What a surface has to know of a key."""
    if dimension.choices:
        return Axis(length=1.0, spread=0.6, choices=len(dimension.choices))
    decades = dimension.decades
    if decades is None or dimension.key not in REACH:
        return Axis()
    length, spread = REACH[dimension.key]
    return Axis(length / decades, spread)


@dataclass(frozen=True)
class Searched:
    """The runs of a search, in its space."""

    space: tuple[Dimension, ...]
    trials: Sequence[SweepTrial]  # those of the search first, then those of earlier verdicts
    chance: float  # loss of guessing, nats

    @cached_property
    def over(self) -> list[SweepTrial]:
        """Trials that are over, or have failed."""
        return [trial for trial in self.trials if trial.has_ended]

    @property
    def axes(self) -> list[Axis]:
        """Of the surface."""
        return [axis_of(each) for each in self.space]

    def values(self, name: str) -> dict[str, JsonValue]:
        """Key → value, of a setting's name."""
        pairs = zip(self.space, name.split(JOINED), strict=True)
        return {each.key: cast(JsonValue, read_text(each.key, text)) for each, text in pairs}

    def point(self, values: Mapping[str, JsonValue]) -> Array:
        """[d] where a setting lies."""
        return np.array([each.place(values[each.key]) for each in self.space])

    @cached_property
    def points(self) -> Array:
        """[k, d] of the trials that are over."""
        return np.array([self.point(self.values(trial.value)) for trial in self.over]).reshape(-1, len(self.space))

    @cached_property
    def losses(self) -> Array:
        """[k] log losses; what diverged or failed counts as worse than guessing."""
        return np.array([self.log_loss(trial) for trial in self.over])

    def log_loss(self, trial: SweepTrial) -> float:
        """Of one trial."""
        most = LOST * self.chance
        loss = trial.loss if math.isfinite(trial.loss) else most
        return math.log(min(max(loss, 1e-9), most))

    @cached_property
    def lost(self) -> NDArray[np.bool_]:
        """[k] which of the runs have no loss: they diverged or failed."""
        return np.array([math.isnan(trial.loss) for trial in self.over], bool)

    @cached_property
    def learnt(self) -> NDArray[np.bool_]:
        """[k] which of the runs have learnt something."""
        return np.array([trial.loss < LEARNT * self.chance for trial in self.over], bool)

    @cached_property
    def surface(self) -> Surface | None:
        """Through the runs that are over; None: there are none."""
        if not self.over:
            return None
        return Surface(self.axes, self.points, self.losses, [trial.seed for trial in self.over])

    @cached_property
    def winner(self) -> int | None:
        """Which of the runs has the setting with the lowest mean; None: none has learnt anything."""
        return None if self.surface is None else winner(self.surface, self.learnt)

"""Runs in a space of keys: their settings as points, the surface through them, and what that says of each key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from hpcli.analysis.profile import Profile, profiles
from hpcli.analysis.search import winner
from hpcli.analysis.surface import Axis, Surface
from hpcli.config.space import DECAY, LR, MOMENTUM, Dimension
from hpcli.config.varying import JOINED
from hpcli.results.trials import SweepTrial

Array = NDArray[np.float64]

LOST = 1.1
"""A run that diverged counts as a loss so many times that of guessing."""
LEARNT = 0.97
"""A loss below so many times that of guessing is more than guessing."""
NEAR_END = 0.05
"""Of a range: a value that near to its end lies at it."""
REACH = {LR: (1.05, 0.5), MOMENTUM: (1.36, 0.6), DECAY: (4.0, 0.7)}
"""Over how many decades a key's effect on the loss changes, median and spread of the logarithm: from 4,500 runs on
digits and CIFAR-10 images (docs/tune.md). Other keys: most of their range."""


def axis_of(dimension: Dimension) -> Axis:
    """What a surface has to know of a key."""
    if dimension.choices:
        return Axis(length=1.0, spread=0.6, choices=len(dimension.choices))
    decades = dimension.decades
    if decades is None or dimension.key not in REACH:
        return Axis(parts=dimension.parts)
    length, spread = REACH[dimension.key]
    return Axis(length / decades, spread, leads=dimension.key == LR)


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
        return {each.key: each.read(text) for each, text in zip(self.space, name.split(JOINED), strict=True)}

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

    def profiles(self, seed: int) -> list[Profile]:
        """What each key does, in the order of the space; empty: too few runs to tell, or none has learnt anything."""
        if self.surface is None or self.winner is None or len(self.losses) < 2 + len(self.space):
            return []
        return profiles(self.surface, seed=seed)


@dataclass(frozen=True)
class Fitted:
    """Runs in a space of keys, and what is marked among them."""

    searched: Searched
    profiles: Sequence[Profile]  # in the order of the space; empty: too little is known
    present: Mapping[str, JsonValue]  # the config's own values, of the keys whose space they lie in
    choice: Mapping[str, JsonValue] | None  # the values to use; None: there are none
    fresh: Sequence[SweepTrial] = ()  # runs on fresh seeds

    @property
    def space(self) -> tuple[Dimension, ...]:
        """The keys."""
        return self.searched.space

    def end_of(self, place: int) -> Literal["lower", "upper"] | None:
        """The end of its range that the choice lies at, where the key goes on beyond; None: neither."""
        dimension = self.space[place]
        if self.choice is None or dimension.choices:
            return None
        at = dimension.place(self.choice[dimension.key])
        end: Literal["lower", "upper"] | None = "lower" if at < NEAR_END else "upper" if at > 1 - NEAR_END else None
        return None if end is None or dimension.is_limit(end) else end

    def is_idle(self, place: int) -> bool:
        """Whether a key is known not to matter."""
        return bool(self.profiles) and self.profiles[place].is_idle

    def matters(self, place: int) -> bool:
        """Whether a key is known to matter: a part of its range is worse."""
        return bool(self.profiles) and any(part.is_worse for part in self.profiles[place].parts)

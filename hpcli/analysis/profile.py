"""What each key does: along it, the lowest loss that the other keys allow, with what the runs leave open."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from hpcli.analysis.search import placed
from hpcli.analysis.surface import Surface, squashed

Array = NDArray[np.float64]

PARTS = 6
"""A range is judged in so many equal parts; of a key without order each choice is one."""
POINTS, DRAWS = 512, 200
MATTERS = 0.01
"""A difference in log loss that is worth a word."""
NEAR_CUT = 0.6
"""Losses are cut off for the surface: what comes so near to where, has no upper bound but the worst loss of all."""
IDLE = 0.05
"""A key whose parts surely differ by less does nothing that is worth a run."""


@dataclass(frozen=True)
class Part:
    """A part of a key's range: how far the lowest loss in it is above the lowest of all, in log loss.

    Attributes:
        start, end: where it lies on the axis; of a choice both are its number.
        low, middle, high: 2.5 %, 50 % and 97.5 % of what the runs leave possible.
        loss: the lowest mean in it, log loss.
    """

    start: float
    end: float
    low: float
    middle: float
    high: float
    loss: float

    @property
    def is_worse(self) -> bool:
        """Whether it is surely worse than the best."""
        return self.low > MATTERS


@dataclass(frozen=True)
class Profile:
    """The parts of one key's range, in order."""

    parts: tuple[Part, ...]

    @property
    def is_idle(self) -> bool:
        """Whether the key surely does nothing that matters."""
        return all(part.high < IDLE for part in self.parts)

    @property
    def is_open(self) -> bool:
        """Whether no difference was found, though there may be one."""
        return not self.is_idle and not any(part.is_worse for part in self.parts)


def profiles(surface: Surface, *, seed: int = 0, inside: Sequence[tuple[float, float]] | None = None) -> list[Profile]:
    """A profile of each of the surface's axes, from joint draws of the surface.

    Args:
        surface: fitted.
        seed: of the draws: the same profile each time.
        inside: the part of each axis that was searched; None: all of it.
    """
    rng, axes = np.random.default_rng(seed), surface.axes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        uniform = qmc.Sobol(len(axes), seed=rng).random(POINTS)
    points = placed(axes, uniform)
    for place, (low, high) in enumerate(inside or ()):
        if not axes[place].choices:
            points[:, place] = low + (high - low) * points[:, place]
    drawn, means = surface.draws(points, DRAWS, rng), surface.predict(points)[0]
    lowest = surface.losses.min()
    cut, most = float(squashed(surface.losses).max() - lowest), float(surface.losses.max() - lowest)
    best = drawn.min(1)
    found = []
    for place, axis in enumerate(axes):
        low, high = (0.0, 1.0) if inside is None else inside[place]
        count = axis.choices or PARTS
        edges = np.linspace(low, high, count + 1)
        inner = points[:, place].astype(int) if axis.choices else np.searchsorted(edges[1:-1], points[:, place])
        parts = []
        for each in range(count):
            here = inner == each
            above = np.minimum(drawn[:, here].min(1) - best, cut)
            less, middle, more = np.quantile(above, [0.025, 0.5, 0.975]).tolist()
            if more > NEAR_CUT * cut:  # so bad that the surface knows no more: it may be as bad as the worst run
                more = max(more, most)
            start, end = (float(each), float(each)) if axis.choices else edges[each : each + 2].tolist()
            parts.append(Part(start, end, less, middle, more, float(means[here].min())))
        found.append(Profile(tuple(parts)))
    return found

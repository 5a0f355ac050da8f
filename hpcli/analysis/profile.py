"""What each key does: along it, the lowest loss that the other keys allow, with what the runs leave open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.search import spread_out
from hpcli.analysis.surface import Axis, Surface, squashed

Array = NDArray[np.float64]

PARTS = 6
"""A range is judged in so many equal parts; of a key with few values each is one."""
POINTS, DRAWS = 512, 200
MATTERS = 0.01
"""A difference in log loss that is worth a word."""
NEAR_CUT = 0.6
"""Losses are cut off for the surface: what comes so near to where, has no upper bound but the worst loss of all."""
AT_END = 1e-6
"""Of a coordinate: so far beyond its end it lies at it."""
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


def profiles(surface: Surface, *, seed: int = 0) -> list[Profile]:
    """A profile of each of the surface's axes, from joint draws of the surface.

    A run beyond the end of an axis, as of a present setting that lies outside what is searched, counts as well: parts
    of that axis are compared with it, and on the other axes it is a point of its part.

    Args:
        surface: fitted.
        seed: of the draws: the same profile each time.
    """
    beyond = np.unique(surface.points[~_inside(surface.axes, surface.points).all(1)], axis=0)
    points = np.concatenate([spread_out(surface.axes, POINTS, seed), beyond])
    inside = _inside(surface.axes, points)
    drawn, means = surface.draws(points, DRAWS, np.random.default_rng(seed)), surface.predict(points)[0]
    above, found = drawn - drawn.min(1, keepdims=True), []
    lowest = surface.losses.min()
    cut, most = float(squashed(surface.losses).max() - lowest), float(surface.losses.max() - lowest)
    for place, axis in enumerate(surface.axes):
        ends = _ends(axis)
        between = [(before[1] + after[0]) / 2 for before, after in pairwise(ends)]
        inner = np.searchsorted(between, points[:, place], side="right")
        parts = []
        for each, (start, end) in enumerate(ends):
            here = (inner == each) & inside[:, place]
            low, middle, high = np.quantile(np.minimum(above[:, here].min(1), cut), [0.025, 0.5, 0.975]).tolist()
            if high > NEAR_CUT * cut:  # so bad that the surface knows no more: it may be as bad as the worst run
                high = max(high, most)
            parts.append(Part(start, end, low, middle, high, float(means[here].min())))
        found.append(Profile(tuple(parts)))
    return found


def _inside(axes: Sequence[Axis], points: Array) -> NDArray[np.bool_]:
    """[n, d] whether coordinates lie on their axis."""
    ends = np.array([max(axis.choices - 1, 1) for axis in axes])
    return np.asarray((points >= -AT_END) & (points <= ends + AT_END))


def _ends(axis: Axis) -> Sequence[tuple[float, float]]:
    """Where the parts of an axis begin and end."""
    if axis.choices:
        return [(float(each), float(each)) for each in range(axis.choices)]
    return axis.parts or [(each / PARTS, (each + 1) / PARTS) for each in range(PARTS)]

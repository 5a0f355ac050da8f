"""The noise of a table of losses, and the smallest difference between values that stands out from the noise."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.distributions import chi2_point
from hpcli.analysis.power import MANY_SEEDS, dunnett, found_gap, studentized, unstable_ratio

MOST_SEEDS = 1000
NOISIER = 3.0
"""A difference whose variance is so many times the pooled one is judged by its own alone."""

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Ruler:
    """The noise of the stable values' losses, a row a value, and the differences that stand out from the noise.

    Paired rows are a table [k, S], and what a seed does to all values is no noise. Unpaired ones may differ in length.
    """

    def __init__(
        self,
        rows: Sequence[Array],
        noise: tuple[float, int] | None,
        margin: float,
        num_tried: int,
        level: float,
        rounding: float = 0.0,
        *,
        paired: bool = True,
    ) -> None:
        self.margin = margin  # the difference that matters
        self.level = level
        self.num_tried = num_tried  # an unstable value has been a chance for a false alarm, too
        self.num_stable, self.num_seeds, self.paired = len(rows), usual_number(rows), paired
        squares, self.df = _paired_noise(np.stack(rows)) if paired else _unpaired_noise(rows)
        self.sd: float | None = None
        if self.df:
            self.sd = max(math.sqrt(squares / self.df), rounding)  # no less than rounding leaves
        elif noise is not None and self.num_stable > 1:
            self.sd, self.df = float(noise[0]), int(noise[1])

    def margins(self, own: Array, best: Array, *, alone: bool) -> tuple[float, float]:
        """Half the interval of the difference of two rows' means, and how far above the best a candidate may lie.

        A difference that is far noisier than the others, or `alone`, stands on its own degrees of freedom.
        """
        assert self.sd is not None
        pooled = self.sd**2 * (1 / len(own) + 1 / len(best))
        parts = [own - best] if self.paired else [own, best]
        parts = [each for each in parts if len(each) > 1]
        apart = sum(float(each.var(ddof=1)) / len(each) for each in parts)
        alone = alone or apart > NOISIER * pooled
        error = math.sqrt(apart if alone else max(pooled, apart))
        df = min(len(each) for each in parts) - 1 if alone else self.df
        half = studentized(self.num_tried, df, self.level) * error
        return half, dunnett(self.num_tried - 1, df, self.level) * error  # Hsu's one-sided comparison

    def resolution(self) -> float | None:
        """The difference whose interval leaves zero out in 80 % of sweeps like this one.

        The noise is an estimate, which may be too low as well as too high: that is allowed for.
        """
        if self.sd is None:
            return None
        seeds = min(self.num_seeds, MANY_SEEDS)  # as 1 / √seeds from there on
        found = found_gap(self.num_tried, seeds, self.df, self.level, self.paired, is_estimate=True)
        return self.sd * found * math.sqrt(seeds / self.num_seeds)

    def seeds_for_margin(self) -> SeedsNeeded | None:
        """The number of seeds at which a sweep finds the margin; None: unknown."""
        if self.sd is None or self.margin <= 0:
            return None
        low, high = (self.sd * np.sqrt(self.df / chi2_point([0.95, 0.05], self.df))).tolist()
        return SeedsNeeded(self._seeds_for(low), self._seeds_for(high))

    def _seeds_for(self, sd: float) -> int | None:
        wanted = self.margin / sd if sd else math.inf  # runs of all values may be the same to the bit
        counts = range(2, MANY_SEEDS + 1)  # what is found falls with the seeds
        place = bisect_left(counts, -wanted, key=lambda seeds: -self._found_with(seeds))
        if place < len(counts):
            return counts[place]
        short = self._found_with(MANY_SEEDS) / wanted
        seeds = MANY_SEEDS * short * short  # as 1 / √seeds from there on
        return math.ceil(seeds) if seeds <= MOST_SEEDS else None

    def _found_with(self, seeds: int) -> float:
        df = (self.num_tried - self.paired) * (seeds - 1)
        return found_gap(self.num_tried, seeds, df, self.level, self.paired, draws=3_000)


@dataclass(frozen=True)
class SeedsNeeded:
    """A number of seeds as far as it is known: the noise that it comes from is an estimate. 90 % of the time in it."""

    low: int | None  # None: over 1,000
    high: int | None

    def beyond(self, now: int) -> SeedsNeeded:
        """The same where so many have been too few."""
        low = None if self.low is None else max(self.low, now + 1)
        return SeedsNeeded(low, None if self.high is None or low is None else max(self.high, low))

    def __str__(self) -> str:
        if self.low is None:
            return "over 1,000"
        return str(self.low) if self.high == self.low else f"{self.low} to {self.high or 'over 1,000'}"


def _paired_noise(table: Array) -> tuple[float, int]:
    """The sum of squares of what values and seeds leave of a table [k, S], and its degrees of freedom."""
    residual = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    return float((residual**2).sum()), (len(table) - 1) * (table.shape[1] - 1)


def _unpaired_noise(rows: Sequence[Array]) -> tuple[float, int]:
    """The same of rows of any length, of which nothing but their mean is known; 0 of a single row."""
    squares = sum(float(((row - row.mean()) ** 2).sum()) for row in rows)
    return squares, sum(len(row) - 1 for row in rows) if len(rows) > 1 else 0


def spread_of_runs(rows: Sequence[Array]) -> float | None:
    """Standard deviation of the losses of one value's runs, pooled over values (a row each); None: not to be told.

    What pairing by seed leaves of it is less, where seeds have a part of their noise in common.
    """
    squares, df = _unpaired_noise(rows)
    return math.sqrt(squares / df) if df else None


def usual_number(rows: Sequence[Array]) -> int:
    """The length of the rows; where they differ the harmonic mean, by which errors of means go."""
    return round(len(rows) / sum(1 / len(row) for row in rows))


def unstable(rows: Sequence[Array]) -> Mask:
    """[k] values whose losses (a row) vary so much more than the others' that luck does it in 1 % of values at most.

    The ratio of a variance to the median one, beyond its 99 % point for noise of Student's t with 3 degrees of freedom
    (and so for normal noise, whose point is lower). With fewer than three values or seeds nothing is unstable.
    """
    num_values, num_seeds = len(rows), min(len(row) for row in rows)
    if num_values < 3 or num_seeds < 3:
        return np.zeros(num_values, bool)
    variances = np.array([row.var(ddof=1) for row in rows])
    usual = float(np.median(variances))
    return np.asarray((variances > unstable_ratio(num_values, min(num_seeds, MANY_SEEDS)) * usual) & (usual > 0))


def shared_noise(table: Array) -> float | None:
    """The share of their runs' variance that the values of a table [k, S] have in common through their seeds.

    The intraclass correlation of a two-way table, at least 0: what pairing by seeds takes away. (A mean of correlations
    between rows says too much: rows that rise and fall together by different amounts still differ.)
    """
    num_values, num_seeds = table.shape
    if num_values < 2 or num_seeds < 3:
        return None
    squares, df = _paired_noise(table)
    own = squares / df
    of_seeds = num_values * float(table.mean(0).var(ddof=1))
    spread = of_seeds + (num_values - 1) * own
    return max(0.0, (of_seeds - own) / spread) if spread > 0 else None


def rounding(table: Array) -> float:
    """The deviation that rounding leaves in a table of round numbers whose rows differ; 0: it is not round.

    Rounding can make noise vanish from a small table by luck; no noise at all would be taken for certainty.
    """
    if (table == table[0]).all():
        return 0.0
    for decimals in range(5):
        if (table == table.round(decimals)).all():
            return float(10.0**-decimals / math.sqrt(12))
    return 0.0

"""The noise of a table of losses, and the smallest difference between values that stands out from the noise."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
POWER = 0.8
MANY_SEEDS = 30
MOST_SEEDS = 1000
NOISIER = 3.0
"""A difference whose variance is so many times the pooled one is judged by its own alone."""
MOST_DRAWN = 5 * 10**6
"""Numbers drawn at once: of many values fewer tables are drawn."""

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
        half = _studentized(self.num_tried, df, self.level) * error
        return half, _dunnett(self.num_tried - 1, df, self.level) * error  # Hsu's one-sided comparison

    def resolution(self) -> float | None:
        """The difference whose interval leaves zero out in 80 % of sweeps like this one.

        The noise is an estimate, which may be too low as well as too high: that is allowed for.
        """
        if self.sd is None:
            return None
        seeds = min(self.num_seeds, MANY_SEEDS)  # as 1 / √seeds from there on
        found = _found(self.num_tried, seeds, self.df, self.level, self.paired, is_estimate=True)
        return self.sd * found * math.sqrt(seeds / self.num_seeds)

    def seeds_for_margin(self) -> SeedsNeeded | None:
        """The number of seeds at which a sweep finds the margin; None: unknown."""
        if self.sd is None or self.margin <= 0:
            return None
        chi2 = _stats().chi2
        low, high = (self.sd * math.sqrt(self.df / chi2.ppf(share, self.df)) for share in (0.95, 0.05))
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
        return _found(self.num_tried, seeds, df, self.level, self.paired, draws=3_000)


@dataclass(frozen=True)
class SeedsNeeded:
    """A number of seeds as far as it is known: the noise that it comes from is an estimate. 90 % of the time in it."""

    low: int | None  # None: over 1,000
    high: int | None


@dataclass(frozen=True)
class Foreseen:
    """The difference that a plan finds four times of five, foreseen from noise that is an estimate."""

    difference: float
    low: float  # 90 % of the time between low and high
    high: float

    @classmethod
    def of(cls, sd: float, df: int, *, num_values: int, num_seeds: int, level: float = LEVEL) -> Foreseen:
        """From the noise of the first runs.

        Args:
            sd: of one run.
            df: degrees of freedom that it was estimated with.
            num_values: that the plan compares, two at least.
            num_seeds: of each, two at least.
            level: that the plan's comparisons share.
        """
        seeds = min(num_seeds, MANY_SEEDS)
        found = _found(num_values, seeds, (num_values - 1) * (seeds - 1), level, draws=3_000)
        found *= sd * math.sqrt(seeds / num_seeds)
        middle, low, high = (math.sqrt(df / _stats().chi2.ppf(share, df)) for share in (0.5, 0.95, 0.05))
        return cls(found * middle, found * low, found * high)


def _paired_noise(table: Array) -> tuple[float, int]:
    """The sum of squares of what values and seeds leave of a table [k, S], and its degrees of freedom."""
    residual = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    return float((residual**2).sum()), (len(table) - 1) * (table.shape[1] - 1)


def _unpaired_noise(rows: Sequence[Array]) -> tuple[float, int]:
    """The same of rows of any length, of which nothing but their mean is known; 0 of a single row."""
    squares = sum(float(((row - row.mean()) ** 2).sum()) for row in rows)
    return squares, sum(len(row) - 1 for row in rows) if len(rows) > 1 else 0


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
    return np.asarray((variances > _unstable_ratio(num_values, min(num_seeds, MANY_SEEDS)) * usual) & (usual > 0))


def mean_correlation(table: Array) -> float | None:
    """How much of their noise the values of a table [k, S] share through their seeds: mean over pairs of values."""
    if len(table) < 2 or table.shape[1] < 3 or (table.std(1) == 0).any():
        return None
    correlations = np.asarray(np.corrcoef(table))
    return float(correlations[np.triu_indices(len(table), 1)].mean())


@cache
def _studentized(num_values: int, df: int, level: float = LEVEL) -> float:
    """q(level; k, df) / √2."""
    return float(_stats().studentized_range.ppf(1 - level, num_values, df)) / math.sqrt(2)


@cache
def _found(
    num_values: int,
    num_seeds: int,
    df: int,
    level: float,
    paired: bool = True,
    *,
    is_estimate: bool = False,
    draws: int = 20_000,
) -> float:
    """The gap, in standard deviations of one run, that is found in 80 % of sweeps: one value above equal others.

    By drawing sweeps: the lowest of the others is what a value is compared with, and it is low by luck too. What the
    gap has to exceed does not depend on it, so one quantile answers. Of a deviation that is itself an estimate, with
    `df` degrees of freedom, it takes more of them: the estimate is drawn, too.
    """
    random = np.random.default_rng(0)
    draws = max(100, min(draws, MOST_DRAWN // (num_values * num_seeds)))
    losses = random.standard_normal((draws, num_values, num_seeds))
    means = losses.mean(2)
    best, last = losses[np.arange(draws), means[:, :-1].argmin(1)], losses[:, -1]
    if num_seeds == 1:  # the noise is from elsewhere
        own, noise = np.zeros(draws), random.chisquare(df, draws) / df
    elif paired:
        own = (last - best).var(1, ddof=1)
        residual = losses - losses.mean(1, keepdims=True) - means[:, :, None] + losses.mean((1, 2), keepdims=True)
        noise = (residual**2).sum((1, 2)) / ((num_values - 1) * (num_seeds - 1))
    else:
        own = last.var(1, ddof=1) + best.var(1, ddof=1)
        noise = losses.var(2, ddof=1).mean(1)
    error = np.sqrt(np.maximum(2 * noise, own) / num_seeds)
    needed = _studentized(num_values, df, level) * error - (last - best).mean(1)
    if is_estimate:
        needed /= np.sqrt(random.chisquare(df, draws) / df)
    return float(np.quantile(needed, POWER))


@cache
def _unstable_ratio(num_values: int, num_seeds: int, draws: int = 40_000) -> float:
    draws = max(100, min(draws, MOST_DRAWN // (num_values * num_seeds)))
    losses = np.random.default_rng(0).standard_t(3, (draws, num_values, num_seeds))
    variances = losses.var(2, ddof=1)
    return float(np.quantile(variances / np.median(variances, 1)[:, None], 0.99))


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


@cache
def _dunnett(comparisons: int, df: int, level: float = LEVEL) -> float:
    """Dunnett's one-sided point: of `comparisons` differences from one mean, in standard errors."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    weights = weights / weights.sum()
    normal = _stats().norm
    scale = np.sqrt(_stats().chi2.ppf((np.arange(400) + 0.5) / 400, df) / df)

    def below(point: float) -> float:
        inside = normal.cdf(nodes[:, None] + math.sqrt(2) * point * scale)
        return float((weights[:, None] * inside**comparisons).sum(0).mean()) - (1 - level)

    low, high = 0.0, 50.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < 0 else (low, middle)
    return high


def _stats() -> Any:
    """Scipy's distributions, imported when the first table is judged: a second that training need not wait for."""
    from scipy import stats

    return stats

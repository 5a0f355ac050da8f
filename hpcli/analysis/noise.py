"""The noise of a table of losses, and the smallest difference between values that stands out from the noise."""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
POWER = 0.8
MANY_SEEDS = 30
NOISIER = 3.0
"""A difference whose variance is so many times the pooled one is judged by its own alone."""

Array = NDArray[np.float64]


class Ruler:
    """The noise of the stable values' losses [k, S], and the differences that stand out from the noise."""

    def __init__(
        self, table: Array, noise: tuple[float, int] | None, margin: float, num_tried: int, level: float
    ) -> None:
        self.margin = margin  # the difference that matters
        self.level = level
        self.num_tried = num_tried  # an unstable value has been a chance for a false alarm, too
        self.num_stable, self.num_seeds = table.shape
        self.df = (self.num_stable - 1) * (self.num_seeds - 1)
        self.sd: float | None = None
        if self.df:
            residual = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
            self.sd = math.sqrt(float((residual**2).sum()) / self.df)
        elif noise is not None and self.num_stable > 1:
            self.sd, self.df = float(noise[0]), int(noise[1])

    def margins(self, differences: Array) -> tuple[float, float]:
        """Half the interval of a mean of paired differences [S], and how far above the best a candidate may lie.

        A difference far noisier than the others stands on its own degrees of freedom.
        """
        assert self.sd is not None
        seeds, pooled = len(differences), 2 * self.sd**2
        own = float(differences.var(ddof=1)) if seeds > 1 else 0.0
        error = math.sqrt(max(pooled, own) / seeds)
        df = seeds - 1 if own > NOISIER * pooled else self.df
        half = _studentized(self.num_tried, df, self.level) * error
        return half, _dunnett(self.num_tried - 1, df, self.level) * error  # Hsu's one-sided comparison

    def clearly_above(self, own: Array, best: Array) -> bool:
        """Whether an unstable value [S] is above the best one, by its own variance alone."""
        error = float((own - best).std(ddof=1)) / math.sqrt(len(own))
        point = float(_stats().t.ppf(1 - self.level / 2, len(own) - 1))
        return bool(own.min() > best.max() and (own - best).mean() > point * error)

    def resolution(self) -> float | None:
        """The difference whose interval leaves zero out in 80 % of sweeps like this one."""
        if self.sd is None:
            return None
        return self.sd * _found(self.num_tried, self.num_seeds, self.df, self.level)

    def seeds_for_margin(self, most: int = 1000) -> int | None:
        """The number of seeds at which the resolution is the margin; None: more than `most`, or unknown."""
        if self.sd is None or self.margin <= 0:
            return None
        wanted = self.margin / self.sd if self.sd else math.inf  # runs of all values may be the same to the bit
        counts = range(2, MANY_SEEDS + 1)  # what is found falls with the seeds
        place = bisect_left(counts, -wanted, key=lambda seeds: -self._found_with(seeds))
        if place < len(counts):
            return counts[place]
        seeds = math.ceil(MANY_SEEDS * (self._found_with(MANY_SEEDS) / wanted) ** 2)  # as 1 / √seeds from there on
        return seeds if seeds <= most else None

    def _found_with(self, seeds: int) -> float:
        return _found(self.num_tried, seeds, (self.num_tried - 1) * (seeds - 1), self.level)


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
def _found(num_values: int, num_seeds: int, df: int, level: float, draws: int = 20_000) -> float:
    """The gap, in standard deviations of one run, that is found in 80 % of sweeps: one value above equal others.

    By drawing sweeps: the lowest of the others is what a value is compared with, and it is low by luck too. What the
    gap has to exceed does not depend on it, so one quantile answers.
    """
    random = np.random.default_rng(0)
    losses = random.standard_normal((draws, num_values, num_seeds))
    means = losses.mean(2)
    best = means[:, :-1].argmin(1)
    differences = losses[:, -1] - losses[np.arange(draws), best]
    own = differences.var(1, ddof=1) if num_seeds > 1 else np.zeros(draws)
    if num_seeds > 1:
        residual = losses - losses.mean(1, keepdims=True) - means[:, :, None] + losses.mean((1, 2), keepdims=True)
        noise = (residual**2).sum((1, 2)) / ((num_values - 1) * (num_seeds - 1))
    else:  # from elsewhere
        noise = random.chisquare(df, draws) / df
    error = np.sqrt(np.maximum(2 * noise, own) / num_seeds)
    needed = _studentized(num_values, df, level) * error - differences.mean(1)
    return float(np.quantile(needed, POWER))


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

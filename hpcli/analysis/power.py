"""Points of the distributions that differences between values are measured by, and how large a gap is found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from hpcli.analysis.distributions import chi2_point, normal_below, studentized_point

LEVEL = 0.05
POWER = 0.8
MANY_SEEDS = 30
MOST_DRAWN = 5 * 10**6
"""Numbers drawn at once: of many values fewer tables are drawn."""


@cache
def studentized(num_values: int, df: int, level: float = LEVEL) -> float:
    """q(level; k, df) / √2."""
    return studentized_point(1 - level, num_values, df) / math.sqrt(2)


@cache
def dunnett(comparisons: int, df: int, level: float = LEVEL) -> float:
    """Dunnett's one-sided point: of `comparisons` differences from one mean, in standard errors."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    weights = weights / weights.sum()
    scale = np.sqrt(chi2_point((np.arange(400) + 0.5) / 400, df) / df)

    def below(point: float) -> float:
        """Probability that none lies above, minus the one that is wanted."""
        inside = normal_below(nodes[:, None] + math.sqrt(2) * point * scale)
        return float((weights[:, None] * inside**comparisons).sum(0).mean()) - (1 - level)

    low, high = 0.0, 50.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < 0 else (low, middle)
    return high


@cache
def found_gap(
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
    needed = studentized(num_values, df, level) * error - (last - best).mean(1)
    if is_estimate:
        needed /= np.sqrt(random.chisquare(df, draws) / df)
    return float(np.quantile(needed, POWER))


@cache
def unstable_ratio(num_values: int, num_seeds: int, draws: int = 40_000) -> float:
    """The 99 % point of a variance over the median one of its table, for noise of Student's t with 3 degrees."""
    draws = max(100, min(draws, MOST_DRAWN // (num_values * num_seeds)))
    losses = np.random.default_rng(0).standard_t(3, (draws, num_values, num_seeds))
    variances = losses.var(2, ddof=1)
    return float(np.quantile(variances / np.median(variances, 1)[:, None], 0.99))


@dataclass(frozen=True)
class Foreseen:
    """The difference that a plan finds four times out of five, foreseen from noise that is an estimate."""

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
        found = found_gap(num_values, seeds, (num_values - 1) * (seeds - 1), level, draws=3_000)
        found *= sd * math.sqrt(seeds / num_seeds)
        middle, low, high = np.sqrt(df / chi2_point([0.5, 0.95, 0.05], df)).tolist()
        return cls(found * middle, found * low, found * high)

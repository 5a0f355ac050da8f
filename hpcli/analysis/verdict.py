"""From paired seeds to a verdict on each value: worse, equal, undecided, unstable or diverged, and what could be seen.

Usable alone, on any table of losses: `verdict(losses)`. Two identical runs of a network differ; a difference between
two values counts only beyond that noise, which is measured here from seeds that all values share.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

UNSTABLE = 16.0
"""A value whose variance over seeds is so many times the median one is unstable."""
LEVEL = 0.05
POWER = 0.8

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A value against the best one. Differences are in the loss's own unit, positive where the value is worse."""

    value: object
    mean: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: str  # best, equal, undecided, worse, unstable, diverged or cannot tell
    candidate: bool  # not excluded as the best


@dataclass(frozen=True)
class Verdict:
    """What a table of values × seeds says."""

    comparisons: tuple[Comparison, ...]  # in the order of the values
    best: object | None  # the lowest mean
    noise_sd: float | None  # of one run, after what its seed does to all values alike
    seed_correlation: float | None  # mean over pairs of values
    resolution: float | None  # the difference that a sweep like this finds 80 % of the time
    seeds_for_matters: int | None  # with so many seeds that difference is `matters`


def verdict(
    losses: ArrayLike,
    values: Sequence[object] | None = None,
    *,
    matters: float = 0.01,
    ceiling: float | None = None,
    noise: tuple[float, int] | None = None,
) -> Verdict:
    """Judge values by their losses over shared seeds.

    Args:
        losses: [k, S], a row a value, a column a seed: runs in one column share initial weights, data order and so on.
        values: names of the rows; None: 0 … k−1.
        matters: the difference worth knowing, as a share of the best mean.
        ceiling: a loss above it has diverged, as one that is not finite has; None: only the latter.
        noise: standard deviation of one run and its degrees of freedom, from elsewhere; needed where S is 1.

    Returns:
        Every value against the one with the lowest mean. Differences are paired by seed; their intervals are
        simultaneous, by the studentized range over all k values (Tukey); `candidate` is Hsu's one-sided comparison with
        the best. The noise is the residual of values × seeds, at least the difference's own variance.

    Raises:
        ValueError: not a table of at least one value and one seed.
    """
    table = _table(losses)
    names: list[object] = list(range(len(table)) if values is None else values)
    lost = _lost(table, ceiling)
    wild = _unstable(table, lost)
    stable = np.flatnonzero(~lost & ~wild)
    if not stable.size:
        alone = (_state_alone(name, "diverged" if gone else "unstable") for name, gone in zip(names, lost, strict=True))
        return Verdict(tuple(alone), None, None, None, None, None)
    best = int(stable[table[stable].mean(1).argmin()])
    ruler = _Ruler(table[stable], noise, matters * float(table[best].mean()))
    rows = []
    for index, name in enumerate(names):
        state = "diverged" if lost[index] else "unstable" if wild[index] else "best" if index == best else ""
        rows.append(_compared(name, table[index], table[best], ruler, state))
    return Verdict(tuple(rows), names[best], ruler.sd, ruler.correlation, ruler.resolution(), ruler.seeds_for_margin())


def _table(losses: ArrayLike) -> Array:
    table = np.asarray(losses, float)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError("losses: must be a table [values, seeds], with one of each at least")
    return table


class _Ruler:
    """The noise of a table [k, S], and what differences can be told from it."""

    def __init__(self, table: Array, noise: tuple[float, int] | None, margin: float) -> None:
        self.margin = margin  # the difference that matters
        self.num_values, self.num_seeds = table.shape
        self.df = (self.num_values - 1) * (self.num_seeds - 1)
        self.sd: float | None = None
        self.correlation: float | None = None
        if self.df:
            residual = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
            self.sd = math.sqrt(float((residual**2).sum()) / self.df)
            self.correlation = _mean_correlation(table)
        elif noise is not None and self.num_values > 1:
            self.sd, self.df = float(noise[0]), int(noise[1])

    def standard_error(self, differences: Array) -> float:
        """Of a mean of paired differences [S]."""
        assert self.sd is not None
        own = float(differences.var(ddof=1)) if len(differences) > 1 else 0.0
        return math.sqrt(max(2 * self.sd**2, own) / len(differences))

    def half_width(self) -> float:
        """Of an interval, in standard errors."""
        return _studentized(self.num_values, self.df)

    def resolution(self) -> float | None:
        """The difference whose interval leaves zero out in 80 % of sweeps like this one."""
        return None if self.sd is None else self._resolution(self.num_seeds, self.df)

    def seeds_for_margin(self, most: int = 1000) -> int | None:
        """The number of seeds at which the resolution is the margin; None: more than `most`, or unknown."""
        if self.sd is None or self.margin <= 0:
            return None
        counts = range(2, most + 1)  # the resolution falls with the seeds
        place = bisect_left(
            counts, -self.margin, key=lambda seeds: -self._resolution(seeds, (self.num_values - 1) * (seeds - 1))
        )
        return counts[place] if place < len(counts) else None

    def _resolution(self, num_seeds: int, df: int) -> float:
        assert self.sd is not None
        error = math.sqrt(2 * self.sd**2 / num_seeds)
        return error * (_studentized(self.num_values, df) + float(stats.t.ppf(POWER, df)))


def _compared(name: object, own: Array, best: Array, ruler: _Ruler, state: str) -> Comparison:
    """A value's losses [S] against the best one's; `state` is what is known of it already, empty for nothing."""
    if state == "diverged":
        return _state_alone(name, state)
    mean, differences = float(own.mean()), own - best
    difference = float(differences.mean())
    if state == "unstable":
        state = "worse" if own.min() > best.max() else state
        return Comparison(name, mean, difference, None, None, state, False)
    if state == "best":
        return Comparison(name, mean, 0.0, 0.0, 0.0, state, True)
    if ruler.sd is None:
        return Comparison(name, mean, difference, None, None, "cannot tell", True)
    error = ruler.standard_error(differences)
    half = ruler.half_width() * error
    low, high = difference - half, difference + half
    small = -ruler.margin <= low and high <= ruler.margin
    # Hsu: excluded as the best where its mean is significantly above the lowest one.
    candidate = difference <= _dunnett(ruler.num_values - 1, ruler.df) * error
    return Comparison(
        name, mean, difference, low, high, "equal" if small else "worse" if low > 0 else "undecided", candidate
    )


def _state_alone(name: object, state: str) -> Comparison:
    return Comparison(name, None, None, None, None, state, False)


def _lost(table: Array, ceiling: float | None) -> NDArray[np.bool_]:
    """Values of which a run is not finite, or above the ceiling."""
    highest = math.inf if ceiling is None else ceiling
    return np.asarray(~(np.isfinite(table) & (table <= highest)).all(1))


def _unstable(table: Array, lost: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if table.shape[1] < 2 or (~lost).sum() < 3:
        return np.zeros(len(table), bool)
    variances = np.where(lost, np.nan, np.where(np.isfinite(table), table, 0).var(1, ddof=1))
    return np.asarray(variances > UNSTABLE * np.nanmedian(variances))


def _mean_correlation(table: Array) -> float | None:
    """How much of the noise values share through their seeds: mean over pairs of values."""
    if table.shape[1] < 3 or (table.std(1) == 0).any():
        return None
    correlations = np.atleast_2d(np.corrcoef(table))
    return float(correlations[np.triu_indices(len(table), 1)].mean())


@cache
def _studentized(num_values: int, df: int) -> float:
    """q(.05; k, df) / √2."""
    return float(stats.studentized_range.ppf(1 - LEVEL, num_values, df)) / math.sqrt(2)


@cache
def _dunnett(comparisons: int, df: int) -> float:
    """Dunnett's one-sided .05 point: of `comparisons` differences from one mean, in standard errors."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    weights = weights / weights.sum()
    scale = np.sqrt(stats.chi2.ppf((np.arange(400) + 0.5) / 400, df) / df)

    def below(point: float) -> float:
        inside = stats.norm.cdf(nodes[:, None] + math.sqrt(2) * point * scale)
        return float((weights[:, None] * inside**comparisons).sum(0).mean()) - (1 - LEVEL)

    low, high = 0.0, 50.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < 0 else (low, middle)
    return high

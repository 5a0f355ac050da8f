"""From paired seeds to a verdict on each value: worse, equal, undecided, unstable or diverged, and what could be seen.

Usable alone, on any table of losses: `verdict(losses)`. Two identical runs of a network differ; a difference between
two values counts only beyond that noise, which is measured here from seeds that all values share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcli.analysis.noise import LEVEL, Array, Ruler, mean_correlation
from hpcli.states import Judgement

UNSTABLE = 16.0
"""A value whose variance over seeds is so many times the median one is unstable."""


@dataclass(frozen=True)
class Comparison:
    """A value against the best one. Differences are in the loss's own unit, positive where the value is worse."""

    value: object
    mean: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: Judgement
    candidate: bool  # not excluded as the best


@dataclass(frozen=True)
class Verdict:
    """What a table of values × seeds says."""

    comparisons: tuple[Comparison, ...]  # in the order of the values
    best: object | None  # the lowest mean
    noise_sd: float | None  # of one run, after what its seed does to all values alike
    seed_correlation: float | None  # mean over pairs of candidates
    resolution: float | None  # the difference that a sweep like this finds 80 % of the time
    seeds_for_matters: int | None  # with so many seeds that difference is `matters`

    @property
    def best_mean(self) -> float | None:
        """The lowest mean."""
        return next((each.mean for each in self.comparisons if each.verdict == Judgement.BEST), None)


def verdict(
    losses: ArrayLike,
    values: Sequence[object] | None = None,
    *,
    matters: float = 0.01,
    ceiling: float | None = None,
    missing: ArrayLike | None = None,
    noise: tuple[float, int] | None = None,
    level: float = LEVEL,
) -> Verdict:
    """Judge values by their losses over shared seeds.

    Args:
        losses: [k, S], a row a value, a column a seed: runs in one column share initial weights, data order and so on.
        values: names of the rows; None: 0 … k−1.
        matters: the difference worth knowing, as a share of the best mean.
        ceiling: a loss above it has diverged, as one that is not finite has; None: only the latter.
        missing: [k, S], true where a run failed or was never made; nothing can be told of its value. None: nowhere.
        noise: standard deviation of one run and its degrees of freedom, from elsewhere; needed where S is 1.
        level: the chance of a false *worse* that all comparisons share.

    Returns:
        Every value against the one with the lowest mean, paired by seed. Intervals are simultaneous (the studentized
        range over all k values), `candidate` is Hsu's one-sided comparison. The noise is the residual of values and
        seeds, at least the difference's own; an unstable value stays out of it.

    Raises:
        ValueError: not a table of at least one value and one seed.
    """
    table = _table(losses)
    names: list[object] = list(range(len(table)) if values is None else values)
    gone = np.zeros(len(table), bool) if missing is None else np.any(np.asarray(missing, bool), 1)
    lost = gone | _lost(table, ceiling)
    wild = _unstable(table, lost)
    stable = np.flatnonzero(~lost & ~wild)
    known = [_known(*each) for each in zip(gone.tolist(), lost.tolist(), wild.tolist(), strict=True)]
    if not stable.size:
        alone = tuple(_alone(name, state) for name, state in zip(names, known, strict=True) if state is not None)
        return Verdict(alone, None, None, None, None, None)
    best = int(stable[table[stable].mean(1).argmin()])
    known[best] = Judgement.BEST
    ruler = Ruler(table[stable], noise, matters * float(table[best].mean()), int((~lost).sum()), level)
    rows = [_compared(*each, table[best], ruler) for each in zip(names, known, table, strict=True)]
    shared = mean_correlation(table[[each.candidate for each in rows]])
    return Verdict(tuple(rows), names[best], ruler.sd, shared, ruler.resolution(), ruler.seeds_for_margin())


def _known(gone: bool, lost: bool, wild: bool) -> Judgement | None:
    """The judgement of a value that needs no comparison; None: the value is to be compared."""
    if gone:
        return Judgement.CANNOT_TELL
    return Judgement.DIVERGED if lost else Judgement.UNSTABLE if wild else None


def _table(losses: ArrayLike) -> Array:
    table = np.asarray(losses, float)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError("losses: must be a table [values, seeds], with one of each at least")
    return table


def _compared(name: object, known: Judgement | None, own: Array, best: Array, ruler: Ruler) -> Comparison:
    """A value's losses [S] against the best one's."""
    if known in (Judgement.DIVERGED, Judgement.CANNOT_TELL):
        return _alone(name, known)
    mean, differences = float(own.mean()), own - best
    difference = float(differences.mean())
    if known == Judgement.UNSTABLE:
        wild = Judgement.WORSE if ruler.clearly_above(own, best) else known
        return Comparison(name, mean, difference, None, None, wild, False)
    if known == Judgement.BEST:
        return Comparison(name, mean, 0.0, 0.0, 0.0, known, True)
    if ruler.sd is None:
        return Comparison(name, mean, difference, None, None, Judgement.CANNOT_TELL, True)
    half, reach = ruler.margins(differences)
    low, high = difference - half, difference + half
    small = -ruler.margin <= low and high <= ruler.margin
    state = Judgement.EQUAL if small else Judgement.WORSE if low > 0 else Judgement.UNDECIDED
    return Comparison(name, mean, difference, low, high, state, difference <= reach)


def _alone(name: object, state: Judgement) -> Comparison:
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

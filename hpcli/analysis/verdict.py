"""From paired seeds to a verdict on each value: worse, equal, undecided or out, and what could be seen.

Usable alone, on any table of losses: `verdict(losses)`. Two identical runs of a network differ; a difference between
two values counts only beyond that noise, which is measured here from seeds that all values share.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from hpcli.analysis.noise import Array, Mask, Ruler, SeedsNeeded, rounding, shared_noise, unstable
from hpcli.analysis.power import LEVEL
from hpcli.states import Judgement

Rows = ArrayLike | Sequence[ArrayLike]
"""A table, or rows of any length."""
LEARNT, A_RUN_LEARNT = 0.99, 0.98
"""Shares of chance. A value has learnt where its mean loss is below the first, or below chance and a run below both."""


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
    unstable: bool = False  # far noisier than the others: judged by its own variance, which stays out of theirs


@dataclass(frozen=True)
class Verdict:
    """What a table of values × seeds says."""

    comparisons: tuple[Comparison, ...]  # in the order of the values
    best: object | None  # the lowest mean
    noise_sd: float | None  # of one run, after what its seed does to all values alike
    noise_df: int | None  # degrees of freedom that it was estimated with
    seed_correlation: float | None  # the share of a run's variance that its seed gives to all stable values
    resolution: float | None  # the difference that a sweep like this finds 80 % of the time
    seeds_for_matters: SeedsNeeded | None  # with so many seeds that difference is `matters`
    margin: float | None = None  # the difference that matters, in the loss's unit
    identical: bool = False  # every run of every value has the loss of its seed, to the bit

    @property
    def eligible(self) -> list[int]:
        """Indices of the values that may be used: not excluded as the best, or as good as it."""
        return [
            index for index, each in enumerate(self.comparisons) if each.candidate or each.verdict == Judgement.EQUAL
        ]


@np.errstate(over="ignore", invalid="ignore")  # of losses near the largest float
def verdict(
    losses: Rows,
    values: Sequence[object] | None = None,
    *,
    matters: float = 0.01,
    ceiling: float | None = None,
    chance: float | None = None,
    missing: Rows | None = None,
    noise: tuple[float, int] | None = None,
    level: float = LEVEL,
    paired: bool = True,
) -> Verdict:
    """Judge values by their losses over shared seeds.

    Args:
        losses: [k, S], a row a value, a column a seed: runs in one column share initial weights, data order and so on.
            NaN (or None): the run is missing. Infinite: it has diverged.
        values: names of the rows; None: 0 … k−1.
        matters: the difference worth knowing, as a share of the best mean.
        ceiling: a loss above it has diverged, too; None: none has.
        chance: the loss of a network that has learnt nothing; values there are out. None: it is not known.
        missing: [k, S], more runs that are missing. A value with a missing run is not judged; a seed that is missing
            everywhere is left out.
        noise: standard deviation of one run and its degrees of freedom, from elsewhere; needed where S is 1.
        level: the chance of a false *worse* that all comparisons share.
        paired: whether a column is a seed. If not, values have runs of their own, as many as each has: rows may differ
            in length, and the order of a row says nothing.

    Returns:
        Every value against the one with the lowest mean, paired by seed. Intervals are simultaneous (the studentized
        range over all k values), `candidate` is Hsu's one-sided comparison. The noise is the residual of values and
        seeds, at least the difference's own. Unpaired, it is what the values leave (Tukey and Kramer's intervals).

    Raises:
        ValueError: not a table of at least one value and one seed, or not a name a row.
    """
    rows, gone = _table(losses, missing) if paired else _rows(losses, missing)
    names: list[object] = list(range(len(rows)) if values is None else values)
    if len(names) != len(rows):
        raise ValueError(f"values: {len(names)} names for {len(rows)} rows of losses")
    known = _known(rows, gone, ceiling, chance)
    live = [index for index, state in enumerate(known) if state is None]
    means = [None if state in _WITHOUT_MEAN else float(row.mean()) for state, row in zip(known, rows, strict=True)]
    if not live:
        return Verdict(tuple(map(_alone, names, known, means)), None, None, None, None, None, None)
    size = int(np.frexp(max(np.abs(rows[index]).max() for index in live))[1])
    scaled = [np.ldexp(rows[index], -size) for index in live]  # powers of two: nothing is rounded, nothing overflows
    found = _compare(scaled, [names[index] for index in live], matters, noise, level, size, paired=paired)
    compared = iter(found.comparisons)
    every = [next(compared) if each[1] is None else _alone(*each) for each in zip(names, known, means, strict=True)]
    return dataclasses.replace(found, comparisons=tuple(every), identical=found.identical and len(live) == len(names))


def _compare(
    rows: list[Array],
    names: list[object],
    matters: float,
    noise: tuple[float, int] | None,
    level: float,
    size: int,
    *,
    paired: bool,
) -> Verdict:
    """The verdict on values, a row each, that can all be judged, in units of 2 to the power `size`."""
    wild = unstable(rows)
    best = int(np.argmin([row.mean() for row in rows]))
    if noise is not None:
        noise = (math.ldexp(noise[0], -size), noise[1])
    table = np.stack(rows) if paired else np.concatenate(rows)[:, None]
    margin, grain = matters * abs(float(rows[best].mean())), rounding(np.ldexp(table, size))  # of decimals as given
    stable = [row for row, is_wild in zip(rows, wild, strict=True) if not is_wild]
    ruler = Ruler(stable, noise, margin, len(rows), level, math.ldexp(grain, -size), paired=paired)
    against = [
        _against(name, own, rows[best], ruler, alone=bool(is_wild or wild[best]))
        for name, own, is_wild in zip(names, rows, wild, strict=True)
    ]
    against[best] = Comparison(names[best], against[best].mean, 0.0, 0.0, 0.0, Judgement.BEST, candidate=True)
    against = [_back(each, size, is_wild=bool(own)) for each, own in zip(against, wild, strict=True)]
    sd, resolution = _unscaled(ruler.sd, size), _unscaled(ruler.resolution(), size)
    shared = shared_noise(np.stack(stable)) if paired and len(stable) > 1 else None
    same = paired and len(table) > 1 and bool((table == table[0]).all())
    df, matter = None if sd is None else ruler.df, math.ldexp(margin, size)
    return Verdict(tuple(against), names[best], sd, df, shared, resolution, ruler.seeds_for_margin(), matter, same)


def _against(name: object, own: Array, best: Array, ruler: Ruler, *, alone: bool) -> Comparison:
    """A value's losses against the best one's."""
    mean = float(own.mean())
    difference = float((own - best).mean()) if ruler.paired else mean - float(best.mean())
    if ruler.sd is None:
        return Comparison(name, mean, difference, None, None, Judgement.CANNOT_TELL, candidate=True)
    half, reach = ruler.margins(own, best, alone=alone)
    low, high = difference - half, difference + half
    small = -ruler.margin <= low and high <= ruler.margin
    state = Judgement.EQUAL if small else Judgement.WORSE if low > 0 else Judgement.UNDECIDED
    return Comparison(name, mean, difference, low, high, state, difference <= reach)


def _back(each: Comparison, size: int, *, is_wild: bool) -> Comparison:
    """A comparison in the loss's own unit."""
    mean, difference, low, high = (
        _unscaled(number, size) for number in (each.mean, each.difference, each.low, each.high)
    )
    return Comparison(each.value, mean, difference, low, high, each.verdict, each.candidate, is_wild)


def _unscaled(number: float | None, size: int) -> float | None:
    return None if number is None else float(np.ldexp(number, size))  # infinite beyond the largest float


_WITHOUT_MEAN = (Judgement.DIVERGED, Judgement.MISSING)


def _known(
    rows: Sequence[Array], gone: Sequence[Mask], ceiling: float | None, chance: float | None
) -> list[Judgement | None]:
    """The judgement of every value that needs no comparison; None: the value is to be compared."""
    highest = math.inf if ceiling is None else ceiling
    states: list[Judgement | None] = []
    for row, absent in zip(rows, gone, strict=True):
        if not (np.isfinite(row) & (row <= highest) | absent).all():
            states.append(Judgement.DIVERGED)
        elif not len(row) or absent.any():
            states.append(Judgement.MISSING)
        else:
            lost = chance is not None and _has_learnt_nothing(row, chance)
            states.append(Judgement.AT_CHANCE if lost else None)
    return states


def _has_learnt_nothing(row: Array, chance: float) -> bool:
    """Dead runs lie close to chance, each of them; a mean that is a little below it may be that of runs that learn."""
    mean = float(row.mean())
    return mean >= chance or (mean >= LEARNT * chance and float(row.min()) >= A_RUN_LEARNT * chance)


def _table(losses: Rows, missing: Rows | None) -> tuple[list[Array], list[Mask]]:
    """The rows of a table of losses, and where runs are missing, without the seeds that no value has."""
    table = np.asarray(cast(ArrayLike, losses), float)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError("losses: must be a table [values, seeds], with one of each at least")
    gone = np.isnan(table) if missing is None else np.isnan(table) | np.asarray(cast(ArrayLike, missing), bool)
    has_any = ~gone.all(0)
    kept = has_any if has_any.any() else slice(0, 1)
    return list(table[:, kept]), list(gone[:, kept])


def _rows(losses: Rows, missing: Rows | None) -> tuple[list[Array], list[Mask]]:
    """Rows of losses of any length, and where runs are missing."""
    rows = [np.asarray(row, float) for row in cast(Sequence[ArrayLike], losses)]
    if not rows or any(row.ndim != 1 for row in rows):
        raise ValueError("losses: must be rows of losses, one row at least")
    gone = [np.isnan(row) for row in rows]
    if missing is not None:
        gone = [
            each | np.asarray(more, bool) for each, more in zip(gone, cast(Sequence[ArrayLike], missing), strict=True)
        ]
    return rows, gone


def _alone(name: object, state: Judgement | None, mean: float | None) -> Comparison:
    assert state is not None
    return Comparison(name, mean, None, None, None, state, candidate=False)

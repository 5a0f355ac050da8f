"""What every loss curve needs: smoothing without lag, and the point where it breaks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

BREAK_DECADES = 0.1
"""A loss that stays high over so much of a range test has broken; over less, it was a spike."""


def smooth(position: ArrayLike, values: ArrayLike, width: float) -> NDArray[np.float64]:
    """Centred Gaussian average: unlike a running average it does not lag behind, whatever the step size.

    Args:
        position: [n], ascending; for a range test the logarithm of the learning rate.
        values: [n]; those that are not finite are left out.
        width: the Gaussian's standard deviation, in units of `position`.

    Returns:
        [n]; NaN where nothing finite is near.
    """
    x, y = np.asarray(position, float), np.asarray(values, float)
    finite = np.isfinite(y)
    known_x, known_y = x[finite], y[finite]
    result = np.full(len(x), np.nan)
    first = np.searchsorted(known_x, x - 4 * width, side="left")
    last = np.searchsorted(known_x, x + 4 * width, side="right")
    for index, here in enumerate(x):
        window = slice(first[index], last[index])
        weights = np.exp(-0.5 * ((known_x[window] - here) / width) ** 2)
        if weights.size:
            result[index] = weights @ known_y[window] / weights.sum()
    return result


def break_loss(initial: float, chance: float | None = None) -> float:
    """The loss above which a network is worse than one that knows nothing: 1.5 × the initial and the chance loss.

    Args:
        initial: loss before the first step, in nats.
        chance: entropy of the class frequencies; None: unknown.
    """
    return 1.5 * max(initial, chance or 0.0)


def break_index(lr: ArrayLike, loss: ArrayLike, ceiling: float) -> int | None:
    """Where a range test breaks for good: the first step that is not finite, or from which on the loss stays high.

    High is above `ceiling` for at least half of the steps of the next tenth of a decade, and at least three: a spike
    of a single batch, as networks with BatchNorm show and recover from, is not a break.

    Args:
        lr: ascending, positive; [n], or longer where the test is still running.
        loss: [n] raw.
        ceiling: see `break_loss`.

    Returns:
        Index of the first broken step; None: it does not break.
    """
    x, y = np.log10(np.asarray(lr, float)), np.asarray(loss, float)
    lost = np.flatnonzero(~np.isfinite(y))
    high = y > ceiling
    for index in np.flatnonzero(high):
        if lost.size and lost[0] <= index:
            break
        stop = max(int(np.searchsorted(x, x[index] + BREAK_DECADES, side="right")), int(index) + 3)
        if high[index:stop].sum() >= max(2.5, (stop - index) / 2) or (lost.size and lost[0] < stop):
            return int(index)
    return int(lost[0]) if lost.size else None


def is_beyond(loss: float, *, best: float, initial: float, chance: float) -> bool:
    """Whether a step's loss is so high that a range test may have broken: not finite, or above a generous ceiling.

    Above four times the best loss so far *and* above `break_loss`. (fastai stops at four times the best alone, which a
    well-trained network trips over while it is still far better than chance.)
    """
    return not math.isfinite(loss) or loss > max(4 * best, break_loss(initial, chance))

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
    """Where a range test breaks for good: the first step from which on the loss stays high, or is not finite any more.

    High is above `ceiling`, or not finite, for at least half of the steps of the next tenth of a decade, and at least
    three: a spike of a single batch, as networks with BatchNorm show and recover from, is not a break, and neither is
    a gap in a log. What is not finite up to the curve's end is one, however short.

    Args:
        lr: ascending, positive; [n], or longer where the test is still running.
        loss: [n] raw.
        ceiling: see `break_loss`.

    Returns:
        Index of the first broken step; None: it does not break.
    """
    x, y = np.log10(np.asarray(lr, float)), np.asarray(loss, float)
    finite = np.isfinite(y)
    end = int(np.flatnonzero(finite)[-1]) + 1 if finite.any() else 0  # from here on nothing is finite
    high = ~finite | (y > ceiling)
    for index in np.flatnonzero(high[:end]):
        stop = max(int(np.searchsorted(x, x[index] + BREAK_DECADES, side="right")), int(index) + 3)
        reaches_the_end = end < len(y) and end < stop and high[index:end].all()
        if high[index:stop].sum() >= max(2.5, (stop - index) / 2) or reaches_the_end:
            return int(index)
    return end if end < len(y) else None


def is_beyond(loss: float, *, best: float, initial: float, chance: float) -> bool:
    """Whether a step's loss is so high that a range test may have broken: not finite, or above a generous ceiling.

    Above four times the best loss so far *and* above `break_loss`. (fastai stops at four times the best alone, which a
    well-trained network trips over while it is still far better than chance.)
    """
    return not math.isfinite(loss) or loss > max(4 * best, break_loss(initial, chance))

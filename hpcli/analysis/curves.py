"""What every loss curve needs: smoothing without lag, and the point where it has blown up."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


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


def blown_up(loss: float, *, best: float, initial: float, num_classes: int) -> bool:
    """Whether a range test has gone past what the network can bear: not finite, or far above where it began.

    Above four times the best loss so far, and above one and a half times both the initial loss and ln K, the loss of a
    network that knows nothing. (fastai stops at four times the best alone, which a well-trained network trips over
    while it is still far better than chance.)

    Args:
        loss: of this step, in nats.
        best: lowest so far.
        initial: of the first step.
        num_classes: K.
    """
    return not math.isfinite(loss) or loss > max(4 * best, 1.5 * max(initial, math.log(num_classes)))

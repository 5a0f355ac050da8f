"""The learning rates that other finders would read off the same losses, for comparison: fastai 2's four rules.

They stand on fastai's own curve: a running average with memory 0.98, whose lag shifts everything to higher learning
rates, by an amount that grows with the step size; its first tenth and last five points are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def fastai_rules(lr: ArrayLike, loss: ArrayLike) -> dict[str, float]:
    """Suggestions of fastai 2 (callback/schedule.py): `valley`, `slide`, `steep` and `minimum` (a tenth of it).

    Args:
        lr: [n] ascending.
        loss: [n] raw losses, as each step had them.

    Returns:
        Name → learning rate; empty where too few points are left.
    """
    rates, raw = np.asarray(lr, float), np.asarray(loss, float)
    raw = raw[np.isfinite(raw).cumprod().astype(bool)]
    rates, smoothed = rates[: len(raw)], running_average(raw)
    window = slice(len(raw) // 10, -5)
    rates, smoothed = rates[window], smoothed[window]
    if len(rates) < 20:
        return {}
    return {
        "valley": _valley(rates, smoothed),
        "slide": _slide(rates, smoothed),
        "steep": _steep(rates, smoothed),
        "minimum": float(rates[smoothed.argmin()]) / 10,
    }


def running_average(values: Array, memory: float = 0.98) -> Array:
    """Exponential average with its start corrected, as fastai's recorder keeps it."""
    total, result = 0.0, np.empty(len(values))
    for index, value in enumerate(values):
        total = memory * total + (1 - memory) * value
        result[index] = total / (1 - memory ** (index + 1))
    return result


def _valley(lr: Array, loss: Array) -> float:
    """The middle of the longest decreasing subsequence, taken when that subsequence first became the longest."""
    lengths = np.ones(len(loss), int)
    start = end = 0
    for index in range(1, len(loss)):
        longest = int(lengths[end])
        running = np.maximum.accumulate(np.where(loss[index] < loss[:index], lengths[:index] + 1, 1))
        lengths[index] = running[-1]
        beyond = running[running > longest]
        if beyond.size:
            start, end = index - int(beyond[0]), index
    third = (end - start) / 3
    return float(lr[start + int(third) + int(third / 2)])


def _slide(lr: Array, loss: Array, width: int = 15, threshold: float = 0.005) -> float:
    """From the end, slide an interval to the left until the slopes at its ends are nearly equal."""
    slope = np.gradient(loss)
    right = len(loss) - 1
    chosen = lr[right - width]
    while right >= width and abs(slope[right] - slope[right - width]) > threshold:
        chosen = lr[right - width]
        right -= 1
    return float(chosen)


def _steep(lr: Array, loss: Array) -> float:
    return float(lr[(np.diff(loss) / np.diff(np.log(lr))).argmin()])

"""The signs of a learning rate that is too high, too low, or never annealed; and of a loss that jumps. See `signs`."""

from __future__ import annotations

import numpy as np

from hpcli.analysis.epochs import Array, Curves, fall, noise, steady
from hpcli.analysis.signs import HIGH, MATTERS, Finding
from hpcli.states import Sign


def unstable(curves: Curves) -> Finding | None:
    """The training loss jumps and recovers: of single batches twice or more, or of an epoch or two.

    A batch's by half a chance loss and eight standard deviations, after the first fifth of the run, when a network that
    has just begun may jump; an epoch's to above half of chance, at a high learning rate. Batches that are mixed at
    another share each do not compare.
    """
    losses = curves.steps[:0] if curves.mixed else curves.steps
    jumps = np.zeros(len(losses), bool)
    if len(losses) >= 20:
        jumps = losses - steady(losses, 9) > max(8 * noise(losses), 0.5 * curves.chance)
        jumps[: len(losses) // 5] = False
    begins = np.flatnonzero(jumps & ~np.concatenate(([False], jumps[:-1]))) if jumps.any() else np.empty(0)
    if len(begins) > 1:
        places = sorted({int(step * len(curves) / len(losses)) for step in begins})
        numbers = {"highest": float(losses[jumps].max()), "usual": float(np.median(losses))}
        return Finding(Sign.UNSTABLE, numbers, tuple(places))
    low, high, rise = _hot_rise(curves)
    if not rise or not _is_burst(curves, low, high):
        return None
    course = steady(curves.train, 3)
    return Finding(Sign.UNSTABLE, {"highest": float(course[high]), "usual": float(np.median(course))}, (high,))


def lr_too_high(curves: Curves) -> Finding | None:
    """While the learning rate is highest the training loss rises again, or hardly falls; it falls as the rate does.

    To above half of chance: below, a high rate may raise the loss as regularisation does, and gains by it. Measured in
    evaluation mode a loss rises while BatchNorm warms up, too: that rise counts where the run ends high.
    """
    course, last, end = steady(curves.train, 3), _first_heat(curves), curves.end(curves.train)
    if last < 2:
        return None
    low, high, rise = _hot_rise(curves)
    begun = max(float(curves.steps[0]) if curves.steps.size else curves.chance, float(course[0]))
    hardly = last < len(curves) - 1 and course[last] - end > 0.65 * (begun - end) and end > 0.1 * curves.chance
    if not (rise and not _is_burst(curves, low, high)) and not hardly:
        course = curves.own[: last + 1]
        low, high = _highest_rise(course)
        rise = float(course[high] - course[low])
        if rise < 0.2 * curves.chance or curves.end(curves.own) < HIGH * curves.chance:
            return None
    numbers = {"before": float(course[low]), "highest": float(course[high]), "last": end}
    return Finding(Sign.LR_TOO_HIGH, numbers | {"peak_lr": float(curves.lr.max())}, (low, high) if rise else (last,))


def _hot_rise(curves: Curves) -> tuple[int, int, float]:
    """From where to where the training loss rises most while the rate is highest, and by how much; 0: by its noise."""
    course = steady(curves.train, 3)[: _first_heat(curves) + 1]
    low, high = _highest_rise(course)
    rise = float(course[high] - course[low])
    is_rise = rise > max(0.05 * curves.chance, 4 * curves.train_noise) and course[high] > 0.5 * curves.chance
    return low, high, rise if is_rise else 0.0


def _is_burst(curves: Curves, low: int, high: int) -> bool:
    """Whether a rise is over again within a twentieth of the run, or two epochs, at the same rate."""
    course = steady(curves.train, 3)
    half = (course[low] + course[high]) / 2
    soon = course[high : high + max(3, len(curves) // 20)]
    return bool(soon.min() < half and curves.lr[high + int(np.argmin(soon))] > 0.8 * curves.lr[high])


def _first_heat(curves: Curves) -> int:
    """The last epoch of the first time that the rate is above half its highest: in a second cycle the loss rises."""
    hot = np.flatnonzero(curves.lr >= 0.5 * curves.lr.max())
    cools = np.flatnonzero(np.diff(hot) > 1)
    return int(hot[cools[0]] if cools.size else hot[-1])


def _highest_rise(course: Array) -> tuple[int, int]:
    """From where to where a curve rises most."""
    lowest = np.minimum.accumulate(course)
    high = int(np.argmax(course - lowest))
    return int(np.argmin(course[: high + 1])), high


def lr_too_low(curves: Curves) -> Finding | None:
    """The training loss falls along a straight line over the sum of the learning rates, and ends above half of chance.

    A curve that nears its end falls most at first, and hardly at all in the last third. Too few epochs look the same.
    """
    if len(curves) < 5 or curves.end(curves.own) < 0.5 * curves.chance or not curves.lr.sum() > 0:
        return None
    begun = float(curves.steps[0]) if curves.steps.size else max(curves.chance, float(curves.train[0]))
    course = np.concatenate(([begun], steady(curves.train, 3)))
    moved = np.concatenate(([0.0], np.cumsum(curves.lr))) / curves.lr.sum()
    first, second = np.interp([1 / 3, 2 / 3], moved, course)
    whole = begun - float(course[-1])
    low, high = _highest_rise(course)
    rough = max(curves.train_noise, noise(curves.valid), float(course[high] - course[low]))
    is_smooth = rough < 0.02 * curves.chance and whole > 4 * curves.train_noise
    if not is_smooth or begun - first > 0.5 * whole or second - course[-1] < 0.2 * whole:
        return None
    numbers = {"first": begun, "last": float(course[-1]), "peak_lr": float(curves.lr.max())}
    return Finding(Sign.LR_TOO_LOW, numbers, (len(curves) - 1,))


def lr_not_annealed(curves: Curves) -> Finding | None:
    """The learning rate stays high to the end, and the validation loss no longer falls, it goes up and down."""
    half = len(curves) // 2
    if half < 4 or curves.lr[-1] < 0.5 * curves.lr.max():
        return None
    late = curves.valid[half:]
    level, wild = float(np.median(late)), noise(late)
    if not abs(fall(late)) <= 2 * wild or wild < max(0.1 * level, MATTERS * curves.chance):
        return None
    numbers = {"low": float(np.min(late)), "high": float(np.max(late)), "level": level, "lr": float(curves.lr[-1])}
    return Finding(Sign.LR_NOT_ANNEALED, numbers, (half, len(curves) - 1))

"""The loss along a line between two sets of weights → barrier, connected or separated, and where BatchNorm breaks.

Letters: n places on the line, C channels of a BatchNorm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcli.states import BatchNorm, Connection

NOTICEABLE = 0.02
"""A barrier up to so many nats is no barrier, as in Frankle et al. (1912.05671), who allow 2 % of error."""

ONE_SIDED = 1.65
"""Standard errors that hold 95 % on one side."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Barrier:
    """How far the loss rises above the straight line through its two ends."""

    height: float  # in nats, at least 0; NaN where the loss is not finite at an end or between them
    alpha: float  # where


def barrier(alpha: ArrayLike, loss: ArrayLike) -> Barrier:
    """The largest difference between the loss and its chord on [0, 1] (2110.06296, section 2).

    Args:
        alpha: [n], with 0 and 1 among them.
        loss: [n], in nats.

    Raises:
        ValueError: 0 or 1 is missing.
    """
    places, losses = np.asarray(alpha, float), np.asarray(loss, float)
    if not {0.0, 1.0} <= set(places.tolist()):
        raise ValueError("alpha must have 0 and 1, the two ends, among its values")
    first, last = float(losses[places == 0][0]), float(losses[places == 1][0])
    between = (places >= 0) & (places <= 1)
    places = places[between]
    rise = losses[between] - ((1 - places) * first + places * last)
    if not np.isfinite(rise).all():
        return Barrier(math.nan, math.nan)
    highest = int(rise.argmax())
    return Barrier(float(rise[highest]), float(places[highest]))


def rise_error(alpha: float, loss: ArrayLike, first: ArrayLike, last: ArrayLike) -> float:
    """The standard error of how far a mean loss lies above its chord, paired over images.

    An image that is hard is so along the whole line; what counts is how its loss differs from its own chord.

    Args:
        alpha: where on the line.
        loss: [n] of each image, there.
        first: [n] at 0.
        last: [n] at 1.

    Returns:
        In nats; NaN where a loss is not finite.
    """
    rise = np.asarray(loss, float) - ((1 - alpha) * np.asarray(first, float) + alpha * np.asarray(last, float))
    return float(rise.std(ddof=1) / math.sqrt(len(rise))) if len(rise) > 1 and np.isfinite(rise).all() else math.nan


def connection(alpha: ArrayLike, loss: ArrayLike, error: ArrayLike) -> Connection | None:
    """Whether two checkpoints are connected along their line: how far the training loss surely rises above its chord.

    Connected: nowhere between them may it rise by more than 0.02 nats; separated: somewhere it does, both with 95 %
    on one side (1.65 standard errors). What is neither is open.

    Args:
        alpha: [n], with 0 and 1 among them.
        loss: [n], in nats.
        error: [n], of `rise_error`.

    Returns:
        None where a loss or an error between the ends is not finite.
    """
    places, losses, errors = (np.asarray(each, float) for each in (alpha, loss, error))
    first, last = float(losses[places == 0][0]), float(losses[places == 1][0])
    between = (places >= 0) & (places <= 1)
    rise = (losses - ((1 - places) * first + places * last))[between]
    reach = ONE_SIDED * errors[between]
    if not (np.isfinite(rise) & np.isfinite(reach)).all():
        return None
    if (rise + reach <= NOTICEABLE).all():
        return Connection.CONNECTED
    return Connection.SEPARATED if (rise - reach > NOTICEABLE).any() else Connection.OPEN


@dataclass(frozen=True)
class Limit:
    """Where the first averaged variance of a BatchNorm turns negative, on one side of the two checkpoints."""

    layer: str
    alpha: float


def variance_zeros(first: Array, second: Array) -> tuple[float | None, float | None]:
    """Where the first averaged variance of one BatchNorm is zero, below A and above B; None: nowhere.

    (1−α)·a + α·b is zero at α = a / (a − b). Between the checkpoints it never is, as neither variance is negative.

    Args:
        first: variance + eps in A, [C].
        second: in B, [C].
    """
    moved = first != second
    zeros = first[moved] / (first[moved] - second[moved])
    below, above = zeros[zeros < 0], zeros[zeros > 1]
    return float(below.max()) if len(below) else None, float(above.min()) if len(above) else None


def variance_limits(zeros: Mapping[str, tuple[float | None, float | None]]) -> tuple[Limit | None, Limit | None]:
    """Where averaged variances turn negative, below A and above B, and in which layer first.

    Args:
        zeros: name of each BatchNorm → its two of `variance_zeros`.
    """
    below = [Limit(layer, low) for layer, (low, _) in zeros.items() if low is not None]
    above = [Limit(layer, high) for layer, (_, high) in zeros.items() if high is not None]
    return (
        max(below, key=lambda limit: limit.alpha, default=None),
        min(above, key=lambda limit: limit.alpha, default=None),
    )


def explain_nan(
    alpha: ArrayLike, losses: Mapping[BatchNorm, ArrayLike], limits: tuple[Limit | None, Limit | None]
) -> list[str]:
    """The causes of losses that are not finite, a line each.

    Args:
        alpha: [n] places.
        losses: BatchNorm mode → [n] losses; only in `interpolate` do averaged variances count.
        limits: of `variance_limits`.
    """
    places, (low, high) = np.asarray(alpha, float), limits
    lines = []
    for mode, values in losses.items():
        lost = ~np.isfinite(np.asarray(values, float))
        if mode == BatchNorm.INTERPOLATE and low is not None and (beyond := lost & (places <= low.alpha)).any():
            lines.append(f"{mode}: negative running variance in {low.layer} from α = {low.alpha:.4g} down")
            lost &= ~beyond
        if mode == BatchNorm.INTERPOLATE and high is not None and (beyond := lost & (places >= high.alpha)).any():
            lines.append(f"{mode}: negative running variance in {high.layer} from α = {high.alpha:.4g} up")
            lost &= ~beyond
        if lost.any():
            some = ", ".join(f"{place:g}" for place in places[lost][:3]) + (", …" if lost.sum() > 3 else "")
            lines.append(f"{mode}: the network's numbers overflow at α = {some}")
    return lines


def in_words(
    heights: Mapping[BatchNorm, Barrier],
    found: Mapping[BatchNorm, Connection | None],
    error: float,
    best: tuple[float, float] | None,
) -> str:
    """The finding as a sentence.

    Args:
        heights: BatchNorm mode → barrier of the training loss; the first is judged, a second is `interpolate`.
        found: BatchNorm mode → `connection`.
        error: the standard error of the judged barrier.
        best: α and loss where the validation loss is lowest; None: nowhere finite.
    """
    (mode, judged), *others = heights.items()
    besides = [(other, barrier.height) for other, barrier in others if math.isfinite(barrier.height)]
    state = found[mode]
    if state is None:
        return "The loss is not finite between A and B: nothing can be said about the line."
    if state == Connection.CONNECTED:
        rises = f"rises at most {judged.height:.2g}" if judged.height > 0 else "nowhere rises"
        text = f"A and B are connected: the training loss {rises} above its chord"
        if besides and found[besides[0][0]] == Connection.SEPARATED:
            text += f"; the {besides[0][1]:.2g} with BatchNorm's statistics averaged is BatchNorm's, not the weights'"
    elif state == Connection.SEPARATED:
        beside = f" ({besides[0][1]:.2g} with BatchNorm's statistics averaged)" if besides else ""
        text = (
            f"A and B are separated along this line: the training loss rises {judged.height:.2g} above its chord, at "
            f"α = {judged.alpha:.2g}{beside}; curved low-loss paths usually exist"
        )
    else:
        text = (
            f"Whether A and B are connected stays open: the training loss rises {judged.height:.2g} ± {error:.1g} "
            f"above its chord, at α = {judged.alpha:.2g}, and {NOTICEABLE:g} is noticeable; more training images "
            "would tell"
        )
    if best is not None:
        text += f". The validation loss is lowest, {best[1]:.3g}, at α = {best[0]:.3g}"
    return text + "."

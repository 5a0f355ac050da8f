"""The curve of a learning-rate range test, read: smoothed up to its break, with its noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.curves import break_index, break_loss, smooth

WIDTH = 0.2
"""Standard deviation of the smoothing, in decades of learning rate."""

LEAST_GAIN = 0.02
"""A share of the initial loss; less is no learning that could be lost."""
LEAST_RISE = 1e-3
"""A share of the initial loss; less is no rise."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """The parts of a curve from which a suggestion is made."""

    lr: Array  # [n] up to where the loss breaks
    smoothed: Array  # [n]
    noise: float  # standard deviation of a raw loss around the smoothed one
    band: float  # smoothed losses closer than this cannot be told apart
    initial: float
    blow_up_lr: float | None

    @property
    def lowest(self) -> int:
        """Index of the lowest smoothed loss."""
        return int(np.argmin(self.smoothed))

    @property
    def drop(self) -> float:
        """From the initial to the lowest loss."""
        return self.initial - float(self.smoothed[self.lowest])


def read(
    lr: Array, loss: Array, *, chance_loss: float | None = None, initial_loss: float | None = None, width: float = WIDTH
) -> Reading | None:
    """Smooth a curve up to its break and measure its noise; None where not three points before it are finite."""
    if not np.isfinite(loss).any():
        return None
    finite = loss[np.isfinite(loss)]
    first = float(np.median(finite[: max(3, len(loss) // 50)])) if initial_loss is None else initial_loss
    ceiling = break_loss(first, chance_loss)
    broken = break_index(lr, loss, ceiling)
    high = len(loss) if broken is None else broken
    lost = _lost(np.log10(lr[:high]), loss[:high], max(first, chance_loss or 0.0), width)  # long before it gets high
    end = high if lost is None else lost
    rates, raw = lr[:end], loss[:end]
    if np.isfinite(raw).sum() < 3:
        return None
    position = np.log10(rates)
    smoothed = _bounded(position, raw, ceiling, width)
    noise, band = _noise(position, raw, smoothed, width)
    initial = float(smoothed[0]) if initial_loss is None else initial_loss
    return Reading(rates, smoothed, noise, band, initial, float(lr[end]) if end < len(lr) else None)


def _noise(position: Array, loss: Array, smoothed: Array, width: float) -> tuple[float, float]:
    """The standard deviation of a loss around its smoothed curve, and the difference that this makes in the latter."""
    residuals = np.where(np.isfinite(loss), loss, np.nan) - smoothed
    noise = 1.4826 * float(np.nanmedian(np.abs(residuals - np.nanmedian(residuals))))
    per_kernel = max(1.0, 2 * math.sqrt(math.pi) * width * len(position) / max(float(np.ptp(position)), width))
    return noise, 2 * math.sqrt(2) * noise * math.sqrt(_repetition(residuals) / per_kernel)


def _repetition(residuals: Array) -> float:
    """How many losses say what one would, had each its own noise: (1 + ρ) / (1 − ρ), for neighbours correlated by ρ.

    Losses of a training are nearly independent, those of a log that has been smoothed are not.
    """
    pairs = np.stack([residuals[:-1], residuals[1:]])
    pairs = pairs[:, np.isfinite(pairs).all(0)]
    if not pairs.size or not pairs.any():
        return 1.0
    pairs = pairs / np.abs(pairs).max()
    spread = float((pairs[0] ** 2).sum())
    shared = float((pairs[0] * pairs[1]).sum()) / spread if spread > 0 else 0.0
    shared = min(shared, 0.95)
    return (1 + shared) / (1 - shared) if shared > 2 / math.sqrt(pairs.shape[1]) else 1.0


def _lost(position: Array, loss: Array, reference: float, width: float) -> int | None:
    """Where a loss goes back up for good without exceeding chance by much: the network has died, not reached a plateau.

    From there to the end, and for two widths at least, four fifths of what was gained are lost again.
    """
    if not np.isfinite(loss).any():
        return None
    smoothed = _bounded(position, loss, reference, width)
    lowest = int(np.argmin(smoothed))
    if smoothed[lowest] > (1 - LEAST_GAIN) * reference:
        return _risen(position, loss, reference, width)  # nothing was gained that could be lost
    return _above(position, smoothed, smoothed[lowest] + 0.8 * (reference - smoothed[lowest]), width)


def _risen(position: Array, loss: Array, reference: float, width: float) -> int | None:
    """Where a loss leaves the level of its beginning upwards for good, by more than its noise, for two widths at least.

    Half of the way up counts: the smoothed curve begins to rise before a step of the loss.
    """
    ceiling = break_loss(reference)
    smoothed = _bounded(position, loss, ceiling, width)
    lowest = int(np.argmin(smoothed))
    if position[lowest] - position[0] < width:
        return None  # it rises from its beginning on
    _, band = _noise(position, np.minimum(loss, ceiling), smoothed, width)
    before = max(reference, float(smoothed[:lowest].max()))
    start = _above(position, smoothed, before + max(2 * band, LEAST_RISE * reference), width)
    if start is None:
        return None
    later = int(np.searchsorted(position, position[start] + 2 * width)) - 1
    half = (smoothed[lowest] + smoothed[later]) / 2
    return start + int(np.argmax(smoothed[start:] >= half))


def _above(position: Array, smoothed: Array, level: float, width: float) -> int | None:
    """From where a smoothed loss that has been at its lowest is above a level up to the end, two widths at least."""
    start = int(np.flatnonzero(smoothed <= level)[-1]) + 1
    return start if start < len(smoothed) and position[-1] - position[start] >= 2 * width else None


def _bounded(position: Array, loss: Array, ceiling: float, width: float) -> Array:
    """The losses smoothed, none of them above a ceiling: one spike is not smeared over widths."""
    bounded = np.where(np.isfinite(loss), np.minimum(loss, ceiling), np.nan)
    return _without_gaps(position, smooth(position, bounded, width))


def _without_gaps(position: Array, smoothed: Array) -> Array:
    """A smoothed curve with straight lines where no finite loss is near."""
    known = np.isfinite(smoothed)
    return np.interp(position, position[known], smoothed[known])


def around(reading: Reading, most: float) -> tuple[float, float]:
    """The ends of the stretch around the lowest loss in which the smoothed loss is at most `most`."""
    above = reading.smoothed > most
    before, after = np.flatnonzero(above[: reading.lowest]), np.flatnonzero(above[reading.lowest :])
    first = int(before[-1]) + 1 if before.size else 0
    last = reading.lowest + (int(after[0]) - 1 if after.size else len(above) - 1 - reading.lowest)
    return float(reading.lr[first]), float(reading.lr[max(last, reading.lowest)])

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
"""A share of the initial loss; less is no learning that could collapse."""

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
    broken = break_index(lr, loss, break_loss(first, chance_loss))
    if broken is None:
        broken = _collapse(np.log10(lr), loss, max(first, chance_loss or 0.0), width)
    end = len(loss) if broken is None else broken
    rates, raw = lr[:end], loss[:end]
    if np.isfinite(raw).sum() < 3:
        return None
    position = np.log10(rates)
    smoothed = _without_gaps(position, smooth(position, raw, width))
    residuals = np.where(np.isfinite(raw), raw, np.nan) - smoothed
    noise = 1.4826 * float(np.nanmedian(np.abs(residuals - np.nanmedian(residuals))))
    per_kernel = max(1.0, 2 * math.sqrt(math.pi) * width * len(rates) / max(float(np.ptp(position)), width))
    band = 2 * math.sqrt(2) * noise * math.sqrt(_repetition(residuals) / per_kernel)
    initial = float(smoothed[0]) if initial_loss is None else initial_loss
    return Reading(rates, smoothed, noise, band, initial, None if broken is None else float(lr[broken]))


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


def _collapse(position: Array, loss: Array, reference: float, width: float) -> int | None:
    """Where a loss goes back up for good without exceeding chance by much: the network has died, not reached a plateau.

    From there to the end, and for two widths at least, four fifths of what was gained are lost again.
    """
    if not np.isfinite(loss).any():
        return None
    bounded = np.where(np.isfinite(loss), np.minimum(loss, reference), np.nan)  # one spike is not smeared over widths
    smoothed = _without_gaps(position, smooth(position, bounded, width))
    lowest = int(np.argmin(smoothed))
    if smoothed[lowest] > (1 - LEAST_GAIN) * reference:
        return None  # nothing was gained that could be lost
    lost = smoothed > smoothed[lowest] + 0.8 * (reference - smoothed[lowest])
    kept = np.flatnonzero(~lost[lowest:])
    start = lowest + int(kept[-1]) + 1
    return start if start < len(loss) and position[-1] - position[start] >= 2 * width else None


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

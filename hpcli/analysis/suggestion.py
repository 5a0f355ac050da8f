"""From the curve of a learning-rate range test to a learning rate, a range around it, or a refusal.

Usable on any curve: `suggest(lr, loss)`. Smith reads the highest learning rate off the curve by eye, where the loss
stops falling or gets ragged (1506.01186, section 3.3); here that reading is spelled out, on a curve without lag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcli.analysis.curves import break_index, break_loss, smooth
from hpcli.analysis.finder_rules import fastai_rules
from hpcli.states import Refusal

WIDTH = 0.2
"""Standard deviation of the smoothing, in decades of learning rate."""
BREAK_FACTOR = 8.0
"""A 1cycle at its peak must stay this factor below the learning rate at which a range test breaks."""
FEWEST_STEPS = 60
ALREADY_TRAINED = 0.9
"""An initial loss below this share of the chance loss: the network knows something already."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Suggestion:
    """What a range test says of 1cycle's max_lr. A range, not a confidence interval."""

    suggested_lr: float | None
    low: float | None
    high: float | None
    refusal: Refusal | None  # why there is no suggestion
    refused: str | None  # the same in words, with what to change
    blow_up_lr: float | None  # where the loss breaks for good; None: it does not
    start_lr: float | None  # where the smoothed loss falls steepest
    rules: dict[str, float]  # what others would say
    notes: tuple[str, ...] = ()

    @property
    def plateau(self) -> bool:
        """The loss fell, and did not break up to the end of the test."""
        return self.suggested_lr is not None and self.blow_up_lr is None


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


def suggest(
    lr: ArrayLike,
    loss: ArrayLike,
    *,
    chance_loss: float | None = None,
    initial_loss: float | None = None,
    width: float = WIDTH,
) -> Suggestion:
    """Judge one range test.

    Args:
        lr: [n] ascending learning rates; those that are not positive are left out.
        loss: [n] the training loss of each step, raw; may end in NaN or infinity.
        chance_loss: the loss of a network that knows nothing (the entropy of the class frequencies); None: unknown.
        initial_loss: before the first step; None: the smoothed curve's start.
        width: of the smoothing, in decades.

    Returns:
        The suggestion: where the smoothed loss is lowest, at most an eighth of where it breaks. Its range goes from
        where 80 % of the drop is reached to where the loss is still within noise of its lowest, again at most an
        eighth of the break. Where nothing breaks, a plateau: its beginning, and three times that as the upper end.
        Or a refusal, with its reason.
    """
    rates, raw = np.asarray(lr, float), np.asarray(loss, float)
    raw, rates = raw[rates > 0], rates[rates > 0]
    reading = read(rates, raw, chance_loss=chance_loss, initial_loss=initial_loss, width=width)
    rules = fastai_rules(rates, raw)
    notes = []
    if chance_loss is not None and reading is not None and reading.initial < ALREADY_TRAINED * chance_loss:
        notes.append(f"already trained: it starts at a loss of {reading.initial:.3g}, chance is {chance_loss:.3g}")
    refusal = _refusal(rates, raw, reading, width)
    if refusal is not None or reading is None:
        blow_up_lr = reading.blow_up_lr if reading else None
        why, words = refusal or (None, None)
        return Suggestion(None, None, None, why, words, blow_up_lr, None, rules, tuple(notes))
    low, chosen, high = _range(reading)
    steepest = float(reading.lr[np.gradient(reading.smoothed, np.log10(reading.lr)).argmin()])
    return Suggestion(chosen, low, high, None, None, reading.blow_up_lr, steepest, rules, tuple(notes))


def read(
    lr: Array, loss: Array, *, chance_loss: float | None = None, initial_loss: float | None = None, width: float = WIDTH
) -> Reading | None:
    """Smooth a curve up to its break and measure its noise; None where there are not three finite points."""
    if np.isfinite(loss[:1]).sum() == 0:
        return None
    first = float(np.nanmedian(loss[: max(3, len(loss) // 50)])) if initial_loss is None else initial_loss
    broken = break_index(lr, loss, break_loss(first, chance_loss))
    if broken is None:
        broken = _collapse(np.log10(lr), loss, max(first, chance_loss or 0.0), width)
    end = len(loss) if broken is None else broken
    rates, raw = lr[:end], loss[:end]
    if np.isfinite(raw).sum() < 3:
        return None
    position = np.log10(rates)
    smoothed = smooth(position, raw, width)
    residuals = raw - smoothed
    noise = 1.4826 * float(np.nanmedian(np.abs(residuals - np.nanmedian(residuals))))
    per_kernel = max(1.0, 2 * math.sqrt(math.pi) * width * len(rates) / max(float(np.ptp(position)), width))
    band = 2 * math.sqrt(2) * noise / math.sqrt(per_kernel)
    initial = float(smoothed[0]) if initial_loss is None else initial_loss
    return Reading(rates, smoothed, noise, band, initial, None if broken is None else float(lr[broken]))


def _collapse(position: Array, loss: Array, reference: float, width: float) -> int | None:
    """Where a loss goes back up for good without exceeding chance by much: the network has died, not reached a plateau.

    From there to the end, and for two widths at least, four fifths of what was gained are lost again.
    """
    smoothed = smooth(position, loss, width)
    lowest = int(np.nanargmin(smoothed))
    lost = smoothed > smoothed[lowest] + 0.8 * (reference - smoothed[lowest])
    kept = np.flatnonzero(~lost[lowest:])
    start = lowest + int(kept[-1]) + 1
    return start if start < len(loss) and position[-1] - position[start] >= 2 * width else None


def _range(reading: Reading) -> tuple[float, float, float]:
    """Lower end, suggestion, upper end."""
    lr, smoothed, lowest = reading.lr, reading.smoothed, reading.lowest
    floor = float(smoothed[lowest])
    most_of_the_drop = float(lr[np.argmax(smoothed <= reading.initial - 0.8 * reading.drop)])
    if reading.blow_up_lr is None:
        beginning = float(lr[np.argmax(smoothed <= floor + reading.band)])
        return min(most_of_the_drop, beginning), beginning, 3 * beginning
    cap = reading.blow_up_lr / BREAK_FACTOR
    above = np.flatnonzero(smoothed[lowest:] > floor + reading.band)
    last = lowest + (int(above[0]) - 1 if above.size else len(lr) - 1 - lowest)
    chosen = min(float(lr[lowest]), cap)
    return min(most_of_the_drop, chosen), chosen, max(min(float(lr[last]), cap), chosen)


def _refusal(lr: Array, loss: Array, reading: Reading | None, width: float) -> tuple[Refusal, str] | None:
    """The reason why a curve gives no suggestion, and the same in words with a remedy; None: it gives one."""
    finite = np.isfinite(loss)
    decades = float(np.log10(lr[-1] / lr[0])) if len(lr) > 1 else 0.0
    if not finite.all() and np.log10(lr[np.argmin(finite)] / lr[0]) < 0.1 * decades:
        at = f"{lr[np.argmin(finite)]:.1e}"
        return Refusal.LOST_AT_START, f"the loss is not finite at {at}, near the start of the range: lower start_lr"
    if reading is None or len(reading.lr) < FEWEST_STEPS:
        usable = 0 if reading is None else len(reading.lr)
        return Refusal.TOO_FEW_STEPS, f"only {usable} usable steps, {FEWEST_STEPS} are needed: raise steps"
    if reading.drop < 3 * max(reading.noise, 1e-3 * abs(reading.initial)):
        fall, noise = f"{reading.drop:.2g}", f"{reading.noise:.2g}"
        return Refusal.FLAT, f"the loss falls by {fall} only, and its noise is {noise}: the curve says nothing"
    lowest = reading.lowest
    if np.log10(reading.lr[lowest] / reading.lr[0]) < width:
        return Refusal.LOWEST_AT_START, f"the loss is lowest at the start, {reading.lr[0]:.1e}: lower start_lr"
    if reading.blow_up_lr is None:
        beginning = int(np.argmax(reading.smoothed <= reading.smoothed[lowest] + reading.band))
        if np.log10(reading.lr[-1] / reading.lr[beginning]) < 2 * width:
            return Refusal.STILL_FALLING, f"the loss is still falling at the end, {reading.lr[-1]:.1e}: raise end_lr"
    return None

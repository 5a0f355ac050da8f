"""From the curve of a learning-rate range test to a learning rate, a range around it, or a refusal.

Usable on any curve: `suggest(lr, loss)`. Smith reads the highest learning rate off the curve by eye, where the loss
stops falling or gets ragged (1506.01186, section 3.3); here that reading is spelled out, on a curve without lag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcli.analysis.finder_rules import fastai_rules
from hpcli.analysis.reading import LEAST_GAIN, WIDTH, Reading, around, read
from hpcli.states import Refusal

BREAK_FACTOR = 8.0
"""A 1cycle at its peak must stay this factor below the learning rate at which a range test breaks."""
FEWEST_STEPS = 20
_LOWER = "lower start_lr"
LEVEL_SHARE = 0.5
"""A plateau falls, within noise, by less than this share of the steepest fall over as many decades."""
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
        lr: [n] learning rates, each above the one before; those that are not positive are left out.
        loss: [n] the training loss of each step, raw; may end in NaN or infinity, and have gaps of them.
        chance_loss: the loss of a network that knows nothing (the entropy of the class frequencies); None: unknown.
        initial_loss: before the first step; None: the smoothed curve's start.
        width: of the smoothing, in decades.

    Raises:
        ValueError: arrays of two lengths, or learning rates that do not rise.

    Returns:
        The suggestion: where the smoothed loss is lowest, at most an eighth of where it breaks. Its range goes from
        where 80 % of the drop is reached to where the loss is still within noise of its lowest, again at most an
        eighth of the break. Where nothing breaks, a plateau: its beginning, and three times that as the upper end.
        Or a refusal, with its reason. A plateau has to be shown, not only the noise be too large to see a fall.
    """
    rates, raw = _checked(lr, loss)
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


def _checked(lr: ArrayLike, loss: ArrayLike) -> tuple[Array, Array]:
    """Learning rates and losses as arrays [n], without what lies at learning rates that are not positive."""
    rates, raw = (np.asarray(each.detach().cpu() if hasattr(each, "detach") else each, float) for each in (lr, loss))
    for name, values in (("lr", rates), ("loss", raw)):
        if values.ndim != 1:
            raise ValueError(f"{name}: must be a list of numbers, one a step, not of shape {list(values.shape)}")
    if len(rates) != len(raw):
        raise ValueError(f"lr and loss: must be of one length, not {len(rates)} and {len(raw)}")
    if not np.isfinite(rates).all():
        raise ValueError(f"lr: {rates[~np.isfinite(rates)][0]} is no learning rate")
    raw, rates = raw[rates > 0], rates[rates > 0]
    falls = np.flatnonzero(np.diff(rates) <= 0)
    if falls.size:
        first = int(falls[0])
        raise ValueError(f"lr: must rise at every step, and goes from {rates[first]:.4g} to {rates[first + 1]:.4g}")
    return rates, raw


def _range(reading: Reading) -> tuple[float, float, float]:
    """Lower end, suggestion, upper end."""
    lr, smoothed, lowest = reading.lr, reading.smoothed, reading.lowest
    floor = float(smoothed[lowest])
    most_of_the_drop, _ = around(reading, reading.initial - 0.8 * reading.drop)
    beginning, end = around(reading, floor + reading.band)
    if reading.blow_up_lr is None:
        return min(most_of_the_drop, beginning), beginning, max(beginning, min(3 * beginning, end))
    cap = reading.blow_up_lr / BREAK_FACTOR
    chosen = min(float(lr[lowest]), cap)
    return min(most_of_the_drop, chosen), chosen, max(min(end, cap), chosen)


def _refusal(lr: Array, loss: Array, reading: Reading | None, width: float) -> tuple[Refusal, str] | None:
    """The reason why a curve gives no suggestion, and the same in words with a remedy; None: it gives one."""
    if reading is None and len(lr) < FEWEST_STEPS:
        return Refusal.TOO_FEW_STEPS, f"only {len(lr)} usable steps, {FEWEST_STEPS} are needed: raise steps"
    if reading is None or _is_lost_at_start(lr, reading):
        place = 0 if reading is None else len(reading.lr)
        does = "breaks" if np.isfinite(loss[place]) else "is not finite"
        return Refusal.LOST_AT_START, f"the loss {does} at {lr[place]:.1e}, near the start of the range: {_LOWER}"
    lowest, usable = reading.lowest, len(reading.lr)
    least = max(2 * reading.band, 1e-3 * abs(reading.initial))
    rise = float(reading.smoothed.max() - reading.smoothed[lowest])
    if np.log10(reading.lr[lowest] / reading.lr[0]) < width and (rise >= least or reading.blow_up_lr is not None):
        return Refusal.LOWEST_AT_START, f"the loss is lowest at the start, {reading.lr[0]:.1e}: {_LOWER}"
    if usable < FEWEST_STEPS:
        remedy = "raise steps" if len(lr) < 3 * usable else f"lower end_lr, {lr[-1]:.2g}, or raise steps"
        return Refusal.TOO_FEW_STEPS, f"only {usable} usable steps, {FEWEST_STEPS} are needed: {remedy}"
    if reading.drop < least:
        fall, noise = f"{reading.drop:.2g}", f"{least:.2g}"
        beyond = "raise end_lr, or steps" if reading.blow_up_lr is None else "raise steps, or the batch size"
        words = f"the loss falls by {fall} only, and noise may do {noise}: the curve says nothing; {beyond}"
        return Refusal.FLAT, words
    return _no_plateau(reading, width) if reading.blow_up_lr is None else None


def _no_plateau(reading: Reading, width: float) -> tuple[Refusal, str] | None:
    """Why a curve that does not break has not levelled off either, as far as it shows; None: it has."""
    beginning, _ = around(reading, float(reading.smoothed[reading.lowest]) + reading.band)
    end = f"at the end, {reading.lr[-1]:.1e}"
    if np.log10(reading.lr[-1] / beginning) < 2 * width:
        return Refusal.STILL_FALLING, f"the loss is still falling {end}: raise end_lr"
    if reading.drop < LEAST_GAIN * abs(reading.initial):
        share = f"{100 * reading.drop / abs(reading.initial):.1g} %"
        return Refusal.FLAT, f"the loss has fallen by {share} only {end}: raise end_lr"
    falls = _falls(reading, 2 * width)
    if falls[-1] + reading.band >= LEVEL_SHARE * falls.max():
        words = f"the loss may still be falling {end}; its noise hides whether it is: raise end_lr, or steps"
        return Refusal.STILL_FALLING, words
    return None


def _falls(reading: Reading, decades: float) -> Array:
    """By how much the smoothed loss falls within the `decades` before each learning rate that has so many before it."""
    position = np.log10(reading.lr)
    ends = position >= min(position[0] + decades, position[-1])
    starts = np.searchsorted(position, position[ends] - decades)
    return np.asarray(reading.smoothed[starts] - reading.smoothed[ends])


def _is_lost_at_start(lr: Array, reading: Reading) -> bool:
    """Whether the curve breaks within a tenth of its decades."""
    return reading.blow_up_lr is not None and np.log10(reading.lr[-1] / lr[0]) < 0.1 * np.log10(lr[-1] / lr[0])

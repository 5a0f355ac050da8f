"""The signs of what a training run has learnt, a function each: curves → the finding, or None where it does not show.

Epochs count from 0. What is small is counted in the chance loss: a change below a hundredth of it matters to nobody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpcli.analysis.epochs import Array, Curves, fall, noise, steady
from hpcli.states import Sign

MATTERS = 0.01
"""A change of the loss that matters, in chance losses."""
HIGH = 0.35
"""A training loss is high above so many chance losses. 1 is an untrained network."""
NEAR = 0.15
"""A validation loss is near the training loss where no more of it lies above."""
WINDOW = 6
"""So many epochs, at both sides of one, tell the noise there."""
ABOVE_CHANCE = 0.1
"""An accuracy so far above chance is more than chance."""


@dataclass(frozen=True)
class Finding:
    """A sign that shows.

    Attributes:
        sign: which.
        evidence: name → number: losses in nats, accuracies as fractions.
        epochs: the epochs that it is seen at, from 0, ascending.
    """

    sign: Sign
    evidence: Mapping[str, float]
    epochs: tuple[int, ...]


def diverged(curves: Curves) -> Finding | None:
    """The run was ended for its loss, or a loss at its end is no number."""
    if not curves.diverged and math.isfinite(curves.train[-1]) and math.isfinite(curves.valid[-1]):
        return None
    lowest = int(np.argmin(steady(curves.train, 1)))
    return Finding(Sign.DIVERGED, {"lowest": float(curves.train[lowest]), "last": float(curves.train[-1])}, (lowest,))


def collapsed(curves: Curves) -> Finding | None:
    """What had been learnt is gone: accuracy and training loss are back at chance."""
    best, last = int(np.argmin(steady(-curves.accuracy, 1))), curves.end(curves.accuracy)
    had_learnt = curves.accuracy[best] > curves.chance_accuracy + ABOVE_CHANCE
    if not had_learnt or last > curves.chance_accuracy + 0.02 or curves.end(curves.train) < 0.9 * curves.chance:
        return None
    half = (curves.accuracy[best] + curves.chance_accuracy) / 2
    gone = min(int(np.flatnonzero(curves.accuracy > half)[-1]) + 1, len(curves) - 1)
    numbers = {"best_accuracy": float(curves.accuracy[best]), "accuracy": last}
    return Finding(Sign.COLLAPSED, numbers | {"train_loss": curves.end(curves.train)}, (best, gone))


def at_chance(curves: Curves) -> Finding | None:
    """Nothing has been learnt: the training loss has never left chance, and the accuracy has not."""
    accuracy = curves.end(curves.accuracy)
    lowest = float(np.nanmin(np.concatenate((curves.train, curves.own))))
    if lowest < 0.95 * curves.chance or accuracy > curves.chance_accuracy + ABOVE_CHANCE:
        return None
    return Finding(Sign.AT_CHANCE, {"train_loss": lowest, "accuracy": accuracy, "chance": curves.chance}, ())


def bn_lag(curves: Curves) -> Finding | None:
    """Measured in evaluation mode, the network is far worse than it trains: the running statistics lag behind."""
    train, own, valid = float(curves.train[-1]), float(curves.train_eval[-1]), float(curves.valid[-1])
    anew = curves.reestimated
    if anew is not None and valid - anew > max(0.2 * anew, MATTERS * curves.chance):
        return Finding(Sign.BN_LAG, {"valid_loss": valid, "reestimated": anew}, (len(curves) - 1,))
    if own - train > max(0.5 * train, 0.1 * curves.chance):
        return Finding(Sign.BN_LAG, {"train_eval_loss": own, "train_loss": train}, (len(curves) - 1,))
    return None


def overfitting(curves: Curves) -> Finding | None:
    """The validation loss has risen from its lowest level, while the training loss has gone on falling.

    Or the training images are known by heart, and the validation loss is above half of chance.
    """
    valid, own = curves.end(curves.valid), curves.end(curves.own)
    width = 1 if len(curves) < 8 else 3 + 2 * (len(curves) // 40)
    course = steady(curves.valid, width)
    best = int(np.argmin(course))
    numbers = {
        "lowest": float(course[best]), "valid_loss": valid, "train_loss": own,
        "accuracy_then": float(curves.accuracy[best]), "accuracy": curves.end(curves.accuracy),
    }  # fmt: skip
    if _has_risen(curves, course, best, width) and own < max(0.98 * float(curves.own[best]), MATTERS * curves.chance):
        return Finding(Sign.OVERFITTING, numbers, (best, len(curves) - 1))
    by_heart = own < 0.1 * valid and valid > 0.5 * curves.chance
    return Finding(Sign.OVERFITTING, numbers, (len(curves) - 1,)) if by_heart else None


def _has_risen(curves: Curves, course: Array, best: int, width: int) -> bool:
    """Whether the validation loss ends above its lowest level by more than noise, and by more than 5 %.

    Both levels are medians, of `width` epochs and of the last quarter of what follows. The noise is that around each,
    or that of all that follows, whichever is less: single epochs are wild where the learning rate is high. The lowest
    of n medians is low by about √(2 ln n) of their standard deviations; two more are asked for. A median's variance is
    π / 2 times a mean's.
    """
    valid, after = curves.valid, len(curves) - best
    if after < 4:
        return False
    few = max(2, after // 4)
    ends = [valid[max(0, best - WINDOW) : best + WINDOW + 1], valid[-max(WINDOW, 2 * few) :]]
    local = noise(ends[0]) ** 2 / width + noise(ends[1]) ** 2 / few
    overall = noise(valid[best:] if after > WINDOW else valid[-WINDOW:]) ** 2 * (1 / width + 1 / few)
    wild = math.sqrt(math.pi / 2 * min(local, overall))
    lucky = 2 + math.sqrt(2 * math.log(1 + after / width))
    level = float(course[best])
    matters = max(0.05 * level, MATTERS * curves.chance)
    rise, last = (float(np.median(valid[-count:])) - level for count in (few, max(2, curves.few)))
    return rise > max(lucky * wild, matters) and last > matters


def underfitting(curves: Curves) -> Finding | None:
    """Both losses still fall while the learning rate is high; or the training loss is high, and validation near it."""
    valid, own = curves.end(curves.valid), curves.end(curves.own)
    valid = valid if curves.reestimated is None else curves.reestimated
    numbers = {"valid_loss": valid, "train_loss": own, "chance": curves.chance, "batches": curves.end(curves.train)}
    numbers |= _mixing(curves)
    tail = max(4, len(curves) // 3)
    if len(curves) > tail and not curves.anneals:
        falls = [_falls(each[-tail:], curves.chance) for each in (curves.valid, curves.own)]
        if all(falls):
            return Finding(Sign.UNDERFITTING, numbers, (len(curves) - tail, len(curves) - 1))
    is_high = own > HIGH * curves.chance and valid - own < NEAR * valid
    return Finding(Sign.UNDERFITTING, numbers, ()) if is_high else None


def _falls(tail: Array, chance: float) -> bool:
    return fall(tail) > max(3 * noise(tail), 0.05 * float(np.median(tail)), MATTERS * chance)


def regularised(curves: Curves) -> Finding | None:
    """The training loss is above the validation loss for dropout, augmentation or mixing alone: no fault."""
    train, own, valid = (curves.end(each) for each in (curves.train, curves.train_eval, curves.valid))
    if not (math.isfinite(own) and own <= 1.02 * valid and train - valid > max(0.1 * valid, 0.05 * curves.chance)):
        return None
    numbers = {"train_loss": train, "valid_loss": valid, "train_eval_loss": own, **_mixing(curves)}
    return Finding(Sign.REGULARISED, numbers, (len(curves) - 1,))


def _mixing(curves: Curves) -> dict[str, float]:
    """What says that batches were mixed, among a finding's evidence; nothing where they were not."""
    return {"mixed": 1.0} if curves.mixed else {}

"""The curves of a training run, epoch by epoch, and what is needed to read them through their noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
HUGE = 1e9
"""A loss in the place of one that is no number."""
_NONE = np.empty(0)


@dataclass(frozen=True)
class Curves:
    """A training run of E epochs and S steps. Losses in nats, accuracies as fractions.

    Attributes:
        train: [E] mean over the epoch's own batches, augmented and with dropout.
        train_eval: [E] on training images, measured like the validation loss; NaN where it is not known.
        valid: [E] on validation images.
        accuracy: [E] on validation images.
        lr: [E] learning rate at the epoch's end.
        chance: loss of a network that knows the classes' frequencies and nothing else.
        chance_accuracy: its accuracy, the share of the largest class.
        steps: [S] loss of each batch; empty where it is not known.
        reestimated: the last validation loss with BatchNorm's statistics measured anew; None: it is not known.
        diverged: whether the run was ended for its loss.
        mixed: whether its batches were mixed, so that their losses are those of two labels, at a share that changes.
    """

    train: Array
    train_eval: Array
    valid: Array
    accuracy: Array
    lr: Array
    chance: float
    chance_accuracy: float
    steps: Array = field(default_factory=lambda: _NONE)
    reestimated: float | None = None
    diverged: bool = False
    mixed: bool = False

    def __post_init__(self) -> None:
        """Check that all epochs have all numbers.

        Raises:
            ValueError: curves of different lengths, or a chance loss that is not above 0.
        """
        curves = (self.train, self.train_eval, self.valid, self.accuracy, self.lr)
        if len({np.shape(each) for each in curves}) != 1 or np.ndim(self.train) != 1:
            raise ValueError("a diagnosis takes curves of one length, a number an epoch")
        if not self.chance > 0:
            raise ValueError(f"chance: {self.chance} is no loss of two classes or more")

    def __len__(self) -> int:
        return len(self.train)

    def bounded(self) -> Curves:
        """The curves with a very high number for every loss that is none, and no accuracy for one that is none."""
        train, valid, steps = (np.where(np.isfinite(each), each, HUGE) for each in (self.train, self.valid, self.steps))
        accuracy = np.where(np.isfinite(self.accuracy), self.accuracy, 0.0)
        return replace(self, train=train, valid=valid, steps=steps, accuracy=accuracy)

    @property
    def own(self) -> Array:
        """[E] The training loss to compare the validation loss with: measured like it, where that is known."""
        return np.where(np.isfinite(self.train_eval), self.train_eval, self.train)

    @property
    def train_noise(self) -> float:
        """The standard deviation of an epoch's training loss: by its batches, where they are known and compare."""
        if self.mixed or len(self.steps) < 3 * len(self):
            return noise(self.train)
        return noise(self.steps) / math.sqrt(len(self.steps) / len(self))

    @property
    def few(self) -> int:
        """So many of the last epochs stand for the end."""
        return max(1, len(self) // 10)

    @property
    def anneals(self) -> bool:
        """Whether the learning rate ends below a tenth of its highest."""
        return bool(self.lr[-1] < 0.1 * self.lr.max())

    def end(self, values: Array) -> float:
        """The level at which a curve ends: the median of its last few epochs."""
        return float(np.median(values[-self.few :]))


def steady(values: ArrayLike, width: int) -> Array:
    """Running median: single odd epochs drop out. Windows are centred, and narrower towards both ends.

    Args:
        values: [n]; what is not finite counts as infinitely high.
        width: of the window, odd.

    Returns:
        [n]
    """
    known = np.where(np.isfinite(np.asarray(values, float)), values, np.inf)
    found, count = known.astype(np.float64), len(known)
    half = min(width // 2, (count - 1) // 2)
    for reach in range(1, half):  # towards both ends
        found[reach] = np.median(known[: 2 * reach + 1])
        found[count - 1 - reach] = np.median(known[count - 1 - 2 * reach :])
    if half > 0:
        found[half : count - half] = np.median(np.lib.stride_tricks.sliding_window_view(known, 2 * half + 1), axis=-1)
    return found


def noise(values: ArrayLike) -> float:
    """Standard deviation of a curve around its own slow course, from second differences: a straight course drops out.

    Robust: the median of their sizes, so that a few jumps change nothing. Of fewer than five values the largest.

    Args:
        values: [n]; of fewer than three nothing is known, which is 0.
    """
    bends = np.abs(np.diff(np.asarray(values, float), 2))
    bends = bends[np.isfinite(bends)] / math.sqrt(6)
    if not bends.size:
        return 0.0
    return float(1.4826 * np.median(bends) if bends.size > 2 else bends.max())


def fall(values: ArrayLike) -> float:
    """By how much the straight line through a curve falls from its first point to its last.

    Args:
        values: [n]; NaN of fewer than two, or where one is not finite.
    """
    found = np.asarray(values, float)
    if len(found) < 2 or not np.isfinite(found).all():
        return math.nan
    return float(-np.polyfit(np.arange(len(found)), found, 1)[0] * (len(found) - 1))

"""How much a weight decay can do in a run: known from the schedule, before anything trains.

Letters: S steps. A weight that gets no gradient starts at 1; what the decay leaves of it at the end is its doing alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

NOTHING = 0.01
"""Two runs whose decays differ by less than this share of a weight are the same run, but for chance."""
LITTLE = 0.1
"""Up to here a difference is there, and hardly one that a few seeds can show."""

MOST_EPOCHS = 1_000_000
"""A longer run is not named as a way to tell two decays apart."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Budget:
    """What one weight decay can do in a run."""

    weight_decay: float
    shrinkage: float  # share of a weight that it takes away by the end; above 1 where it overshoots zero
    rate: float  # sum over the steps of lr × wd, of lr × wd / (1 − momentum) where the momentum multiplies it
    epochs_to_decay: float | None  # until a weight is down to 1/e, at this run's mean rate; None: never


@dataclass(frozen=True)
class Indistinct:
    """Two weight decays whose runs differ so little that hardly any number of seeds tells the runs apart."""

    first: float
    second: float
    gap: float  # difference of their rates
    words: str
    epochs: int | None  # length of a run, of this shape, whose rates would differ by LITTLE; None: above MOST_EPOCHS


def budget(
    lr: Array, momentum: Array, weight_decay: float, *, epochs: int, coupled: bool = False, nesterov: bool = False
) -> Budget:
    """The decay budget of a run.

    Args:
        lr: [S].
        momentum: [S]; used where `coupled`.
        weight_decay: its strength.
        epochs: that the S steps make up.
        coupled: L2 joined to SGD's gradient, so that momentum multiplies it (ninefold at 0.9); otherwise decoupled
            (AdamW, SGDW; Loshchilov & Hutter, 1711.05101), which takes 1 − ∏(1 − lr·wd).
        nesterov: SGD's other momentum; where `coupled`.
    """
    left = _left_by_sgd(lr, momentum, weight_decay, nesterov) if coupled else float(np.prod(1 - lr * weight_decay))
    rate = float((lr * weight_decay / (1 - momentum if coupled else 1.0)).sum())
    return Budget(weight_decay, 1 - left, rate, epochs / rate if rate > 0 else None)


def _left_by_sgd(lr: Array, momentum: Array, weight_decay: float, nesterov: bool) -> float:
    """What torch.optim.SGD leaves of a weight of 1 whose gradient is the weight decay alone."""
    weight, velocity = 1.0, 0.0
    for step, (rate, memory) in enumerate(zip(lr.tolist(), momentum.tolist(), strict=True)):
        gradient = weight_decay * weight
        velocity = memory * velocity + gradient if step else gradient
        weight -= rate * (gradient + memory * velocity if nesterov else velocity)
    return weight


def carried(weight_decay: float, before: Array, after: Array) -> float:
    """The weight decay for more images at equal epochs: the sum of learning rate × weight decay is held.

    Theory, for AdamW and SGDW: weights are an average of updates over 1 / (lr · wd) steps, and what carries over is
    that time in epochs (Wang & Aitchison, 2405.13698). With more epochs on the same images it does not hold: there the
    decay is copied, and compared anew at full length.

    Args:
        weight_decay: found in the first run.
        before: [S] learning rates of that run, each over (1 − momentum) where the decay is coupled to SGD's gradient.
        after: [S′] of the run to come.
    """
    return weight_decay * float(before.sum() / after.sum())


def indistinct(budgets: Sequence[Budget], epochs: int, *, most: int | None = None) -> list[Indistinct]:
    """Pairs of weight decays whose runs cannot differ, or hardly, through the decay.

    Args:
        budgets: of all values, in one run's schedule.
        epochs: of that run.
        most: so many pairs at most, the first; None: all of them.
    """
    ordered = _ordered(budgets)
    pairs = ((ordered[one], ordered[other]) for one, others in _neighbours(ordered) for other in others)
    return [_pair(one, other, epochs) for one, other in islice(pairs, most)]


def num_indistinct(budgets: Sequence[Budget]) -> int:
    """How many pairs `indistinct` has; of thousands of values there are millions."""
    return sum(len(each) for _, each in _neighbours(_ordered(budgets)))


def _neighbours(ordered: Sequence[Budget]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each value's place, and the places after it of those that are hardly another run."""
    rates, decays = (np.array([getattr(each, name) for each in ordered]) for name in ("rate", "weight_decay"))
    for place in range(len(ordered)):
        later = slice(place + 1, None)
        is_close = (np.abs(rates[later] - rates[place]) < LITTLE) & (decays[later] != decays[place])
        yield place, place + 1 + np.flatnonzero(is_close)


def _ordered(budgets: Sequence[Budget]) -> list[Budget]:
    return sorted(budgets, key=lambda each: each.weight_decay)


def _pair(one: Budget, other: Budget, epochs: int) -> Indistinct:
    gap = abs(other.rate - one.rate)
    words = "no systematic difference expected" if gap < NOTHING else "unlikely to show with these seeds"
    needed = int(np.ceil(epochs * LITTLE / gap)) if gap * MOST_EPOCHS >= epochs * LITTLE else None
    return Indistinct(one.weight_decay, other.weight_decay, gap, words, needed)

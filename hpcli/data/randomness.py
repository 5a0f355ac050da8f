"""Random numbers without a generator: each number is a function of its purpose, seed, pass and image.

Data order is f(seed, pass), augmentation f(seed, pass, image), dropout and mixing f(seed, step). Nothing has to be
advanced, saved or restored, so a run can start at any step, and a number is the same on every device and in numpy or
torch.
"""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

ORDER, CROP_Y, CROP_X, FLIP, SPLIT, SAMPLE, STEP, MIX = range(1, 9)
"""What a number is for; keeps the sequences apart."""

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB

Integers = TypeVar("Integers")  # an int64 array of numpy, or an int64 tensor of torch


def random_bits(index: Integers, *parts: int) -> Integers:
    """63 random bits for each element.

    Args:
        index: int64 array or tensor of any shape; what the numbers are counted by.
        parts: seed, purpose, pass …: what the whole sequence depends on.

    Returns:
        Non-negative int64, in the shape of `index`. The finaliser of splitmix64 (Steele, Lea & Flood, 2014), once for
        the parts and once for each element.
    """
    z = index * _signed(_GOLDEN) + _signed(_start(parts))  # type: ignore[operator]
    z = (z ^ _shift(z, 30)) * _signed(_FIRST)
    z = (z ^ _shift(z, 27)) * _signed(_SECOND)
    return cast(Integers, _shift(z ^ _shift(z, 31), 1))


def random_integers(index: Integers, below: int, *parts: int) -> Integers:
    """A random integer in [0, `below`) for each element of `index`; see `random_bits`."""
    return cast(Integers, _shift(random_bits(index, *parts), 24) % below)


def shuffled(count: int, *parts: int) -> NDArray[np.int64]:
    """The numbers 0 … count−1 in an order that depends on `parts` alone."""
    return np.argsort(random_bits(np.arange(count), *parts), kind="stable")


def seed_for(*parts: int) -> int:
    """One number in [0, 2⁶³) for torch's own generators: the first of `random_bits`."""
    return _mix_integer(_start(parts)) >> 1


def _start(parts: tuple[int, ...]) -> int:
    """Where the sequence of some parts begins."""
    start = 0
    for part in parts:
        start = _mix_integer(start + _GOLDEN * (int(part) + 1))
    return start


def _shift(z, bits: int):  # type: ignore[no-untyped-def]
    """Shift right, filling with zeros; int64's own shift keeps the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _mix_integer(z: int) -> int:
    mask = (1 << 64) - 1
    z &= mask
    z = ((z ^ (z >> 30)) * _FIRST) & mask
    z = ((z ^ (z >> 27)) * _SECOND) & mask
    return z ^ (z >> 31)


def stratified(labels: NDArray[np.int64], fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide indices in two, class by class, so that each class has about `fraction` of its images in the first part.

    Args:
        labels: [N].
        fraction: in (0, 1).
        seed: which images; the same seed always chooses the same.

    Returns:
        Two sorted index arrays: the chosen, and the rest.
    """
    order = shuffled(len(labels), SPLIT, seed)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen[members[: round(fraction * len(members))]] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)

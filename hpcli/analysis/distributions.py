"""Points of the distributions that differences are measured by.

From scipy.special: scipy.stats takes a second and a half to import, and a second for a point of the studentized range,
which a table of ten values needs a dozen of.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
TAIL = 9.0
"""Standard deviations beyond which a normal density is nothing."""
DEVIATIONS, LOWEST = 64, 128
"""Nodes of the two integrals of the studentized range, over deviations and over lowest numbers. Right to 1e-8."""
HALVINGS = 40


def normal_below(values: ArrayLike) -> Array:
    """The probability that a standard normal number lies below each value."""
    from scipy.special import ndtr

    return np.asarray(ndtr(values))


def normal_point(shares: ArrayLike) -> Array:
    """The points below which a standard normal number lies with these probabilities."""
    from scipy.special import ndtri

    return np.asarray(ndtri(shares))


def chi2_point(shares: ArrayLike, df: float) -> Array:
    """The points below which a sum of `df` squared normal numbers lies with these probabilities."""
    from scipy.special import gammaincinv

    return np.asarray(2 * gammaincinv(df / 2, shares))


def t_point(share: float, df: float) -> float:
    """The point below which Student's t of `df` degrees of freedom lies with this probability."""
    from scipy.special import stdtrit

    return float(stdtrit(df, share))


@cache
def studentized_point(share: float, count: int, df: int) -> float:
    """The point below which the range of `count` normal numbers, over their estimated deviation, lies.

    Args:
        share: with this probability.
        count: two or more.
        df: of the estimate.
    """
    low, high = 1e-3, 1e9
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _studentized_above(middle, count, df) > 1 - share else (low, middle)
    return high


def _studentized_above(point: float, count: int, df: int) -> float:
    """The probability of a studentized range above `point`: over ranges w, the density of the deviation at w / point.

    A deviation s of df degrees of freedom has the density 2 (df / 2)^(df / 2) / Γ(df / 2) s^(df - 1) e^(-df s² / 2).
    Where s is small, w is: below the deviations that are integrated over, every range lies above.
    """
    spread = TAIL / math.sqrt(2 * df)
    smallest, largest = max(0.0, 1 - spread), min(1 + 1.5 * spread, 2 * TAIL / point)
    if largest <= smallest:
        return 0.0
    deviations, weights = _legendre(smallest, largest, DEVIATIONS)
    scale = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)
    density = np.exp(scale + (df - 1) * np.log(deviations) - df * deviations**2 / 2)
    return float(weights @ (density * _range_above(point * deviations, count)))


def _range_above(ranges: Array, count: int) -> Array:
    """The probability that `count` standard normal numbers spread wider than each of the ranges [n]: one is lowest."""
    lowest, weights = _legendre(-TAIL, TAIL, LOWEST)
    density = np.exp(-(lowest**2) / 2) / math.sqrt(2 * math.pi)
    within = normal_below(lowest[:, None] + ranges) - normal_below(lowest)[:, None]
    return 1 - count * (weights * density) @ within ** (count - 1)


def _legendre(low: float, high: float, count: int) -> tuple[Array, Array]:
    """Nodes and weights of Gauss and Legendre's integral from low to high."""
    nodes, weights = _unit_legendre(count)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


@cache
def _unit_legendre(count: int) -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(count)

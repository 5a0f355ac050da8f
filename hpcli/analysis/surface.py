"""A smooth surface through the losses of runs: what a loss is at settings that were not tried, and how sure that is.

A Gaussian process (Rasmussen and Williams 2006, chapters 2 and 5) with a Matérn 5/2 kernel. How fast the loss changes
along each key, how noisy a run is, and how much of the noise all runs of a seed have in common are not fitted but
weighed: a sample of kernels is drawn once from a prior, and each counts by its evidence. A point estimate from two
dozen runs would be too sure of itself.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcli.analysis.distributions import normal_below, normal_point

Array = NDArray[np.float64]

KERNELS = 32
MEAN_VARIANCE = 4.0
"""Of the unknown mean, in units of the signal's variance."""
KEEP = 3.0
"""Losses are cut off at best + KEEP × (median − best): far above the better half they say *bad*, not how bad."""
SURELY_BAD = 0.15
"""And not below best + SURELY_BAD, which is bad for certain: late in a search the median is hardly above the best."""
MEANS_AT_ONCE = 2048
"""Points whose means are predicted at once."""
NEGLIGIBLE = 0.03
"""Kernels with less than this share of the best one's evidence are left out."""


@dataclass(frozen=True)
class Axis:
    """What one coordinate of a setting is.

    Attributes:
        length: the distance over which the loss changes, median of the prior, in units of the axis, which runs from 0
            to 1.
        spread: standard deviation of its logarithm.
        choices: of a key without order, how many values it has: the coordinate is 0, 1, …; 0: it is a number in [0, 1].
        leads: whether a search first looks to both sides of the present setting along it, as along the learning rate,
            which decides most.
        parts: of a key with few values, where each lies, from place to place; empty: its range is one.
    """

    length: float = 0.8
    spread: float = 0.6
    choices: int = 0
    leads: bool = False
    parts: tuple[tuple[float, float], ...] = ()


class Surface:
    """A surface fitted to runs: k settings in d axes, each with a seed and a loss."""

    def __init__(
        self,
        axes: Sequence[Axis],
        points: ArrayLike,
        losses: ArrayLike,
        seeds: ArrayLike | None = None,
    ) -> None:
        """Fit.

        Args:
            axes: d of them.
            points: [k, d] coordinates, see `Axis`.
            losses: [k] on the scale that differences are stated on: log loss. Finite.
            seeds: [k] runs of the same seed share a part of their noise; None: each run has its own.

        Raises:
            ValueError: shapes that do not fit, a coordinate or a loss that is not finite, or no run.
        """
        self.axes = tuple(axes)
        self.points = _points(self.axes, points)
        self.losses = np.asarray(losses, float)
        own = np.arange(len(self.losses)) if seeds is None else np.asarray(seeds)
        if not len(self.losses) or not len(self.losses) == len(self.points) == len(own):
            raise ValueError("a surface takes as many points as losses and seeds, and at least one")
        if not np.isfinite(self.losses).all():
            raise ValueError("a surface takes finite losses; give a run that diverged that of a network that guesses")
        self._coordinates = _embedded(self.axes, self.points)
        cut = squashed(self.losses)
        self._center, self._unit = float(cut.mean()), float(max(cut.std(), 1e-6))
        self._fit((cut - self._center) / self._unit, (own[:, None] == own[None]).astype(float))

    def _fit(self, losses: Array, same_seed: Array) -> None:
        prior, count = _prior(self.axes), len(losses)
        eye = np.eye(count)
        noise = prior.share[:, None, None] * same_seed + (1 - prior.share[:, None, None]) * eye + 1e-6 * eye
        matrix = self._kernel(self._coordinates, self._coordinates, prior.lengths)
        root = np.linalg.cholesky(matrix + prior.noise[:, None, None] * noise)
        solved = np.linalg.solve(root, np.broadcast_to(losses[None, :, None], (len(root), count, 1)))
        shape, rate = 1.5 + count / 2, 1.0 + (solved[..., 0] ** 2).sum(1) / 2  # inverse gamma: the signal's variance
        evidence = -np.log(np.einsum("mii->mi", root)).sum(1) - shape * np.log(rate)
        weight = np.exp(evidence - evidence.max())
        kept = weight > NEGLIGIBLE
        self._weight = weight[kept] / weight[kept].sum()
        self._lengths, self._share, self._noise = prior.lengths[kept], prior.share[kept], prior.noise[kept]
        self._inverse = np.linalg.inv(root[kept])
        self._alpha = (np.swapaxes(self._inverse, 1, 2) @ solved[kept])[..., 0]
        self._variance, self._df = (rate / (shape - 1))[kept], 2 * shape

    @property
    def noise(self) -> float:
        """Standard deviation of one run's own noise: what two runs of a seed do not have in common."""
        return self._unit * math.sqrt(self._weight @ (self._noise * (1 - self._share) * self._variance))

    def predict(self, points: ArrayLike) -> tuple[Array, Array]:
        """Mean and standard deviation of the loss that a run has but for its noise.

        Args:
            points: [n, d].

        Returns:
            [n] each.
        """
        at = _embedded(self.axes, _points(self.axes, points))
        cross, reduced = self._cross(at)
        means = (cross @ self._alpha[..., None])[..., 0]
        variances = np.maximum(1 + MEAN_VARIANCE - (reduced**2).sum(1), 1e-9) * self._variance[:, None]
        mean = self._weight @ means
        spread = self._weight @ (variances + (means - mean) ** 2)
        return np.asarray(self._center + self._unit * mean), np.asarray(self._unit * np.sqrt(spread))

    def mean(self, points: ArrayLike) -> Array:
        """The mean of `predict` alone: [n], of many points in little memory."""
        at = _embedded(self.axes, _points(self.axes, points))
        parts = np.array_split(at, 1 + len(at) // MEANS_AT_ONCE)
        means = [self._kernel(each, self._coordinates, self._lengths) @ self._alpha[..., None] for each in parts]
        return np.asarray(self._center + self._unit * (self._weight @ np.concatenate(means, axis=1)[..., 0]))

    def difference(self, first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
        """Mean and standard deviation of the loss at one point minus that at another, each [d]."""
        at = _embedded(self.axes, np.stack([np.asarray(first, float), np.asarray(second, float)]))
        means, covariance = self._joint(at)
        differences = means[:, 0] - means[:, 1]
        variances = covariance[:, 0, 0] + covariance[:, 1, 1] - 2 * covariance[:, 0, 1]
        mean = float(self._weight @ differences)
        spread = self._weight @ (np.maximum(variances, 0) * self._variance + (differences - mean) ** 2)
        return self._unit * mean, self._unit * math.sqrt(spread)

    def draws(self, points: ArrayLike, count: int, rng: np.random.Generator) -> Array:
        """Surfaces that the runs leave possible: [count, n] losses at points [n, d], jointly drawn."""
        at = _embedded(self.axes, _points(self.axes, points))
        means, covariance = self._joint(at)
        roots = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(at)))
        kernels = rng.choice(len(self._weight), size=count, p=self._weight)
        scale = np.sqrt(self._variance[kernels] * self._df / rng.chisquare(self._df, size=count))
        normal = rng.normal(size=(count, len(at)))
        deviations = np.stack([roots[kernel] @ each for kernel, each in zip(kernels, normal, strict=True)])
        drawn: Array = self._center + self._unit * (means[kernels] + scale[:, None] * deviations)
        return drawn

    def _kernel(self, one: Array, other: Array, lengths: Array) -> Array:
        """[m, a, b] with the unknown mean in it."""
        squares = (one[:, None] - other[None]) ** 2
        scaled = (5 / lengths**2) @ squares.reshape(-1, one.shape[1]).T
        far = np.sqrt(scaled).reshape(len(lengths), len(one), len(other))
        return np.asarray((1 + far + far**2 / 3) * np.exp(-far) + MEAN_VARIANCE)

    def _cross(self, at: Array) -> tuple[Array, Array]:
        cross = self._kernel(at, self._coordinates, self._lengths)
        return cross, self._inverse @ np.swapaxes(cross, 1, 2)

    def _joint(self, at: Array) -> tuple[Array, Array]:
        """Means [m, n] and covariances [m, n, n] in units of the signal's variance."""
        cross, reduced = self._cross(at)
        covariance: Array = self._kernel(at, at, self._lengths) - np.swapaxes(reduced, 1, 2) @ reduced
        return (cross @ self._alpha[..., None])[..., 0], covariance


def squashed(losses: Array) -> Array:
    """Losses far above the better half, cut off: a surface through a cliff would miss what lies before it."""
    lowest = losses.min()
    return np.asarray(np.minimum(losses, lowest + max(KEEP * float(np.median(losses) - lowest), SURELY_BAD)))


def sobol(count: int, dimensions: int, seed: int | np.random.Generator) -> Array:
    """[count, dimensions] numbers that fill the unit cube evenly (a scrambled Sobol sequence)."""
    from scipy.stats import qmc  # a second and a half, which only a search has to wait for

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # balanced or not, a sequence cut at any place fills the space
        return np.asarray(qmc.Sobol(dimensions, seed=seed).random(count))


@dataclass(frozen=True)
class _Kernels:
    lengths: Array  # [m, columns]
    noise: Array  # [m] variance of one run's noise over the signal's
    share: Array  # [m] of the noise, what runs of a seed have in common


def _prior(axes: tuple[Axis, ...]) -> _Kernels:
    return _drawn(tuple((axis.length, axis.spread, axis.choices) for axis in axes))


@cache
def _drawn(axes: tuple[tuple[float, float, int], ...]) -> _Kernels:
    """Kernels drawn from the prior, the same in every process."""
    normal = normal_point(np.clip(sobol(KERNELS, len(axes) + 2, 0), 1e-3, 1 - 1e-3))
    lengths = [
        np.repeat(length * np.exp(spread * normal[:, [place]]), max(choices, 1), axis=1)
        for place, (length, spread, choices) in enumerate(axes)
    ]
    share = normal_below(-0.6 + 0.8 * normal[:, -1])
    return _Kernels(np.concatenate(lengths, axis=1), 0.15 * np.exp(normal[:, -2]), share)


def _points(axes: tuple[Axis, ...], given: ArrayLike) -> Array:
    """[n, d] coordinates, checked; of a single axis they may be [n]."""
    found = np.asarray(given, float)
    if found.ndim < 2 and (len(axes) == 1 or not found.size):
        found = found.reshape(-1, len(axes))
    if found.ndim != 2 or found.shape[1] != len(axes):
        raise ValueError(f"a surface of {len(axes)} axes takes points [n, {len(axes)}], not {list(found.shape)}")
    if not np.isfinite(found).all():
        raise ValueError("a surface takes finite coordinates")
    return found


def _embedded(axes: tuple[Axis, ...], points: Array) -> Array:
    """Coordinates whose distances the kernel takes: choices lie one apart, each from each."""
    columns = [
        np.eye(axis.choices)[points[:, place].astype(int)] / math.sqrt(2) if axis.choices else points[:, [place]]
        for place, axis in enumerate(axes)
    ]
    return np.concatenate(columns, axis=1)

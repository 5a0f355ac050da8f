"""Which setting to run next, and which of those that were run is the best: decisions on a surface.

The first settings lie to both sides of the present one along the learning rate, which decides most, and then fill the
space evenly (a scrambled Sobol sequence); each further one is where the loss may be lowest, mean − 2.5 standard
deviations (Srinivas et al. 2010, 0912.3995). In the end the lowest *mean* counts: of all settings where fresh runs will
judge it, else of those that were run. The lowest loss of many runs is lucky as well as good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.surface import Axis, Surface, sobol

Array = NDArray[np.float64]

CAUTION = 2.5
"""Standard deviations below the mean: how low a loss may be."""
AROUND, NEAR, ANYWHERE = 4, 40, 600
"""Candidates: so many around each of the best so many, and so many anywhere."""
STEP = 0.16
"""Standard deviation of a candidate around a good setting, in lengths of the axis."""
ASIDE = 0.2
"""How far from the present setting the first runs lie on an axis that leads, as a share of its range."""


def first_count(axes: Sequence[Axis]) -> int:
    """How many runs come before any is proposed, the present setting among them: the same for any budget."""
    return max(4, 2 * len(axes))


def spread_out(axes: Sequence[Axis], count: int, seed: int) -> Array:
    """Points [count, d] that fill the space evenly. More of them begin with the same ones."""
    return placed(axes, sobol(count, len(axes), np.random.default_rng(seed)))


def first_points(axes: Sequence[Axis], present: Array, seed: int) -> Array:
    """Points [n, d] to be run after the present one [d], before any is proposed.

    To both sides of it along each axis that leads: the other keys of a config that somebody uses are seldom bad, and
    where they are the best there are a search from anywhere finds that late. Then points that fill the space evenly.
    """
    points = spread_out(axes, first_count(axes) - 1, seed)
    within = np.array([each if axis.choices else np.clip(each, 0, 1) for axis, each in zip(axes, present, strict=True)])
    aside = [(place, step) for place, axis in enumerate(axes) if axis.leads for step in (-ASIDE, ASIDE)]
    for point, (place, step) in zip(points, aside, strict=False):
        point[:] = within
        point[place] = np.clip(within[place] + step, 0, 1)
    return points


def next_point(surface: Surface, rng: np.random.Generator) -> Array:
    """The point [d] to run next."""
    return np.asarray(proposals(surface, rng)[0])


def proposals(surface: Surface, rng: np.random.Generator, caution: float = CAUTION) -> Array:
    """Points [n, d] that may be run next, the best first: the lowest mean − caution × standard deviation."""
    axes, points = surface.axes, surface.points
    good = np.unique(points[np.argsort(surface.predict(points)[0], kind="stable")[: AROUND * 2]], axis=0)
    good = good[np.argsort(surface.predict(good)[0], kind="stable")[:AROUND]]
    candidates = np.concatenate(
        [placed(axes, rng.random((ANYWHERE, len(axes)))), *(_around(axes, each, rng) for each in good)]
    )
    mean, error = surface.predict(candidates)
    return np.asarray(candidates[np.argsort(mean - caution * error, kind="stable")])


def following(surface: Surface, runs: int, seed: int) -> Array:
    """Points [n, d] for the run after so many, the best first. One of the first points leads as long as there is one.

    Args:
        surface: through the runs so far, the present setting the first of them.
        runs: how many settings have been run.
        seed: of the search: the same points each time.
    """
    points = proposals(surface, np.random.default_rng([seed, runs, 0]))
    first = first_points(surface.axes, surface.points[0], seed)
    return points if runs > len(first) else np.concatenate([first[[runs - 1]], points])


def lowest(surface: Surface, seed: int) -> Array:
    """Points [n, d] from the lowest mean up, those that were run among them, which may be the lowest.

    Args:
        surface: through all runs.
        seed: of the search: the same points each time.
    """
    rng = np.random.default_rng([seed, len(surface.losses), 1])
    points = np.concatenate([proposals(surface, rng, caution=0.0), surface.points])
    return np.asarray(points[np.argsort(surface.mean(points), kind="stable")])


def winner(surface: Surface, among: NDArray[np.bool_] | None = None) -> int | None:
    """Which of the surface's runs has the setting with the lowest mean; None: there is none to choose from.

    Args:
        surface: fitted.
        among: [k] runs that may be chosen: those that have learnt something. None: all.
    """
    means = surface.predict(surface.points)[0]
    allowed = np.ones(len(means), bool) if among is None else among
    return int(np.flatnonzero(allowed)[np.argmin(means[allowed])]) if allowed.any() else None


def placed(axes: Sequence[Axis], uniform: Array) -> Array:
    """Uniform numbers as coordinates: of a choice, which one."""
    found = uniform.copy()
    for place, axis in enumerate(axes):
        if axis.choices:
            found[:, place] = np.minimum(np.floor(uniform[:, place] * axis.choices), axis.choices - 1)
    return found


def _around(axes: Sequence[Axis], point: Array, rng: np.random.Generator) -> Array:
    """Points near one: numbers moved a little, a choice sometimes changed."""
    near = np.repeat(point[None], NEAR, axis=0)
    for place, axis in enumerate(axes):
        if axis.choices:
            changed = rng.random(NEAR) < 1 / (1 + math.sqrt(axis.choices))
            near[changed, place] = rng.integers(axis.choices, size=int(changed.sum()))
        else:
            near[:, place] = np.clip(near[:, place] + STEP * axis.length * rng.normal(size=NEAR), 0, 1)
    return near

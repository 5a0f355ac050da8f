"""Tasks whose best setting is known: surfaces through the losses of real runs, with their noise; and a whole tuning."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from hpcli.analysis.gain import Gain, gain
from hpcli.analysis.search import first_count, first_points, lowest, next_point, spread_out, winner
from hpcli.analysis.surface import Axis, Surface

Array = NDArray[np.float64]

CHANCE = math.log(10)
CAP = math.log(1.1 * CHANCE)
REACH = (1.05, 1.36, 4.0)
DATA = Path(__file__).parent / "data"


class Table(NamedTuple):
    """A file of runs."""

    file: str
    present: tuple[float, float, float]
    decades: tuple[float, float, float]
    lengths: tuple[float, float, float]  # of the smooth surface, of greatest likelihood
    variance: float


SGD = Table("sgd_cifar_84_steps.csv", (0.508, 0.552, 0.425), (3.0, 1.7, 4.0), (0.23, 0.70, 1.09), 0.71)
ADAMW = Table("adamw_digits_90_steps.csv", (0.667, 0.552, 0.400), (3.0, 1.7, 5.0), (0.55, 2.83, 0.38), 1.66)


@dataclass
class Task:
    """A mean log loss everywhere, and the noise of a run: part of it common to all runs of a seed, part smooth."""

    axes: Sequence[Axis]
    mean: Callable[[Array], Array]  # [n, d] → [n]
    spread: Callable[[Array], Array]  # [n, d] → [n] standard deviation of a run
    present: Array
    deviations: Array = field(default_factory=lambda: np.random.default_rng(0).normal(size=4000))
    common: float = 0.3
    smooth: float = 0.1

    def noise(self, points: Array, seeds: Sequence[int], world: int) -> Array:
        """What is added to the means, in log loss."""
        found = np.empty(len(points))
        for place, (point, seed) in enumerate(zip(points, seeds, strict=True)):
            shared = np.random.default_rng([world, seed])
            common, turns, shifts = shared.normal(), shared.normal(size=(16, len(point))) * 4, shared.random(16)
            wave = math.sqrt(2 / 16) * float(shared.normal(size=16) @ np.cos(turns @ point + 2 * math.pi * shifts))
            bits = np.frombuffer(np.round(point, 6).tobytes(), np.uint32)
            own = float(np.random.default_rng([world, seed, *bits.tolist()]).choice(self.deviations))
            rest = 1 - self.common - self.smooth
            found[place] = math.sqrt(self.common) * common + math.sqrt(self.smooth) * wave + math.sqrt(rest) * own
        return np.asarray(found * self.spread(points))

    def run(self, points: Array, seeds: Sequence[int], world: int) -> Array:
        """Log losses of runs."""
        return np.minimum(self.mean(points) + self.noise(points, seeds, world), CAP)

    @property
    def lowest(self) -> float:
        """Mean log loss of the best setting."""
        if not hasattr(self, "_lowest"):
            grid = qmc.Sobol(len(self.axes), seed=7).random(8192)
            for place, axis in enumerate(self.axes):
                if axis.choices:
                    grid[:, place] = np.floor(grid[:, place] * axis.choices)
            self._lowest = float(self.mean(grid).min())
        return self._lowest

    def regret(self, point: Array) -> float:
        """How much higher a setting's loss is than the best one's, as a share."""
        return math.expm1(float(self.mean(point[None])[0]) - self.lowest)


def matern(one: Array, other: Array, lengths: Sequence[float]) -> Array:
    """[a, b]."""
    far = np.sqrt(5 * (((one[:, None] - other[None]) / np.asarray(lengths)) ** 2).sum(-1))
    return np.asarray((1 + far + far**2 / 3) * np.exp(-far))


@cache
def task_of(table: Table) -> Task:
    """The task that a file of runs tells of."""
    with (DATA / table.file).open() as file:
        rows = list(csv.reader(file))[1:]
    numbers = np.array([[float(each or "inf") for each in row] for row in rows])
    points, losses = numbers[:, :3], np.log(np.minimum(numbers[:, 3:], math.exp(CAP)))
    means = losses.mean(1)
    alive = means < CAP - 0.03
    around = ((points[:, None] - points[None, alive]) ** 2).sum(-1) + 4 * (means[:, None] - means[None, alive]) ** 2
    near = np.argsort(around, axis=1)[:, :8]
    spreads = np.sqrt(losses[alive].var(1, ddof=1)[near].mean(1))
    middle, unit = float(np.median(means)), float(means.std())
    kernel = table.variance * matern(points, points, table.lengths)
    weights = np.linalg.solve(kernel + np.diag(spreads**2 / losses.shape[1] / unit**2 + 1e-5), (means - middle) / unit)

    def mean(at: Array) -> Array:
        return np.minimum(middle + unit * table.variance * matern(at, points, table.lengths) @ weights, CAP)

    def spread(at: Array) -> Array:
        distance = ((at[:, None] - points[None]) ** 2).sum(-1)
        near = np.exp(-distance / (2 * 0.06**2)) + 1e-12
        return np.asarray(near @ spreads / near.sum(1))

    good = means < np.median(means)
    scaled = ((losses - means[:, None]) / spreads[:, None])[good]
    common = float(np.clip(scaled.mean(0).var(ddof=1), 0, 0.8))
    left = (scaled - scaled.mean(0)).ravel()
    lengths = [reach / decades for reach, decades in zip(REACH, table.decades, strict=True)]
    axes = [Axis(length, 0.6, leads=place == 0) for place, length in enumerate(lengths)]  # the learning rate first
    return Task(axes, mean, spread, np.array(table.present), left / left.std(), common)


def bowl(
    *,
    axes: Sequence[Axis] = (Axis(),) * 3,
    best: Sequence[float] | Array = (0.6, 0.4, 0.3),
    steep: Sequence[float] | Array = (3.0, 1.0, 0.3),
    noise: float = 0.05,
    **other: float,
) -> Task:
    """A task whose log loss is a smooth bowl, level far from its bottom."""

    def mean(at: Array) -> Array:
        return np.asarray(0.6 - 1.5 * np.exp(-((at - np.asarray(best)) ** 2 @ np.asarray(steep))))

    def spread(at: Array) -> Array:
        return np.full(len(at), noise)

    return Task(axes, mean, spread, np.full(len(axes), 0.5), **other)  # type: ignore[arg-type]


class Tuned(NamedTuple):
    """What a tuning came to."""

    point: Array  # to use
    gain: Gain | None
    chosen: Array  # of the search
    surface: Surface


def searched(task: Task, runs: int, world: int, *, present: bool = True) -> Surface:
    """A search: the surface through its runs, the present setting first."""
    rng = np.random.default_rng([world, 1])
    first = min(first_count(task.axes), runs)
    if present:
        points = np.vstack([task.present, first_points(task.axes, task.present, world)])[:first]
    else:
        points = spread_out(task.axes, first, world)
    losses = task.run(points, [0] * first, world)
    while True:
        surface = Surface(task.axes, points, losses, np.zeros(len(losses)))
        if len(losses) >= runs:
            return surface
        point = next_point(surface, rng)
        points = np.vstack([points, point])
        losses = np.append(losses, task.run(point[None], [0], world))


def tuned(task: Task, runs: int, pairs: int, world: int) -> Tuned:
    """Search and verdict."""
    surface = searched(task, runs - 2 * pairs, world)
    best = winner(surface, surface.losses < math.log(0.97 * CHANCE))
    if best is None:
        return Tuned(task.present, None, task.present, surface)
    chosen, seeds = lowest(surface, world)[0] if pairs else surface.points[best], range(300, 300 + pairs)
    if (chosen == task.present).all():
        return Tuned(task.present, None, task.present, surface)
    one, other = (
        task.run(np.repeat(point[None], pairs, axis=0), list(seeds), world) for point in (task.present, chosen)
    )
    found = gain(one, other, on_surface=surface.difference(task.present, chosen), noise=surface.noise)
    return Tuned(chosen if found.holds else task.present, found, chosen, surface)


def random_search(task: Task, runs: int, world: int) -> Array:
    """The lowest loss of as many random settings, the present one among them."""
    rng = np.random.default_rng([world, 2])
    points = np.vstack([task.present, rng.random((runs - 1, len(task.axes)))])
    return np.asarray(points[np.argmin(task.run(points, [0] * runs, world))])

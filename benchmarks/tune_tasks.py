"""Tasks for `tune.py` whose best setting is known: surfaces through tables of real runs, with the noise of the runs.

A table's mean log loss is smoothed by a Gaussian process of greatest likelihood; what diverged, and what is worse, counts
as a loss 1.1 times that of guessing, as in `tune`. A run's noise has three parts: what all runs of a seed have in common,
what neighbouring settings of a seed have in common, and the rest, drawn from the table's own residuals.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import qmc

from hpcli import load_config
from hpcli.config.space import LR, Dimension, space
from hpcli.results.searched import LOST
from hpcli.results.tune_budget import HIGHEST, bounded, range_test_keys

Array = NDArray[np.float64]
TABLES = Path(__file__).parent / "tables"
CHANCE = math.log(10)
CAP = math.log(LOST * CHANCE)
SGD = {"optimizer.name": "sgd", "optimizer.decay": "coupled", "optimizer.nesterov": True}
USUAL_SGD = {**SGD, "schedule.max_lr": 0.1, "optimizer.weight_decay": 5e-4}
TASKS: dict[str, tuple[int, dict[str, Any]]] = {
    "digits-shallow": (120, {}),
    "digits-resnet": (90, {}),
    "cifar-shallow-sgd": (84, USUAL_SGD),
    "cifar-shallow-adamw": (120, {}),
    "cifar-resnet": (100, USUAL_SGD),
    "cifar-finetune": (60, {"model.name": "timm/tf_efficientnet_lite0", "model.pretrained": True}),
}
"""Name → steps of a run, and keys of the present config beside hpcli's defaults."""
OWN_STEPS = 210
"""Of `hpcli lr-find`."""
SPREAD, BREAK = 0.5, 8.0
"""Where there is no table of range tests: a suggestion is the best learning rate times a lognormal number, and so many
times that breaks."""


@dataclass(frozen=True)
class RangeTest:
    """What one range test says."""

    steps: int
    suggested: float | None
    breaks: float | None


@dataclass
class Task:
    """A table as a task."""

    name: str
    points: Array  # [n, 3] places in `space`
    losses: Array  # [n, S] log losses, NaN: there is no such run
    fresh: NDArray[np.bool_]  # [S] seeds that are no repetition of another
    tests: dict[str, list[RangeTest]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.steps, self.keys = TASKS[self.name]
        self._means = np.nanmean(self.losses, axis=1)
        self._noise()
        self._smooth()

    def _noise(self) -> None:
        """Standard deviation of a run at each setting, from settings near by that are about as good; and its parts."""
        counts = np.isfinite(self.losses[:, self.fresh]).sum(1)
        rows = counts == counts.max()
        points, own = self.points[rows], self.losses[rows][:, self.fresh]
        own = own[:, np.isfinite(own).all(0)]
        means, num_seeds = own.mean(1), own.shape[1]
        alive = means < CAP - 0.03
        near = _squares(self.points, points[alive]) + 4 * (self._means[:, None] - means[None, alive]) ** 2
        self._spreads = np.sqrt(own[alive].var(1, ddof=1)[np.argsort(near, axis=1)[:, :8]].mean(1))
        good = alive & (means < np.median(means))
        scaled = (own - means[:, None])[good] / self._spreads[rows][good, None]
        self.common = float(np.clip(scaled.mean(0).var(ddof=1), 0, 0.8))
        left = scaled - scaled.mean(0)
        first, second = np.nonzero(np.triu(_squares(points[good], points[good]) < 0.15**2, 1))
        near_by = float((left[first] * left[second]).mean()) * num_seeds / (num_seeds - 1) if len(first) > 10 else 0.1
        self.near_by = float(np.clip(near_by, 0, 0.9 - self.common))
        self._left = left.ravel() / left.std()

    def _smooth(self) -> None:
        """The surface of greatest likelihood, and its error at settings that were left out."""
        runs = np.isfinite(self.losses).sum(1)
        self._middle, self._unit = float(np.median(self._means)), float(self._means.std())
        means, noise = (self._means - self._middle) / self._unit, self._spreads**2 / runs / self._unit**2

        def matrix(kernel: Array) -> Array:
            found = math.exp(kernel[3]) * matern(self.points, self.points, np.exp(kernel[:3]))
            return np.asarray(found + np.diag(noise + math.exp(kernel[4])))

        def unlikely(kernel: Array) -> float:
            root = np.linalg.cholesky(matrix(kernel))
            prior = ((kernel[:3] - np.log([0.3, 0.6, 0.6])) ** 2).sum() / 2
            return float((np.linalg.solve(root, means) ** 2).sum() / 2 + np.log(np.diag(root)).sum() + prior)

        start, ends = np.log([0.3, 0.6, 0.6, 2.0, 0.01]), [(-3, 2), (-3, 2), (-3, 2), (-3, 4), (-9, 0)]
        found = minimize(unlikely, start, method="L-BFGS-B", bounds=ends, options={"maxiter": 20}).x
        self._lengths, self._variance = np.exp(found[:3]), math.exp(found[3])
        inverse = np.linalg.inv(matrix(found))
        self._weights = inverse @ means
        self.explained = 1 - float((self._weights / np.diag(inverse)).var() / means.var())

    def mean(self, at: Array) -> Array:
        """Log losses [n] at places [n, 3]."""
        found = self._variance * matern(np.clip(at, 0, 1), self.points, self._lengths) @ self._weights
        return np.minimum(self._middle + self._unit * found, CAP)

    def spread(self, at: Array) -> Array:
        """Standard deviation [n] of a run."""
        near = np.exp(-_squares(np.clip(at, 0, 1), self.points) / (2 * 0.06**2)) + 1e-12
        return np.asarray(near @ self._spreads / near.sum(1))

    @cached_property
    def space(self) -> tuple[Dimension, ...]:
        """What is searched."""
        return space(load_config(overrides=self.keys))

    @cached_property
    def present(self) -> Array:
        """Places [3] of the present config."""
        config = load_config(overrides=self.keys)
        values = (config.schedule.max_lr, str(config.schedule.momentum), config.optimizer.weight_decay)
        return np.array([each.place(cast(Any, value)) for each, value in zip(self.space, values, strict=True)])

    @cached_property
    def best(self) -> Array:
        """Places [3] of the best setting."""
        grid = qmc.Sobol(3, seed=7).random(8192)
        found = grid[np.argsort(self.mean(grid))[:4]]
        ends = [minimize(lambda at: self.mean(at[None])[0], each, method="Nelder-Mead").x for each in found]
        best = min(ends, key=lambda at: float(self.mean(at[None])[0]))
        return np.clip(best, 0, 1)

    @cached_property
    def lowest(self) -> float:
        """Log loss at the best setting."""
        return float(self.mean(self.best[None])[0])

    def regret(self, point: Array) -> float:
        """By how much a setting's loss is above the lowest, as a share."""
        return math.expm1(float(self.mean(point[None])[0]) - self.lowest)

    def range_test(self, kind: str, runs: int, rng: np.random.Generator) -> RangeTest | None:
        """One range test, `own` or as in `tune`; None: `tune` leaves it out, it would take too much of so many runs."""
        keys = range_test_keys(load_config(overrides={**self.keys, "tune.runs": runs}), self.steps)
        if kind == "tune" and keys is None:
            return None
        if self.tests:
            return self.tests[kind][int(rng.integers(len(self.tests[kind])))]
        steps = OWN_STEPS if kind == "own" or keys is None else cast(int, keys["lr_find.steps"])
        suggested = self._best_lr * math.exp(SPREAD * rng.normal())
        return RangeTest(steps, suggested, min(BREAK * suggested, HIGHEST))

    @cached_property
    def _best_lr(self) -> float:
        line = np.repeat(self.present[None], 200, axis=0)
        line[:, 0] = np.linspace(0, 1, 200)
        return cast(float, self.space[0].value(float(line[np.argmin(self.mean(line)), 0])))

    def narrowed(self, test: RangeTest | None) -> tuple[Dimension, ...]:
        """What `tune` searches after a range test."""
        if test is None:
            return self.space
        said = SimpleNamespace(suggested_lr=test.suggested, blow_up_lr=test.breaks)
        bounds = bounded(cast(Any, SimpleNamespace(suggestion=said)))
        return tuple(
            each.within(bounds.low, bounds.high) if bounds is not None and each.key == LR else each
            for each in self.space
        )


class World:
    """One repetition: fresh seeds of a task."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.spent = task, 0.0
        self._seed, self._rng = seed, np.random.default_rng([seed, 1])

    def run(self, points: Array, seeds: list[int]) -> Array:
        """Log losses of runs: [n] at places [n, 3]."""
        task, noise = self.task, np.empty(len(points))
        rest = 1 - task.common - task.near_by
        for row, (point, seed) in enumerate(zip(points, seeds, strict=True)):
            shared = np.random.default_rng([self._seed, 2, seed])
            common, turns, shifts = shared.normal(), 4 * shared.normal(size=(24, 3)), shared.random(24)
            wave = math.sqrt(2 / 24) * float(shared.normal(size=24) @ np.cos(turns @ point + 2 * math.pi * shifts))
            own = float(self._rng.choice(task._left))
            noise[row] = math.sqrt(task.common) * common + math.sqrt(task.near_by) * wave + math.sqrt(rest) * own
        self.spent += len(points)
        return np.minimum(task.mean(points) + task.spread(points) * noise, CAP)


def task_of(name: str) -> Task:
    """The task of a table."""
    rows = _rows(TABLES / f"{name}.csv")
    places = [tuple(float(row[key]) for key in ("u0", "u1", "u2")) for row in rows]
    settings, seeds = list(dict.fromkeys(places)), sorted({int(row["seed"]) for row in rows})
    losses = np.full((len(settings), len(seeds)), np.nan)
    where = {place: number for number, place in enumerate(settings)}
    for place, row in zip(places, rows, strict=True):
        loss = min(math.log(float(row["loss"])), CAP) if row["loss"] else CAP
        losses[where[place], seeds.index(int(row["seed"]))] = loss
    tests: dict[str, list[RangeTest]] = {}
    for row in _rows(TABLES / "range_tests.csv"):
        if row["task"] == name:
            said = [float(row[key]) if row[key] else None for key in ("suggested", "breaks")]
            tests.setdefault(row["kind"], []).append(RangeTest(int(row["steps"]), *said))
    return Task(name, np.array(settings), losses, np.array(seeds) < 10, tests)


def matern(one: Array, other: Array, lengths: Array) -> Array:
    """[a, b]."""
    far = np.sqrt(5 * _squares(one / lengths, other / lengths))
    return np.asarray((1 + far + far**2 / 3) * np.exp(-far))


def _squares(one: Array, other: Array) -> Array:
    return np.asarray(((one[:, None] - other[None]) ** 2).sum(-1))


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()[1:]))

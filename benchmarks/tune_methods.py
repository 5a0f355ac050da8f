"""Methods for `tune.py`, each with so many short runs in all: what they choose, [3] places, and what `tune` states.

All but the grid begin with the present config, and all runs of a search have one seed, as `tune` has: argmin over runs of
one seed errs less than over seeds of their own. A range test costs the runs that its steps could have been.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from pydantic import JsonValue
from tune_tasks import CHANCE, Array, World

from hpcli import load_config
from hpcli.analysis.choice import choose
from hpcli.analysis.gain import Gain, gain
from hpcli.analysis.search import following, lowest, winner
from hpcli.analysis.surface import Surface
from hpcli.analysis.verdict import verdict
from hpcli.config.grids import grid as usual_grid
from hpcli.config.space import Dimension
from hpcli.results.searched import LEARNT, axis_of
from hpcli.results.tune_budget import FIRST_FRESH, divided, ranges_lr

Values = tuple[JsonValue, ...]
GRIDS = {12: (4, 1, 3), 24: (4, 2, 3), 48: (4, 3, 4), 96: (6, 4, 4)}
"""Runs → values of each key; a single one is the present."""


@dataclass(frozen=True)
class Chosen:
    """What a method came to."""

    point: Array  # to use
    candidate: Array | None = None  # of `tune`: what met the present config
    gain: Gain | None = None


def ours(world: World, runs: int, rng: np.random.Generator, *, has_range_test: bool | None = None) -> Chosen:
    """`hpcli tune`: range test (None: where `tune` makes one), search, verdict, as hpcli.experiments.tune has them."""
    task, seed = world.task, int(rng.integers(2**31))
    wanted = ranges_lr(load_config(overrides=task.keys)) if has_range_test is None else has_range_test
    test = task.range_test("tune", runs, rng) if wanted else None
    steps = test.steps if test else 0
    plan = divided(runs, "auto", seed=0, epochs=1, steps=task.steps, range_steps=steps)
    world.spent += math.ceil(steps / task.steps)
    search = _Search(world, task.narrowed(test), seed)
    while len(search.known) < plan.search and search.goes_on():
        pass
    return search.judged(plan.pairs)


class _Search:
    """The search of `tune` while it runs. Points lie in the space that is searched, places in the task's."""

    def __init__(self, world: World, dimensions: tuple[Dimension, ...], seed: int) -> None:
        self.world, self.dimensions, self.seed = world, dimensions, seed
        self.axes = [axis_of(each) for each in dimensions]
        self.known: list[Values] = []
        self.points: list[Array] = []
        self.places: list[Array] = []
        self.losses: list[float] = []
        self._run(_values(world.task.space, world.task.present))

    def goes_on(self) -> bool:
        """Run another setting; False: all have been run."""
        for point in following(self.surface, len(self.known), self.seed):
            found = _values(self.dimensions, point)
            if found not in self.known:
                self._run(found)
                return True
        return False

    def judged(self, pairs: int) -> Chosen:
        """The lowest setting, or the present config: on fresh seeds."""
        best = winner(self.surface, np.exp(self.losses) < LEARNT * CHANCE)
        if best is None:
            return Chosen(self.places[0])
        values = _values(self.dimensions, lowest(self.surface, self.seed)[0]) if pairs else self.known[best]
        if values == self.known[0]:
            return Chosen(self.places[0])
        point, place = _places(self.dimensions, values), _places(self.world.task.space, values)
        seeds = [FIRST_FRESH + number for number in range(pairs)]
        one, other = (self.world.run(np.repeat(each[None], pairs, axis=0), seeds) for each in (self.places[0], place))
        found = gain(one, other, on_surface=self.surface.difference(self.points[0], point), noise=self.surface.noise)
        return Chosen(place if found.holds else self.places[0], place, found)

    @property
    def surface(self) -> Surface:
        """Through the runs so far."""
        return Surface(self.axes, self.points, self.losses, [0] * len(self.losses))

    def _run(self, values: Values) -> None:
        self.known.append(values)
        self.points.append(_places(self.dimensions, values))
        self.places.append(_places(self.world.task.space, values))
        self.losses.append(float(self.world.run(self.places[-1][None], [0])[0]))


def _values(dimensions: tuple[Dimension, ...], point: Array) -> Values:
    return tuple(each.value(float(place)) for each, place in zip(dimensions, point, strict=True))


def _places(dimensions: tuple[Dimension, ...], values: Values) -> Array:
    return np.array([each.place(value) for each, value in zip(dimensions, values, strict=True)])


def random_search(world: World, runs: int, rng: np.random.Generator) -> Chosen:
    """The lowest loss."""
    points = np.vstack([world.task.present, rng.random((runs - 1, 3))])
    return Chosen(points[np.argmin(world.run(points, [0] * runs))])


def random_race(world: World, runs: int, rng: np.random.Generator) -> Chosen:
    """Random settings; the best four go on with fresh seeds, one fewer each time; the lowest mean."""
    first = round(0.6 * runs)
    points = np.vstack([world.task.present, rng.random((first - 1, 3))])
    losses = world.run(points, [0] * first)
    live = [int(row) for row in np.argsort(losses)[:4]]
    found = {row: [float(losses[row])] for row in live}
    left, seed = runs - first, 1
    while left >= len(live):
        for row, loss in zip(live, world.run(points[live], [seed] * len(live)), strict=True):
            found[row].append(float(loss))
        left, seed = left - len(live), seed + 1
        if len(live) > 2:
            live = sorted(live, key=lambda row: float(np.mean(found[row])))[:-1]
    return Chosen(points[min(live, key=lambda row: float(np.mean(found[row])))])


def grid(world: World, runs: int, rng: np.random.Generator) -> Chosen:
    """Every combination; the lowest loss."""
    counts = GRIDS[runs]
    ways = [
        (np.arange(count) + 0.5) / count if count > 1 else world.task.present[[key]] for key, count in enumerate(counts)
    ]
    points = np.array(np.meshgrid(*ways, indexing="ij")).reshape(3, -1).T
    return Chosen(points[np.argmin(world.run(points, [0] * len(points)))])


def one_at_a_time(world: World, runs: int, rng: np.random.Generator) -> Chosen:
    """`lr-find`, `sweep-mom`, `sweep-wd`: hpcli's single commands, their grids, and as many seeds as can be paid for."""
    task, point = world.task, world.task.present.copy()
    tests = [task.range_test("own", runs, rng) for _ in range(3)]
    if sum(test.steps for test in tests if test) > runs * task.steps / 3:
        tests = tests[:1]
    world.spent += sum(test.steps for test in tests if test) / task.steps
    suggested = [test.suggested for test in tests if test and test.suggested is not None]
    if suggested:
        point[0] = np.clip(task.space[0].place(float(np.median(suggested))), 0, 1)
    config = load_config(overrides=task.keys)
    values = {key: usual_grid(config, task.space[key].key) for key in (1, 2)}
    seeds = int((runs - world.spent) // sum(map(len, values.values()))) or 1  # a budget for less: momenta alone
    for key, tried in values.items():
        order = np.unique(np.clip([task.space[key].place(cast(Any, value)) for value in tried], 0, 1))
        if world.spent + seeds * len(order) > runs:
            break
        present = int(np.argmin(np.abs(order - task.present[key])))
        points = np.repeat(point[None], len(order), axis=0)
        points[:, key] = order
        losses = np.exp([world.run(points, [seed] * len(order)) for seed in range(seeds)]).T
        if seeds == 1:
            point[key] = order[np.argmin(losses[:, 0])]
            continue
        found = choose(verdict(losses.tolist(), chance=CHANCE), positions=order.tolist(), present=present)
        point[key] = order[present if found is None else found.index]
    return Chosen(point)


def pattern_search(world: World, runs: int, rng: np.random.Generator) -> Chosen:
    """From the suggested learning rate one key up or down at a time, where that is better; else half the steps."""
    task, point = world.task, world.task.present.copy()
    test = task.range_test("tune", runs, rng)
    if test is not None:
        world.spent += math.ceil(test.steps / task.steps)
        if test.suggested is not None:
            point[0] = np.clip(task.space[0].place(test.suggested), 0, 1)
    step = np.array([0.5, 0.4, 1.0]) / [each.decades or 1.0 for each in task.space]
    lowest = float(world.run(point[None], [0])[0])
    while world.spent < runs:
        has_moved = False
        for key in (1, 2, 0):
            for sign in rng.permutation([1, -1]):
                other = point.copy()
                other[key] = np.clip(other[key] + sign * step[key], 0, 1)
                if world.spent >= runs or other[key] == point[key]:
                    continue
                loss = float(world.run(other[None], [0])[0])
                if loss < lowest:
                    point, lowest, has_moved = other, loss, True
                    break
        if not has_moved:
            step = step / 2
            if step.max() < 1e-6:
                break
    return Chosen(point)


def _optuna(name: str) -> Callable[[World, int, np.random.Generator], Chosen]:
    def search(world: World, runs: int, rng: np.random.Generator) -> Chosen:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(sampler=getattr(optuna.samplers, name)(seed=int(rng.integers(2**31))))
            study.enqueue_trial({str(key): float(place) for key, place in enumerate(world.task.present)})
            for _ in range(runs):
                trial = study.ask()
                point = np.array([trial.suggest_float(str(key), 0, 1) for key in range(3)])
                study.tell(trial, float(world.run(point[None], [0])[0]))
        return Chosen(np.array([study.best_trial.params[str(key)] for key in range(3)]))

    return search


METHODS: dict[str, Callable[[World, int, np.random.Generator], Chosen]] = {
    "hpcli tune": ours,
    "with a range test": partial(ours, has_range_test=True),
    "without one": partial(ours, has_range_test=False),
    "random": random_search,
    "random, race of 4": random_race,
    "grid": grid,
    "one at a time": one_at_a_time,
    "pattern search": pattern_search,
    "Optuna TPE": _optuna("TPESampler"),
    "Optuna GPSampler": _optuna("GPSampler"),
}

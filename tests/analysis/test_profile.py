from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, qmc

from hpcli.analysis.profile import IDLE, MATTERS, PARTS, Part, Profile, profiles
from hpcli.analysis.search import placed, spread_out
from hpcli.analysis.surface import Axis, Surface
from tests.analysis.tasks import ADAMW, SGD, Task, bowl, searched, task_of

Array = NDArray[np.float64]

AXES = [Axis()] * 3


def parts_of(profile: Profile) -> list[tuple[float, float]]:
    return [(part.start, part.end) for part in profile.parts]


def truth(task: Task) -> list[list[float]]:
    """How far the lowest loss of each part is above the lowest of all."""
    points = placed(task.axes, qmc.Sobol(len(task.axes), seed=3).random(8192))
    means, found = task.mean(points), []
    for place, axis in enumerate(task.axes):
        inner = points[:, place] if axis.choices else np.minimum(np.floor(PARTS * points[:, place]), PARTS - 1)
        found.append([float(means[inner == each].min() - means.min()) for each in range(axis.choices or PARTS)])
    return found


@cache
def judged(task_name: str, world: int) -> list[Profile]:
    return profiles(searched(TASKS[task_name], 18, world), seed=world)


TASKS = {
    "sgd": task_of(SGD),
    "adamw": task_of(ADAMW),
    "quiet": bowl(noise=0.005),
    "loud": bowl(noise=0.2),
    "idle": bowl(steep=(3.0, 1.0, 0.0), noise=0.02),
    "flat": bowl(steep=(0.0, 0.0, 0.0), noise=0.1),
}


@pytest.mark.parametrize("worlds", [5, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", TASKS)
def test_what_is_said_of_parts_is_true(name: str, worlds: int) -> None:
    """A part said to be worse by at least so much is; and intervals hold the truth, but for what is cut off.

    Where nothing differs, one search of twenty may say of any part that it is worse.
    """
    true, overstated, worse, held, said = truth(TASKS[name]), 0, 0, [], 0
    for world in range(worlds):
        before = overstated
        for profile, own in zip(judged(name, world), true, strict=True):
            for part, above in zip(profile.parts, own, strict=True):
                worse += part.is_worse
                overstated += part.is_worse and part.low > above + 0.003
                held.append(part.low - 0.003 <= above <= part.high + 0.003)
        said += overstated > before
    assert overstated <= 0.05 * len(held), (overstated, worse, len(held))
    if name == "flat":
        assert said <= binom.ppf(0.99, worlds, 0.05), (said, worlds)
    else:
        assert overstated <= max(0.1 * worse, 1), (overstated, worse, len(held))
    assert worse > 0 or name in ("loud", "flat")
    assert np.mean(held) >= 0.9, np.mean(held)


def at_points(task: Task, count: int, world: int) -> Surface:
    """The surface through a sweep of so many points, of one seed."""
    points = spread_out(task.axes, count, world)
    return Surface(task.axes, points, task.run(points, [0] * count, world), np.zeros(count))


@pytest.mark.parametrize("worlds", [2, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["sgd", "adamw", "middling", "loud"])
def test_what_points_find_of_what_is_worse(name: str, worlds: int) -> None:
    """As docs/sweeps.md says: sixteen more than twice what eight find, and what is said is true."""
    task = {**TASKS, "middling": bowl(noise=0.05)}[name]
    true, share = np.array(truth(task)), dict[int, float]()
    for count in (8, 16, 32):
        found = [profiles(at_points(task, count, world), seed=world) for world in range(worlds)]
        parts = [[part for profile in each for part in profile.parts] for each in found]
        worse = np.array([[part.is_worse for part in each] for each in parts])
        inside = [
            [p.low - 0.003 <= x <= p.high + 0.003 for p, x in zip(each, true.flat, strict=True)] for each in parts
        ]
        assert np.mean(inside) >= 0.9, (count, np.mean(inside))
        share[count] = float(worse.sum() / worlds / (true > MATTERS).sum())
    assert share[16] > (2 if worlds > 2 else 1) * share[8], share
    assert share[32] > share[16], share


def test_a_key_that_does_nothing_is_never_worse() -> None:
    for world in range(5):
        assert not any(part.is_worse for part in judged("idle", world)[2].parts)


def test_a_key_that_does_nothing_is_idle_where_noise_is_small() -> None:
    task = bowl(steep=(3.0, 1.0, 0.0), noise=0.003)
    found = [profiles(searched(task, 40, world), seed=world) for world in range(5)]
    assert sum(each[2].is_idle for each in found) >= 3
    assert not any(each[0].is_idle for each in found)
    assert all(any(part.is_worse for part in each[0].parts) for each in found)


def test_a_range_without_the_best_has_it_at_its_end() -> None:
    """The loss falls all the way to the upper end of the first axis."""
    task = bowl(best=(1.6, 0.4, 0.3), steep=(1.5, 0.5, 0.1), noise=0.01)
    for world in range(5):
        parts = profiles(searched(task, 18, world), seed=world)[0].parts
        assert np.argmin([part.loss for part in parts]) == PARTS - 1
        assert parts[0].middle > parts[-1].high
        assert parts[0].high > 0.8  # the truth
        assert not parts[-1].is_worse


def test_choices_are_parts() -> None:
    axes = [Axis(), Axis(choices=3)]
    levels = np.array([0.0, 0.5, 0.02])
    points = spread_out(axes, 24, 0)
    losses = (points[:, 0] - 0.5) ** 2 + levels[points[:, 1].astype(int)]
    found = profiles(Surface(axes, points, losses))[1]
    assert parts_of(found) == [(0, 0), (1, 1), (2, 2)]
    assert [part.is_worse for part in found.parts] == [False, True, False]
    assert not found.is_idle
    assert not found.is_open


def test_parts_of_a_range_in_order() -> None:
    surface = searched(bowl(), 10, 0)
    whole = profiles(surface)[0]
    edges = np.linspace(0, 1, PARTS + 1)
    assert np.ravel(parts_of(whole)) == pytest.approx(np.ravel(list(pairwise(edges))))
    for part in whole.parts:
        assert 0 <= part.low <= part.middle <= part.high
        assert math.isfinite(part.loss)


def test_the_same_profile_each_time() -> None:
    surface = searched(bowl(), 10, 0)
    assert profiles(surface, seed=1) == profiles(surface, seed=1)
    assert profiles(surface, seed=1) != profiles(surface, seed=2)


@pytest.mark.parametrize("axes", [[Axis()], [Axis()] * 8, [Axis(choices=12), Axis()]])
def test_one_key_eight_and_many_choices(axes: list[Axis]) -> None:
    points = spread_out(axes, 20, 0)
    found = profiles(Surface(axes, points, points.sum(1)))
    assert [len(each.parts) for each in found] == [axis.choices or PARTS for axis in axes]


def test_equal_losses_are_idle() -> None:
    points = spread_out(AXES, 12, 0)
    assert all(each.is_idle and not each.is_open for each in profiles(Surface(AXES, points, np.full(12, -0.4))))


def part(low: float, high: float) -> Part:
    return Part(0, 1, low, (low + high) / 2, high, 0.0)


@pytest.mark.parametrize(
    ("parts", "idle", "open_"),
    [
        ([part(0, IDLE / 2), part(0, IDLE / 2)], True, False),
        ([part(0, 0.01), part(0, 2 * IDLE)], False, True),
        ([part(0, 0.01), part(2 * MATTERS, 2 * IDLE)], False, False),
    ],
)
def test_what_is_said_of_a_key(parts: list[Part], idle: bool, open_: bool) -> None:
    profile = Profile(tuple(parts))
    assert (profile.is_idle, profile.is_open) == (idle, open_)

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hpcli.analysis.search import (
    first_count,
    first_points,
    following,
    lowest,
    next_point,
    placed,
    proposals,
    spread_out,
    winner,
)
from hpcli.analysis.surface import Axis, Surface
from tests.analysis.tasks import ADAMW, CAP, SGD, Table, Task, bowl, random_search, searched, task_of, tuned

Array = NDArray[np.float64]

MIXED = [Axis(), Axis(0.4), Axis(choices=3), Axis(choices=2)]


@pytest.mark.parametrize("count", [1, 4, 7, 24, 100])
def test_more_points_begin_with_the_same_ones(count: int) -> None:
    np.testing.assert_array_equal(spread_out(MIXED, count, 3), spread_out(MIXED, 200, 3)[:count])


def test_other_seeds_have_other_points() -> None:
    assert not np.array_equal(spread_out(MIXED, 8, 3), spread_out(MIXED, 8, 4))


@pytest.mark.parametrize("seed", range(5))
def test_the_first_points_cover_the_space(seed: int) -> None:
    points = spread_out([Axis()] * 3, 8, seed)
    for place in range(3):
        assert len(set(np.floor(8 * points[:, place]))) == 8  # one in each eighth
    choices = spread_out(MIXED, 12, seed)
    assert set(choices[:, 2]) == {0, 1, 2}
    assert set(choices[:, 3]) == {0, 1}
    assert (choices[:, :2] >= 0).all()
    assert (choices[:, :2] <= 1).all()


def test_uniform_numbers_become_choices() -> None:
    uniform = np.array([[0.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0]])
    assert placed(MIXED, uniform).tolist() == [[0, 0, 0, 0], [0.5, 0.5, 1, 1], [1, 1, 2, 1]]
    assert uniform[1, 2] == 0.5  # what was given is as it was


@pytest.mark.parametrize(("axes", "count"), [(1, 4), (2, 4), (3, 6), (8, 16)])
def test_how_many_fill_the_space(axes: int, count: int) -> None:
    assert first_count([Axis()] * axes) == count


def mixed_surface(runs: int = 12) -> Surface:
    points = spread_out(MIXED, runs, 0)
    return Surface(MIXED, points, points[:, 0] + (points[:, 2] == 1) * 0.5 - 0.3 * points[:, 3])


def test_the_next_point_lies_in_the_space() -> None:
    for seed in range(20):
        point = next_point(mixed_surface(), np.random.default_rng(seed))
        assert point.shape == (4,)
        assert (point >= 0).all()
        assert (point[:2] <= 1).all()
        assert point[2] in (0, 1, 2)
        assert point[3] in (0, 1)


def test_the_next_point_is_the_same_for_the_same_numbers() -> None:
    one, other, third = (next_point(mixed_surface(), np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)


def test_the_lowest_mean_is_one_that_was_run_or_lower() -> None:
    for runs in (8, 12, 30):
        surface = mixed_surface(runs)
        points = lowest(surface, 3)
        means = surface.mean(points)
        assert (np.diff(means) >= 0).all()
        assert means[0] <= surface.mean(surface.points).min()
        np.testing.assert_array_equal(points, lowest(surface, 3))
        assert (points == surface.points[0]).all(1).any()
    assert lowest(mixed_surface(30), 3)[0, 0] < 0.15  # the loss grows along the first axis


def test_the_space_is_filled_before_proposals_lead() -> None:
    surface = mixed_surface()
    first = first_count(MIXED)
    filling = spread_out(MIXED, first, 7)
    for runs in range(1, first + 2):
        points = following(surface, runs, 7)
        proposed = proposals(surface, np.random.default_rng([7, runs, 0]))
        np.testing.assert_array_equal(points[-len(proposed) :], proposed)
        assert len(points) == len(proposed) + (runs < first)
        if runs < first:
            np.testing.assert_array_equal(points[0], filling[runs - 1])


@pytest.mark.parametrize(
    ("present", "near"),
    [
        ([0.5, 0.3, 2.0, 1.0], [[0.3, 0.3, 2, 1], [0.7, 0.3, 2, 1]]),
        ([0.1, 0.3, 2.0, 1.0], [[0.0, 0.3, 2, 1], [0.3, 0.3, 2, 1]]),  # the range ends
        ([1.4, -0.3, 2.0, 0.0], [[0.8, 0.0, 2, 0], [1.0, 0.0, 2, 0]]),  # it lies outside
    ],
)
def test_a_learning_rate_is_first_tried_lower_and_higher(present: list[float], near: list[list[float]]) -> None:
    axes = [Axis(leads=True), *MIXED[1:]]
    points = first_points(axes, np.array(present), 7)
    np.testing.assert_allclose(points[:2], near)
    np.testing.assert_array_equal(points[2:], spread_out(axes, first_count(axes) - 1, 7)[2:])  # and then anywhere


def test_of_one_learning_rate_alone_a_run_is_left_for_anywhere() -> None:
    points = first_points([Axis(leads=True)], np.array([0.5]), 7)
    np.testing.assert_allclose(points[:2, 0], [0.3, 0.7])
    assert points.shape == (3, 1)


def test_a_present_setting_outside_the_range_is_no_trouble() -> None:
    points = np.vstack([[1.4, -0.3, 0.5], spread_out([Axis()] * 3, 8, 0)])
    surface = Surface([Axis()] * 3, points, -points[:, 0])  # and it is the best
    for seed in range(10):
        point = next_point(surface, np.random.default_rng(seed))
        assert ((point >= 0) & (point <= 1)).all()
    assert winner(surface) == 0


def test_the_winner_is_among_those_allowed() -> None:
    surface = mixed_surface()
    best = winner(surface)
    assert best is not None
    among = np.ones(12, bool)
    among[best] = False
    second = winner(surface, among)
    assert second not in (None, best)
    assert winner(surface, np.zeros(12, bool)) is None


def test_the_winner_is_not_just_lucky() -> None:
    """Of two dozen runs the lowest loss is at the far end, once: its neighbours say what to think of it."""
    points = spread_out([Axis()] * 2, 24, 1)
    task = bowl(axes=[Axis()] * 2, best=(0.2, 0.5), steep=(2.0, 1.0), noise=0.05)
    losses = task.run(points, list(range(24)), 0)
    far = int(np.argmax(points[:, 0]))
    losses[far] = losses.min() - 0.02
    chosen = winner(Surface(task.axes, points, losses))
    assert chosen != far
    assert chosen is not None
    assert points[chosen, 0] < 0.5


def test_a_lucky_run_does_not_hold_the_search() -> None:
    """A loss 30 % lower than it should be among the first ten: few of the next dozen points lie beside it."""
    beside, task = [], task_of(ADAMW)
    for world in range(8):
        rng = np.random.default_rng(world)
        points = np.vstack([task.present, spread_out(task.axes, 9, world)])
        losses = task.run(points, [0] * 10, world)
        order = np.argsort(task.mean(points))
        lucky = int(order[1 + world % 4])  # good, and not the best
        losses[lucky] += math.log(0.7)
        for _ in range(12):
            point = next_point(Surface(task.axes, points, losses, np.zeros(len(losses))), rng)
            points = np.vstack([points, point])
            losses = np.append(losses, task.run(point[None], [0], world))
        away = np.linalg.norm(points[10:] - points[lucky], axis=1)
        beside.append(int((away < 0.1).sum()))
    assert max(beside) <= 4, beside


def cliff(at: Array) -> Array:
    """The loss falls towards a learning rate at which training breaks."""
    smooth = 0.6 - 1.2 * at[:, 0] + 0.5 * (at[:, 1] - 0.4) ** 2
    return np.where(at[:, 0] + 0.3 * at[:, 1] > 0.75, CAP, smooth)


@pytest.mark.parametrize("world", range(6))
def test_a_corner_that_diverges_never_wins(world: int) -> None:
    task = Task([Axis()] * 3, cliff, lambda at: np.full(len(at), 0.03), np.array([0.3, 0.5, 0.5]))
    found = tuned(task, 24, 3, world)
    mean = float(task.mean(found.point[None])[0])
    assert mean < CAP
    assert mean < float(task.mean(task.present[None])[0])


def test_everything_diverges() -> None:
    task = Task([Axis()] * 3, lambda at: np.full(len(at), CAP), lambda at: np.zeros(len(at)), np.full(3, 0.5))
    found = tuned(task, 12, 1, 0)
    assert found.gain is None
    np.testing.assert_array_equal(found.point, task.present)


def test_more_runs_begin_with_the_same_ones() -> None:
    np.testing.assert_array_equal(searched(bowl(), 20, 0).points[:14], searched(bowl(), 14, 0).points)


@pytest.mark.parametrize("axes", [1, 5])
def test_the_best_of_few_and_of_many_keys(axes: int) -> None:
    task = bowl(axes=[Axis()] * axes, best=np.linspace(0.3, 0.7, axes), steep=[2.0] * axes, noise=0.05)
    regrets = [task.regret(tuned(task, 30, 3, world).point) for world in range(6)]
    at_random = [task.regret(random_search(task, 30, world)) for world in range(6)]
    assert np.mean(regrets) < (0.05 if axes == 1 else 0.3), regrets
    assert axes == 1 or np.mean(regrets) < np.mean(at_random)


@pytest.mark.parametrize("repetitions", [24, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("table", "most", "share", "worse"), [(SGD, 0.015, 0.85, 0.05), (ADAMW, 0.10, 0.5, 0.10)])
def test_a_tuning_finds_the_best_of_real_tasks(
    table: Table, most: float, share: float, worse: float, repetitions: int
) -> None:
    """Tunings of 24 runs, six of them the verdict, against random search with all of them."""
    task = task_of(table)
    ours = [tuned(task, 24, 3, world).point for world in range(repetitions)]
    regret = np.mean([task.regret(point) for point in ours])
    at_random = np.mean([task.regret(random_search(task, 24, world)) for world in range(repetitions)])
    present = float(task.mean(task.present[None])[0])
    assert regret <= most
    assert regret <= share * at_random
    assert np.mean([float(task.mean(point[None])[0]) > present + 0.01 for point in ours]) <= worse

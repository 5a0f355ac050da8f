from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import qmc

from hpcli.analysis.surface import Axis, Surface, squashed
from tests.analysis.tasks import bowl

Array = NDArray[np.float64]


def spread(axes: int, count: int, seed: int) -> Array:
    return np.asarray(qmc.Sobol(axes, seed=seed).random(64)[:count])


def grid(count: int = 512, axes: int = 3) -> Array:
    return np.asarray(qmc.Sobol(axes, seed=99).random(512)[:count])


@pytest.mark.parametrize(("axes", "runs", "error"), [(1, 12, 0.05), (3, 40, 0.12), (5, 60, 0.4)])
def test_a_smooth_function_is_recovered(axes: int, runs: int, error: float) -> None:
    """But for a part of its spread; five axes and sixty runs leave more of it."""
    towards = np.linspace(0.3, 0.7, axes)

    def truth(at: Array) -> Array:
        return np.asarray(((at - towards) ** 2).sum(1) + 0.3 * np.sin(3 * at[:, 0]))

    points, at = spread(axes, runs, 1), grid(axes=axes)
    surface = Surface([Axis()] * axes, points, truth(points))
    assert np.sqrt(np.mean((surface.predict(at)[0] - truth(at)) ** 2)) < error * truth(at).std()


def test_a_choice_has_a_level_of_its_own() -> None:
    axes = [Axis(), Axis(choices=3)]
    points = spread(2, 48, 2)
    points[:, 1] = np.floor(3 * points[:, 1])
    levels = np.array([0.0, 1.0, -0.5])  # no order: the middle one is highest

    def truth(at: Array) -> Array:
        return np.asarray(at[:, 0] ** 2 + levels[at[:, 1].astype(int)])

    at = np.array([[place, choice] for place in np.linspace(0, 1, 9) for choice in range(3)], float)
    mean, error = Surface(axes, points, truth(points)).predict(at)
    assert np.abs(mean - truth(at)).max() < 0.15
    assert (np.abs(mean - truth(at)) < 3 * error).all()


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("runs", [8, 18, 48])
def test_errors_are_honest(runs: int, noise: float) -> None:
    """Noise is estimated, not given; half of it is common to all runs and moves the whole surface, not a difference."""
    found = []
    for world in range(15):
        rng = np.random.default_rng([world, runs])
        task = bowl(best=rng.random(3), steep=np.exp(rng.normal(0.5, 0.7, 3)), noise=noise, common=0.4)
        points, at = spread(3, runs, world), rng.random((40, 3))
        surface = Surface([Axis()] * 3, points, task.run(points, [0] * runs, world), [0] * runs)
        for one, other in zip(at[:20], at[20:], strict=True):
            mean, error = surface.difference(one, other)
            found.append((float(np.subtract(*task.mean(np.stack([one, other])))) - mean) / error)
    standard = np.abs(found)
    assert 0.45 < np.sqrt(np.mean(standard**2)) < 1.3, np.sqrt(np.mean(standard**2))
    assert (standard > 2).mean() < 0.1


def cases() -> dict[str, tuple[float, float, float]]:
    """Noise, and the least and most that may be found of it."""
    return {
        "tiny": (0.002, 0.0, 0.04),
        "small": (0.03, 0.5, 2.0),
        "middling": (0.15, 0.6, 1.6),
        "huge": (1.0, 0.5, 1.3),
    }


@pytest.mark.parametrize("name", cases())
def test_noise_is_found_within_a_factor(name: str) -> None:
    noise, least, most = cases()[name]
    found = []
    for world in range(20):
        rng = np.random.default_rng(world)
        points = spread(3, 24, world)
        losses = bowl().mean(points) + noise * rng.normal(size=24)
        found.append(Surface([Axis()] * 3, points, losses).noise)
    middle = float(np.median(found))
    assert (least * noise <= middle <= most * noise) if name != "tiny" else middle < most, middle


def test_noise_with_heavy_tails_and_a_dead_run() -> None:
    heavy, dead = [], []
    for world in range(20):
        rng = np.random.default_rng(world)
        points = spread(3, 24, world)
        smooth = bowl().mean(points)
        tails = smooth + 0.1 * rng.standard_t(3, size=24) / np.sqrt(3)
        one = smooth + 0.1 * rng.normal(size=24)
        one[int(rng.integers(24))] = 0.93  # chance, where all others learn
        heavy.append(Surface([Axis()] * 3, points, tails).noise)
        dead.append(Surface([Axis()] * 3, points, one).noise)
    assert 0.05 < np.median(heavy) < 0.2, np.median(heavy)
    assert 0.05 < np.median(dead) < 0.3, np.median(dead)


def test_differences() -> None:
    points = spread(3, 20, 3)
    surface = Surface([Axis()] * 3, points, bowl().run(points, [0] * 20, 0))
    one, other = grid(2)
    mean, error = surface.difference(one, other)
    back, same_error = surface.difference(other, one)
    assert mean == pytest.approx(-back)
    assert error == pytest.approx(same_error)
    assert error > 0
    assert surface.difference(one, one) == pytest.approx((0, 0), abs=1e-6)
    assert mean == pytest.approx(float(np.subtract(*surface.predict(np.stack([one, other]))[0])))


def test_the_mean_alone_is_that_of_the_prediction() -> None:
    points, at = spread(3, 14, 4), np.random.default_rng(0).random((5000, 3))
    surface = Surface([Axis()] * 3, points, bowl(noise=0.1).run(points, [0] * 14, 0))
    np.testing.assert_allclose(surface.mean(at), surface.predict(at)[0], rtol=1e-12, atol=1e-12)


def test_draws_agree_with_predictions() -> None:
    points, at = spread(3, 14, 4), grid(16)
    surface = Surface([Axis()] * 3, points, bowl(noise=0.1).run(points, [0] * 14, 0))
    drawn = surface.draws(at, 4000, np.random.default_rng(0))
    mean, error = surface.predict(at)
    assert drawn.shape == (4000, 16)
    assert np.abs(drawn.mean(0) - mean).max() < 0.15 * error.max()
    np.testing.assert_allclose(drawn.std(0), error, rtol=0.15)
    differences = drawn[:, 0] - drawn[:, 1]
    assert (differences.mean(), differences.std()) == pytest.approx(
        surface.difference(at[0], at[1]), rel=0.15, abs=0.01
    )


PROBE = """
import numpy as np
from hpcli.analysis.surface import Axis, Surface
rng = np.random.default_rng(0)
points = rng.random((20, 3)); points[:, 2] = np.floor(3 * points[:, 2])
surface = Surface([Axis(), Axis(.4, .7), Axis(choices=3)], points, points.sum(1) + rng.normal(size=20))
print(surface.noise.hex(), *[float(each).hex() for each in np.concatenate(surface.predict(points))])
"""


def test_the_same_numbers_in_every_process(capsys: pytest.CaptureFixture[str]) -> None:
    exec(PROBE, {})
    here = capsys.readouterr().out
    there = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout
    assert here == there


def test_one_run_and_equal_losses() -> None:
    one = Surface([Axis()] * 2, [[0.5, 0.5]], [0.3])
    mean, error = one.predict(grid(8, 2))
    np.testing.assert_allclose(mean, 0.3, atol=1e-4)
    assert np.isfinite(error).all()
    equal = Surface([Axis()] * 2, grid(8, 2), np.full(8, -1.2))
    mean, error = equal.predict(grid(8, 2))
    np.testing.assert_allclose(mean, -1.2, atol=1e-3)
    assert 0 <= equal.noise < 1e-3
    assert (error < 1e-3).all()
    assert np.isfinite(equal.draws(grid(8, 2), 5, np.random.default_rng(0))).all()


def test_repeated_settings_with_other_seeds() -> None:
    """Nothing but noise between them: it is found, and the level is their mean."""
    rng = np.random.default_rng(0)
    points = np.repeat(grid(6), 4, axis=0)
    losses = points[:, 0] + 0.2 * rng.normal(size=24)
    surface = Surface([Axis()] * 3, points, losses, list(range(4)) * 6)
    assert 0.1 < surface.noise < 0.35


def test_the_same_setting_and_seed_twice() -> None:
    """Which is the same run: nothing breaks, nothing is certain."""
    points = np.repeat(grid(4), 2, axis=0)
    surface = Surface([Axis()] * 3, points, np.repeat([0.1, 0.2, 0.3, 0.4], 2), [0] * 8)
    assert np.isfinite(surface.predict(grid(8))[0]).all()


@pytest.mark.parametrize(
    ("points", "losses", "seeds", "said"),
    [
        ([[0.1, 0.2]], [], None, "at least one"),
        ([], [], None, "at least one"),
        ([[0.1, 0.2]], [1.0, 2.0], None, "as many"),
        ([[0.1, 0.2]] * 2, [1.0, 2.0], [0], "as many"),
        ([[0.1, 0.2, 0.3]] * 2, [1.0, 2.0], None, "axes"),
        ([[0.1]], [1.0], None, "axes"),
        ([[0.1, 0.2, 0.3]] * 2, [1.0, 2.0, 3.0], None, "axes"),
        ([[0.1, 0.2]] * 2, [1.0, float("nan")], None, "finite"),
        ([[0.1, 0.2]] * 2, [1.0, float("inf")], None, "finite"),
        ([[0.1, float("nan")]] * 2, [1.0, 2.0], None, "finite"),
    ],
)
def test_what_is_no_surface(points: list[list[float]], losses: list[float], seeds: list[int] | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Surface([Axis()] * 2, points, losses, seeds)


@pytest.mark.parametrize("ask", [lambda s, p: s.predict(p), lambda s, p: s.draws(p, 3, np.random.default_rng(0))])
def test_points_of_other_axes(ask: Callable[[Surface, Array], object]) -> None:
    surface = Surface([Axis()] * 2, grid(8, 2), np.arange(8.0))
    with pytest.raises(ValueError, match="axes"):
        ask(surface, grid(8, 3))


def test_losses_far_above_the_better_half_are_cut_off() -> None:
    losses = np.array([0.0, 0.1, 0.2, 5.0, 0.1])
    assert squashed(losses).max() == pytest.approx(0.3)
    assert np.argmin(squashed(losses)) == 0


def test_late_in_a_search_what_is_worse_by_a_little_is_not_cut_off() -> None:
    """Most runs lie about the best: the median says nothing of what is bad."""
    losses = np.array([*np.linspace(0, 0.01, 30), 0.1, 0.9])
    assert squashed(losses).tolist()[-2:] == pytest.approx([0.1, 0.15])


def test_a_fit_costs_nothing_beside_a_run() -> None:
    """Two per cent of half a second, and room for a busy machine."""
    points = spread(3, 48, 5)
    losses = bowl().mean(points)
    Surface([Axis()] * 3, points, losses)
    took = []
    for _ in range(5):
        start = time.process_time()
        Surface([Axis()] * 3, points, losses)
        took.append(time.process_time() - start)
    assert min(took) < 0.03

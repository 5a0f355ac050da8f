from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hpcli.analysis.gain import BELIEVED, BEYOND, DOUBT, PRIOR_DF, TOLERATED, Gain, gain
from hpcli.analysis.search import spread_out
from hpcli.analysis.surface import Axis, Surface
from tests.analysis.tasks import Task, bowl, tuned

Array = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], Array]

AXES = [Axis()] * 3
NOISES: dict[str, Noise] = {
    "normal": lambda rng, count: rng.normal(size=count),
    "heavy": lambda rng, count: rng.standard_t(4, size=count) / math.sqrt(2),
    "skew": lambda rng, count: rng.exponential(size=count) - 1,
}


def surfaces(noise: Noise, spread: float, count: int = 40) -> list[float]:
    """What surfaces through 18 runs take a run's noise to be."""
    found = []
    for world in range(count):
        rng = np.random.default_rng([world, 1])
        points = spread_out(AXES, 18, world)
        losses = bowl().mean(points) + spread * noise(rng, 18) + spread * rng.normal()  # a part is common
        found.append(Surface(AXES, points, losses, np.zeros(18)).noise)
    return found


def covered(noise: Noise, pairs: int, *, present: float = 1.0, repetitions: int = 300) -> tuple[float, float]:
    """How often the interval holds the truth, and how often it excludes 0 where that is the truth."""
    spread, true = 0.1, 0.12
    estimated = surfaces(noise, spread)
    hit, excluded = [], []
    for world in range(repetitions):
        rng = np.random.default_rng([world, pairs, 2])
        common = rng.normal(size=pairs)
        one, other = (spread * (common + factor * noise(rng, pairs)) for factor in (present, 1.0))
        known = estimated[world % len(estimated)]
        found = gain(one + true, other, on_surface=(true, 0.1), noise=known)
        none = gain(one, other, on_surface=(0.0, 0.1), noise=known)
        assert found.low is not None
        assert found.high is not None
        hit.append(found.low <= true <= found.high)
        assert none.low is not None
        assert none.high is not None
        excluded.append(none.low > 0 or none.high < 0)
    return float(np.mean(hit)), float(np.mean(excluded))


@pytest.mark.parametrize("pairs", [1, 2, 3, 6])
@pytest.mark.parametrize("name", NOISES)
def test_the_interval_holds_the_truth(name: str, pairs: int) -> None:
    """A run's noise is estimated by a surface and by the pairs."""
    hit, excluded = covered(NOISES[name], pairs)
    assert hit >= 0.93
    assert excluded <= 0.07


@pytest.mark.parametrize("pairs", [1, 2, 3, 6])
def test_the_interval_where_the_present_setting_is_noisier(pairs: int) -> None:
    """By half, which the surface, whose noise is the same everywhere, does not know."""
    assert covered(NOISES["normal"], pairs, present=1.5)[0] >= 0.93


def equal(noise: float) -> Task:
    """A task where all settings are as good."""
    return bowl(steep=(0.0, 0.0, 0.0), noise=noise, common=0.3, smooth=0.0)


@pytest.mark.parametrize(
    ("runs", "pairs", "repetitions", "most"),
    [(24, 3, 40, 4), (14, 1, 40, 4), pytest.param(24, 3, 500, 25, marks=pytest.mark.slow)],
)
def test_no_gain_is_claimed_where_all_settings_are_equal(runs: int, pairs: int, repetitions: int, most: int) -> None:
    """At most one in twenty; 40 repetitions have luck of their own, 4 and more are one in seven."""
    found = [tuned(equal(0.1), runs, pairs, world).gain for world in range(repetitions)]
    assert sum(each is not None and (each.is_sure or (each.high or 0) < 0) for each in found) <= most


def test_pairs_decide_with_the_surface() -> None:
    found = gain([0.5, 0.6, 0.7], [0.4, 0.5, 0.6], on_surface=(0.3, 0.1), noise=0.05)
    assert found.estimate == pytest.approx(0.1)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.1 < found.high
    assert 0.1 < found.decided < 0.3
    assert found.holds
    assert found.pairs == 3
    assert found.on_surface == 0.3
    pooled = math.sqrt(PRIOR_DF * 2 * 0.05**2 / (PRIOR_DF + 2)) / math.sqrt(3)
    surface = DOUBT * 0.1
    assert found.decided == pytest.approx((0.3 / surface**2 + 0.1 / pooled**2) / (1 / surface**2 + 1 / pooled**2))
    assert found.error == pytest.approx((1 / surface**2 + 1 / pooled**2) ** -0.5)


@pytest.mark.parametrize("pairs", [0, 1, 3])
def test_the_present_setting_stays_where_noise_hides_the_better_one(pairs: int) -> None:
    """A change is made with nineteen chances of twenty that it loses no more than four hundredths."""

    def found(by: float) -> Gain:
        return gain([by] * pairs, [0.0] * pairs, on_surface=(by, 0.1), noise=0.1)

    border = min(BEYOND * found(0.0).error - TOLERATED, BELIEVED)
    assert 0.02 < border < 0.2
    assert not found(0.0).holds
    assert not found(0.99 * border).holds
    assert found(1.01 * border).holds


def test_a_gain_that_seems_large_is_believed_however_noisy() -> None:
    pair: Callable[[float], Gain] = lambda by: gain([by], [0.0], on_surface=(by, 0.3), noise=0.3)  # noqa: E731
    assert BEYOND * pair(0.0).error - TOLERATED > 2 * BELIEVED
    assert pair(1.01 * BELIEVED).holds
    assert not pair(0.99 * BELIEVED).holds


def test_where_little_noise_is_left_the_better_one_is_taken() -> None:
    """However little better: it cannot be worse by four hundredths."""
    assert gain([0.001] * 3, [0.0] * 3, on_surface=(0.001, 0.001), noise=0.001).holds
    assert not gain([0.0] * 3, [0.001] * 3, on_surface=(-0.001, 0.001), noise=0.001).holds
    assert not gain([0.0] * 3, [0.0] * 3, on_surface=(0.0, 0.001), noise=0.001).holds


def test_both_ways_round() -> None:
    one, other = [0.5, 0.61, 0.7], [0.4, 0.52, 0.55]
    there = gain(one, other, on_surface=(0.2, 0.1), noise=0.1)
    back = gain(other, one, on_surface=(-0.2, 0.1), noise=0.1)
    assert (back.estimate, back.low, back.high, back.decided) == pytest.approx(
        tuple(-(each or 0) for each in (there.estimate, there.high, there.low, there.decided))
    )


def test_fresh_pairs_may_veto_what_the_surface_promised() -> None:
    found = gain([0.1] * 3, [0.5, 0.52, 0.48], on_surface=(0.1, 0.1), noise=0.03)
    assert not found.holds
    assert not found.is_sure
    assert found.high is not None
    assert found.high < 0


def test_a_single_pair_is_as_noisy_as_the_surface_says() -> None:
    quiet, loud = (gain([0.5], [0.4], on_surface=(0.1, 0.1), noise=noise) for noise in (0.01, 0.1))
    assert quiet.is_sure
    assert not loud.is_sure


@pytest.mark.parametrize(("present", "chosen"), [([], []), ([math.nan], [0.4]), ([0.3, math.inf], [math.nan, 0.1])])
def test_no_pairs_leave_it_to_the_surface(present: list[float], chosen: list[float]) -> None:
    found = gain(present, chosen, on_surface=(0.2, 0.1), noise=0.1)
    assert found == Gain(None, None, None, 0.2, DOUBT * 0.1, 0, 0.2)
    assert found.holds
    assert not found.is_sure
    assert not gain(present, chosen, on_surface=(0.09, 0.1), noise=0.1).holds


def test_pairs_that_are_not_whole_are_left_out() -> None:
    whole = gain([0.5, 0.6], [0.4, 0.45], on_surface=(0.1, 0.1), noise=0.1)
    assert gain([0.5, math.nan, 0.6], [0.4, 0.3, 0.45], on_surface=(0.1, 0.1), noise=0.1) == whole
    assert gain([0.5, 0.6, 0.1], [0.4, 0.45, math.nan], on_surface=(0.1, 0.1), noise=0.1) == whole


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("error", [0.0, 0.1])
def test_identical_losses(noise: float, error: float) -> None:
    found = gain([0.3] * 3, [0.3] * 3, on_surface=(0.0, error), noise=noise)
    assert found.estimate == 0
    assert not found.is_sure
    assert not found.holds
    assert found.low is not None
    assert math.isfinite(found.low)
    assert math.isfinite(found.decided)


def test_other_levels_are_other_widths() -> None:
    wide, narrow = (
        gain([0.5, 0.7], [0.4, 0.5], on_surface=(0.1, 0.1), noise=0.1, level=level) for level in (0.99, 0.5)
    )
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low
    assert wide.decided == narrow.decided


@pytest.mark.parametrize(("present", "chosen"), [([0.1], [0.1, 0.2]), ([], [0.1])])
def test_what_are_no_pairs(present: list[float], chosen: list[float]) -> None:
    with pytest.raises(ValueError, match="pairs"):
        gain(present, chosen, on_surface=(0.0, 0.1), noise=0.1)

from __future__ import annotations

import math

import numpy as np
import pytest

from hpcli.analysis.curves import break_index, is_beyond, smooth


def test_smoothing_has_no_lag() -> None:
    """A straight line stays where it is, away from its ends; a running average would shift it."""
    x = np.linspace(-6, 1, 211)
    assert np.allclose(smooth(x, 3 * x + 1, 0.2)[40:-40], (3 * x + 1)[40:-40], atol=1e-3)
    bump = np.exp(-((x + 2) ** 2))
    assert abs(x[smooth(x, bump, 0.2).argmax()] + 2) < 0.04


def test_smoothing_does_not_depend_on_the_number_of_steps() -> None:
    coarse, fine = np.linspace(0, 10, 101), np.linspace(0, 10, 1001)
    few, many = smooth(coarse, np.sin(coarse), 0.5), smooth(fine, np.sin(fine), 0.5)[::10]
    assert np.allclose(few[20:-20], many[20:-20], atol=1e-3)
    assert np.allclose(few, many, atol=0.05)


def test_smoothing_takes_out_noise_and_leaves_out_what_is_not_finite() -> None:
    x = np.arange(500.0)
    noise = np.random.default_rng(0).normal(0, 1, 500)
    assert smooth(x, noise, 10).std() < 0.3
    noise[[3, 250, 251]] = [np.nan, np.inf, -np.inf]
    assert np.isfinite(smooth(x, noise, 10)).all()
    assert np.isnan(smooth(x, np.full(500, np.nan), 10)).all()


@pytest.mark.parametrize(
    ("loss", "best", "initial", "expected"),
    [
        (math.nan, 1, 2.3, True),
        (math.inf, 1, 2.3, True),
        (3.4, 1, 2.3, False),
        (3.5, 0.1, 2.3, True),
        (4.1, 1.2, 2.3, False),
        (4.9, 1.2, 2.3, True),
        (5.0, 0.5, 4.0, False),
        (2.0, 0.1, 0.2, False),
    ],
)
def test_beyond(loss: float, best: float, initial: float, expected: bool) -> None:
    """Above 4 × best and above 1.5 × both the initial loss and ln 10 = 2.303."""
    assert is_beyond(loss, best=best, initial=initial, chance=math.log(10)) is expected


def test_a_break_lasts_and_a_spike_does_not() -> None:
    lr = np.geomspace(1e-4, 10, 151)  # 30 a decade
    loss = np.where(lr < 1, 1.0, 9.0)
    assert lr[break_index(lr, loss, 3.45)] == pytest.approx(1.0, rel=0.05)
    spiky = np.where(np.arange(151) % 20 == 0, 9.0, 1.0)
    assert break_index(lr, spiky, 3.45) is None
    assert break_index(lr, np.where(lr < 1, spiky, 9.0), 3.45) == break_index(lr, loss, 3.45)


def test_a_break_is_found_while_the_test_is_still_running() -> None:
    """With the whole grid known, three high losses are enough of a coarse one and too few of a fine one."""
    for per_decade, needed in ((30, 3), (300, 15)):
        lr = np.geomspace(1e-3, 10, 4 * per_decade + 1)
        start = 2 * per_decade
        for high in (needed - 1, needed + 1):
            losses = [1.0] * start + [9.0] * high
            assert (break_index(lr, losses, 3.45) is not None) == (high > needed)


def test_the_first_loss_that_is_no_number_is_a_break() -> None:
    lr = np.geomspace(1e-3, 10, 100)
    loss = np.ones(100)
    loss[60:] = np.nan
    assert break_index(lr, loss, 3.45) == 60
    loss[58:60] = 9.0
    assert break_index(lr, loss, 3.45) == 58

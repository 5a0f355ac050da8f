from __future__ import annotations

import math

import numpy as np
import pytest

from hpcli.analysis.curves import blown_up, smooth


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
def test_blow_up(loss: float, best: float, initial: float, expected: bool) -> None:
    """Above 4 × best and above 1.5 × both the initial loss and ln 10 = 2.303."""
    assert blown_up(loss, best=best, initial=initial, num_classes=10) is expected

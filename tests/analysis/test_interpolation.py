from __future__ import annotations

import math

import numpy as np
import pytest

from hpcli.analysis.interpolation import (
    Barrier,
    Limit,
    barrier,
    connection,
    explain_nan,
    in_words,
    rise_error,
    variance_limits,
    variance_zeros,
)
from hpcli.states import BatchNorm, Connection

ANEW, AVERAGED = BatchNorm.RECOMPUTE, BatchNorm.INTERPOLATE


def test_the_barrier_is_the_highest_rise_above_the_chord() -> None:
    alpha = [-0.5, 0, 0.25, 0.5, 0.75, 1, 1.5]
    loss = [9.0, 0.2, 0.5, 1.7, 1.9, 0.6, 9.0]  # the chord is 0.2 … 0.6
    found = barrier(alpha, loss)
    assert found.height == pytest.approx(1.9 - 0.5)
    assert found.alpha == 0.75


def test_a_straight_line_and_a_bowl_have_none() -> None:
    alpha = np.linspace(0, 1, 21)
    assert barrier(alpha, 0.3 + 0.5 * alpha).height == pytest.approx(0, abs=1e-12)
    assert barrier(alpha, (alpha - 0.6) ** 2) == Barrier(0.0, 0.0)


def test_smiths_two_cycles() -> None:
    """1702.04283, figure 4: ends near 0 in training loss, 1.97 at α = 0.49."""
    found = barrier([0, 0.25, 0.49, 0.75, 1], [0.0, 0.4, 1.97, 0.5, 0.01])
    assert (round(found.height, 2), found.alpha) == (1.97, 0.49)
    assert connection([0, 0.25, 0.49, 0.75, 1], [0.0, 0.4, 1.97, 0.5, 0.01], [0.01] * 5) is Connection.SEPARATED


def test_outside_does_not_count_and_what_is_not_finite_is_not_judged() -> None:
    assert barrier([-1, 0, 1, 2], [math.nan, 1, 2, math.inf]).height == 0
    assert math.isnan(barrier([0, 0.5, 1], [1, math.nan, 1]).height)
    assert connection([0, 0.5, 1], [1, math.nan, 1], [0, 0, 0]) is None
    assert connection([0, 0.5, 1], [1, 1, 1], [0, math.nan, 0]) is None
    assert connection([-1, 0, 0.5, 1], [math.nan, 1, 1, 1], [math.nan, 0, 0, 0]) is Connection.CONNECTED
    with pytest.raises(ValueError, match="two ends"):
        barrier([0.1, 1], [1, 2])


@pytest.mark.parametrize(
    ("rise", "error", "expected"),
    [
        (0.0199, 0.0, Connection.CONNECTED),
        (0.021, 0.0, Connection.SEPARATED),
        (0.01, 0.006, Connection.CONNECTED),
        (0.01, 0.0062, Connection.OPEN),  # twice an end's own error would have let 0.05 pass
        (0.05, 0.03, Connection.OPEN),
        (0.05, 0.018, Connection.SEPARATED),
        (-0.3, 0.1, Connection.CONNECTED),
        (-0.3, 0.2, Connection.OPEN),
    ],
)
def test_connected_separated_or_open_by_what_the_rise_surely_is(
    rise: float, error: float, expected: Connection
) -> None:
    assert connection([0, 0.5, 1], [1, 1 + rise, 1], [0, error, 0]) is expected


@pytest.mark.parametrize(("rise", "wrong"), [(0.02, Connection.SEPARATED), (0.0201, Connection.CONNECTED)])
def test_neither_is_said_wrongly_more_often_than_once_in_twenty(rise: float, wrong: Connection) -> None:
    """2,000 lines measured on 200 images each: hard images are hard everywhere, losses are lognormal."""
    random, said = np.random.default_rng(0), 0
    for _ in range(2000):
        hard = np.exp(random.normal(0, 1.5, 200))
        first, last = hard * np.exp(random.normal(0, 0.05, 200)), hard * np.exp(random.normal(0, 0.05, 200))
        middle = (first + last) / 2 + rise * np.exp(random.normal(-0.125, 0.5, 200))
        losses = [first.mean(), middle.mean(), last.mean()]
        said += connection([0, 0.5, 1], losses, [0, rise_error(0.5, middle, first, last), 0]) is wrong
    assert said / 2000 <= 0.06


def test_the_error_of_a_rise_is_paired_over_images() -> None:
    hard = np.array([0.1, 0.2, 5.0, 9.0])
    assert rise_error(0.5, hard + 0.3, hard, hard) == pytest.approx(0)
    assert rise_error(0.25, [1.0, 2.0], [1.0, 1.0], [1.0, 1.0]) == pytest.approx(np.std([0, 1], ddof=1) / math.sqrt(2))
    assert math.isnan(rise_error(0.5, [1.0, math.inf], [1.0, 1.0], [1.0, 1.0]))
    assert math.isnan(rise_error(0.5, [1.0], [1.0], [1.0]))


def test_variances_turn_negative_where_their_line_crosses_zero() -> None:
    one, other = np.array([1.0, 1.0, 2.0]), np.array([1.0, 0.5, 2.2])
    zeros = {"bn1": variance_zeros(one, other), "bn2": variance_zeros(np.array([4.0]), np.array([2.5]))}
    assert zeros["bn1"] == pytest.approx((-10, 2))
    assert zeros["bn2"] == (None, 4 / 1.5)
    low, high = variance_limits(zeros)
    assert high == Limit("bn1", 2.0)  # 1 − 0.5α
    assert low is not None
    assert (low.layer, low.alpha) == ("bn1", zeros["bn1"][0])  # 2 + 0.2α
    assert variance_zeros(np.ones(2), np.ones(2)) == (None, None)
    assert variance_limits({"bn": (None, None)}) == (None, None)
    assert variance_limits({}) == (None, None)


def test_each_nan_is_explained() -> None:
    alpha = [-2, -1, 0, 1, 2]
    limits = (Limit("layer1.0.bn1", -0.5), Limit("layer3.4.bn2", 1.7))
    averaged = [math.nan, math.nan, 1, 1, math.nan]
    anew = [math.inf, 3, 1, 1, 2]
    assert explain_nan(alpha, {ANEW: anew, AVERAGED: averaged}, limits) == [
        "recompute: the network's numbers overflow at α = -2",
        "interpolate: negative running variance in layer1.0.bn1 from α = -0.5 down",
        "interpolate: negative running variance in layer3.4.bn2 from α = 1.7 up",
    ]
    assert explain_nan(alpha, {AVERAGED: [1, 1, 1, 1, 1]}, limits) == []


def test_the_sentence() -> None:
    far = {ANEW: Barrier(1.2, 0.5), AVERAGED: Barrier(2.5, 0.4)}
    both = dict.fromkeys(far, Connection.SEPARATED)
    text = in_words(far, both, 0.01, (1.1, 0.3))
    assert text.startswith(
        "A and B are separated along this line: the training loss rises 1.2 above its chord, at α = 0.5"
    )
    assert "2.5 with BatchNorm's statistics averaged" in text
    assert "curved low-loss paths usually exist" in text
    assert text.endswith("The validation loss is lowest, 0.3, at α = 1.1.")
    one = {AVERAGED: Connection.CONNECTED}
    near = in_words({AVERAGED: Barrier(0.0, 0.0)}, one, 0.01, None)
    assert near == "A and B are connected: the training loss nowhere rises above its chord."
    assert "rises at most 0.013 above" in in_words({AVERAGED: Barrier(0.013, 0.3)}, one, 0.01, None)
    mixed = {ANEW: Connection.CONNECTED, AVERAGED: Connection.SEPARATED}
    peak = in_words({ANEW: Barrier(0.004, 0.5), AVERAGED: Barrier(2.9, 0.4)}, mixed, 0.01, None)
    assert peak.startswith("A and B are connected: ")
    assert "the 2.9 with BatchNorm's statistics averaged is BatchNorm's, not the weights'" in peak
    unsure = in_words({AVERAGED: Barrier(0.03, 0.5)}, {AVERAGED: Connection.OPEN}, 0.02, None)
    assert unsure == (
        "Whether A and B are connected stays open: the training loss rises 0.03 ± 0.02 above its chord, at α = 0.5, and "
        "0.02 is noticeable; more training images would tell."
    )
    assert "nothing can be said" in in_words({AVERAGED: Barrier(math.nan, math.nan)}, {AVERAGED: None}, 0.01, None)

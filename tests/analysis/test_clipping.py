"""Norms of gradients: where most of them lie, and how many were clipped."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpcli.analysis.clipping import gradient_norms
from hpcli.results.gradients import gradient_facts, gradients_of, two_digits


def test_the_threshold_is_the_90th_percentile() -> None:
    found = gradient_norms(np.arange(1.0, 102.0))
    assert found is not None
    assert (found.median, found.threshold, found.highest, found.clipped) == (51.0, 91.0, 101.0, None)
    assert not found.clips_too_much


def test_a_tenth_is_clipped_at_the_threshold() -> None:
    norms = np.random.default_rng(0).lognormal(0.0, 1.0, 1000)
    first = gradient_norms(norms)
    assert first is not None
    again = gradient_norms(norms, first.threshold)
    assert again is not None
    assert again.clipped == pytest.approx(0.1)
    assert not again.clips_too_much
    low = gradient_norms(norms, first.median / 2)
    assert low is not None
    assert low.clips_too_much


def test_what_is_no_number_counts_for_nothing() -> None:
    assert gradient_norms([]) is None
    assert gradient_norms([math.nan, math.inf]) is None
    found = gradient_norms([math.nan, 2.0, math.inf], 1.0)
    assert found is not None
    assert (found.median, found.threshold, found.highest, found.clipped) == (2.0, 2.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("clip_norm", "says"),
    [
        (None, "Nine in ten of the gradient's norms lie below 9.1, the highest is 120: to clip those above, "
         "--set train.clip_norm=9.1"),
        (8.5, "27% of the steps were clipped to 8.5; nine in ten of the gradient's norms lie below 9.1, the highest is 120"),
        (1.0, "91% of the steps were clipped to 1, more than 50%: a lower schedule.max_lr does that more plainly; nine in "
         "ten of the gradient's norms lie below 9.1, the highest is 120: to clip those above alone, "
         "--set train.clip_norm=9.1"),
    ],
)  # fmt: skip
def test_it_is_said_in_a_sentence(clip_norm: float | None, says: str) -> None:
    steps = {"grad_norm": np.array([*range(1, 10), 9.1, 123.4])}
    found = gradients_of(steps, clip_norm)
    facts = gradient_facts(found, clip_norm)
    assert facts["gradients"] == says
    assert ("clipped" in facts) == (clip_norm is not None)
    assert gradient_facts(gradients_of({}, clip_norm), clip_norm) == {}


def test_a_norm_is_written_as_a_value_to_set() -> None:
    assert [two_digits(each) for each in (123.4, 2.06, 0.0337, 1.0, 4.4e-5)] == ["120", "2.1", "0.034", "1", "4.4e-5"]

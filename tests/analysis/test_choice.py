from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from hpcli.analysis.choice import Choice, choose, in_words
from hpcli.analysis.refine import refined
from hpcli.analysis.verdict import Verdict, verdict
from hpcli.states import Judgement, Reason

GRID = [1e-5, 1e-4, 1e-3, 1e-2]
NAMES = ["1e-5", "1e-4", "1e-3", "0.01"]
PLACES = [-5.0, -4.0, -3.0, -2.0]


def table(means: list[float], *, noise: float = 0.01, seeds: int = 5, seed: int = 0) -> Verdict:
    random = np.random.default_rng(seed)
    losses = np.array(means)[:, None] + random.normal(0, 0.05, seeds) + random.normal(0, noise, (len(means), seeds))
    return verdict(losses, NAMES[: len(means)])


def said(
    found: Verdict,
    *,
    ordered: bool = True,
    present: int | None = None,
    seconds: Sequence[float] | None = None,
    reason: Reason | None = None,
) -> tuple[str, str]:
    """The value, and the sentence; the reason for it, where one is expected, is checked."""
    places = PLACES[: len(found.comparisons)] if ordered else None
    choice = choose(found, positions=places, present=present, seconds=seconds)
    words = in_words(found, choice, epochs=2, num_seeds=5, matters=0.01)
    assert reason is None or (choice is not None and choice.reason is reason)
    return ("" if choice is None else str(found.comparisons[choice.index].value), words)


def test_all_tied_keeps_the_configs_value() -> None:
    tied = table([1.0, 1.0, 1.0, 1.0], noise=0.02)
    value, words = said(tied, present=2, reason=Reason.KEPT)
    assert value == "1e-3"
    assert words.startswith(
        "For 2-epoch cycles: 1e-3 kept: 1e-5, 1e-4, 1e-3 and 0.01 could not be told apart (a difference of 0.0"
    )
    assert "four times of five; seeds share " in words
    assert "To find a difference of 0.01:" in words


def test_all_tied_without_the_configs_value_takes_the_middle_never_an_edge() -> None:
    for seed in range(5):
        value, words = said(table([1.0, 1.0, 1.0, 1.0], seed=seed), reason=Reason.MIDDLE)
        assert value in ("1e-4", "1e-3")
        assert "in the middle of those that may be the best" in words
    value, _ = said(table([1.0, 1.0, 1.2, 1.2]))
    assert value == "1e-4"


def test_an_edge_winner_asks_for_more() -> None:
    value, words = said(table([1.3, 1.2, 1.1, 1.0]), present=1, reason=Reason.BEST)
    assert value == "0.01"
    assert "0.01 is the best; it lies at the edge of what was tried: extend the grid." in words
    assert "1e-5 is worse by 0.3 [" in words


def test_one_clear_winner() -> None:
    value, words = said(table([1.3, 1.0, 1.1, 1.2]), present=3, reason=Reason.BEST)
    assert value == "1e-4"
    assert words.startswith("For 2-epoch cycles: 1e-4 is the best. 1e-5 is worse by 0.31 [0.29, 0.33]. 1e-3 is")
    assert "told apart" not in words
    assert "extend" not in words


def test_everything_diverged() -> None:
    lost = verdict(np.full((3, 3), math.nan), NAMES[:3])
    value, words = said(lost)
    assert value == ""
    assert (
        words
        == "For 2-epoch cycles: no value trained; lower the learning rate (hpcli lr-find shows how far it can go)."
    )


def test_the_cheapest_of_those_that_cost_different_times() -> None:
    tied = table([1.0, 1.0, 1.0], noise=0.02)
    assert said(tied, seconds=[9.0, 5.0, 2.0], reason=Reason.CHEAPEST)[0] == "1e-3"
    assert said(tied, seconds=[9.0, 5.0, 2.0], present=0, reason=Reason.KEPT)[0] == "1e-5"
    assert said(tied, seconds=[5.0, 5.1, 4.9], reason=Reason.MIDDLE)[0] == "1e-4"  # as good as equal: the middle
    assert said(table([1.0, 1.0, 1.3]), seconds=[9.0, 5.0, 2.0])[0] == "1e-4"  # the cheapest is worse


def test_values_without_an_order() -> None:
    tied = table([1.0, 1.001, 1.0], noise=0.02)
    assert said(tied, ordered=False, reason=Reason.LOWEST)[0] == tied.best


def test_one_seed_cannot_tell_and_says_so() -> None:
    value, words = said(verdict([[1.0], [1.1], [0.9]], NAMES[:3]), present=0)
    assert value == "1e-5"
    assert "One seed cannot tell: use --seeds 3 or more." in words


def test_the_unstable_and_the_diverged_are_named() -> None:
    losses = [[1.0, 1.01, 0.99, 1.0], [1.0, 1.0, 1.01, 1.0], [0.8, 1.9, 1.2, 2.4], [1.0, math.nan, 1.0, 1.0]]
    words = said(verdict(losses, NAMES))[1]
    assert "1e-3 is unstable (+0.57 on average)." in words
    assert "0.01 diverged." in words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.BEST, "the best"),
        (Reason.KEPT, "kept"),
        (Reason.CHEAPEST, "the cheapest of those that may be the best"),
        (Reason.LOWEST, "the lowest of those that may be the best"),
        (Reason.MIDDLE, "in the middle of those that may be the best"),
    ],
)
def test_every_reason_has_its_words(reason: Reason, words: str) -> None:
    assert Choice(0, reason).words == words
    assert Choice(0, reason, extend=True).words == f"{words}; it lies at the edge of what was tried: extend the grid"


def test_runs_that_failed_are_named_and_never_chosen() -> None:
    losses = [[1.0, 1.01, 0.99], [1.1, 1.11, 1.09], [0.5, math.nan, 0.5]]
    failed = [[False] * 3, [False] * 3, [False, True, False]]
    found = verdict(losses, NAMES[:3], missing=failed)
    assert found.comparisons[2].verdict is Judgement.CANNOT_TELL
    value, words = said(found, reason=Reason.BEST)
    assert value == "1e-5"
    assert words.endswith("1e-3 has runs that failed.")


def test_refining_halves_the_exponents_around_the_best() -> None:
    assert refined([1e-5, 1e-4, 1e-3], table([1.2, 1.0, 1.2])) == pytest.approx([3e-5, 3e-4])
    assert refined([1e-5, 1e-4, 1e-3, 1e-2], table([1.0, 1.0, 1.0, 1.0])) == []
    assert refined([1e-5, 1e-4, 1e-3], table([1.3, 1.0, 1.0])) == pytest.approx([3e-5, 3e-4])
    assert refined([1e-4, 1e-3], table([1.0, 1.3])) == pytest.approx([3e-4])
    assert refined([1e-3, 1e-4, 1e-5], table([1.2, 1.0, 1.2])) == pytest.approx([3e-5, 3e-4])  # in any order
    assert refined([0.0, 1e-4, 2e-4], table([1.3, 1.0, 1.3])) == []  # nothing between 0 and 1e-4, nor at one figure
    assert refined([1.0, 2.0], verdict(np.full((2, 3), math.nan))) == []

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from hpcli.analysis.choice import Choice, choose
from hpcli.analysis.finding import in_words
from hpcli.analysis.noise import SeedsNeeded
from hpcli.analysis.refine import refined
from hpcli.analysis.verdict import Verdict, verdict
from hpcli.results.looks import level_of
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
    words = in_words(found, choice, horizon="For 2-epoch cycles", num_seeds=5)
    assert reason is None or (choice is not None and choice.reason is reason)
    return ("" if choice is None else str(found.comparisons[choice.index].value), words)


def test_what_the_config_has_is_kept_where_the_difference_does_not_matter() -> None:
    """Undecided is no tie: a value 5 % above the lowest is left, though noise might do that."""
    near = verdict([[1.003, 1.013, 1.023], [1.005, 1.0, 1.025], [1.10, 1.0, 1.12]], NAMES[:3])
    assert near.comparisons[2].verdict is Judgement.UNDECIDED
    assert said(near, present=1, reason=Reason.KEPT)[0] == "1e-4"
    value, words = said(near, present=2, reason=Reason.LOWEST)
    assert value == near.best
    assert "Not told apart from the lowest mean: " in words
    assert "1e-3 (+0.063)" in words
    assert "; 5 seeds find a true difference of " in words
    assert "To find a difference of 0.01, which is what matters: " in words


def test_an_equal_value_is_kept_though_it_is_no_candidate() -> None:
    found = verdict([[1.0, 1.001, 0.999, 1.0, 1.001], [1.003, 1.004, 1.002, 1.003, 1.004]], NAMES[:2])
    assert (found.comparisons[1].verdict, found.comparisons[1].candidate) == (Judgement.EQUAL, False)
    value, words = said(found, present=1, reason=Reason.KEPT)
    assert value == "1e-4"
    assert words == (
        "For 2-epoch cycles: keep 1e-4, which you have now: the difference from the lowest mean does not matter. "
        "1e-5 is as good."
    )


def test_a_value_that_is_kept_and_has_the_lowest_mean_is_not_said_to_differ_from_it() -> None:
    found = verdict([[1.0, 1.001, 0.999, 1.0, 1.001], [1.003, 1.004, 1.002, 1.003, 1.004]], NAMES[:2])
    _, words = said(found, present=0, reason=Reason.KEPT)
    assert words == "For 2-epoch cycles: keep 1e-5, which you have now and which has the lowest mean. 1e-4 is as good."
    choice = choose(found, positions=None, seconds=[1.0, 2.0])
    assert choice is not None
    assert (choice.reason, choice.words) == (Reason.CHEAPEST, "the cheapest, with the lowest mean")


def test_values_that_the_runs_are_too_short_for_are_not_as_good() -> None:
    equal = [[1.0, 1.001, 0.999, 1.0, 1.001], [1.003, 1.004, 1.002, 1.003, 1.004], [1.002, 1.003, 1.001, 1.002, 1.003]]
    found = verdict(equal, NAMES[:3])
    choice = choose(found, positions=None, present=1)
    words = in_words(found, choice, horizon="", num_seeds=5, too_alike={"1e-5", "0.7"})
    assert words.endswith("does not matter. The runs are too short to tell 1e-5 from it. 1e-3 is as good.")


def test_runs_that_are_identical_say_that_the_key_does_nothing() -> None:
    found = verdict([[1.0, 1.1], [1.0, 1.1]], NAMES[:2])
    choice = choose(found, positions=None, present=1)
    words = in_words(found, choice, horizon="For 2-epoch cycles", num_seeds=2, parameter="optimizer.beta2")
    assert words == (
        "For 2-epoch cycles: all runs of a seed are identical to the bit: optimizer.beta2 does nothing here, 1e-4 is as "
        "good as any."
    )


def test_nothing_learnt_is_refused_with_what_to_do() -> None:
    lost = verdict([[2.35, 2.4], [2.31, 2.32]], NAMES[:2], chance=2.3026)
    assert choose(lost, positions=None) is None
    assert in_words(lost, None, horizon="For 1-epoch cycles", num_seeds=2, chance=2.3026) == (
        "For 1-epoch cycles: no value has learnt anything (chance is a loss of 2.3), so they cannot be compared: find a "
        "learning rate with hpcli lr-find, or train longer (--epochs)."
    )
    some = verdict([[2.35, 2.4], [1.0, 1.1]], NAMES[:2], chance=2.3026)
    value, words = said(some)
    assert value == "1e-4"
    assert words.endswith("1e-4, the best. 1e-5 has learnt nothing (a loss of 2.38).")


def test_values_that_failed_alike_are_named_together() -> None:
    losses = [[2.35, 2.4], [2.31, 2.32], [1.0, 1.1], [math.inf, 3.0], [math.inf, math.inf], [math.nan, 1.0]]
    _, words = said(verdict(losses, ["a", "b", "c", "d", "e", "f"], chance=2.3026))
    assert words.endswith(
        "c, the best. a and b have learnt nothing (losses of 2.31 to 2.38). d and e diverged. "
        "f misses runs, which failed or were not made."
    )


LANDSCAPES = {"flat bowl": 0.01, "bowl": 0.05}
"""Loss by decade² from the optimum, as a share of the lowest loss."""


@pytest.mark.parametrize("draws", [80, pytest.param(4000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("present", [2, 0, None])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_the_choice_is_seldom_worse_by_what_matters(
    landscape: str, seeds: int, present: int | None, draws: int
) -> None:
    """Five values half a decade apart, noise 2 %, the optimum anywhere on the grid or half a decade beyond."""
    random, grid, bad = np.random.default_rng(0), np.linspace(-1, 1, 5), 0
    for _ in range(draws):
        true = 1 + LANDSCAPES[landscape] * (grid - random.uniform(-1.5, 1.5)) ** 2
        losses = true[:, None] + 0.02 * random.normal(size=(5, seeds)) + 0.02 * random.normal(size=seeds)
        choice = choose(verdict(losses, level=level_of(1)), positions=grid.tolist(), present=present)
        assert choice is not None
        bad += true[choice.index] > 1.01 * true.min()
    assert bad / draws <= 0.15 + (3 * math.sqrt(0.15 / draws) if draws < 1000 else 0)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_clearly_best_is_chosen_beside_a_dead_one(seeds: int) -> None:
    random, right = np.random.default_rng(0), 0
    for _ in range(300):
        losses = np.array([1.0, 1.2, 2.3026])[:, None] + np.array([[0.02], [0.02], [0.0005]]) * random.normal(
            size=(3, seeds)
        )
        choice = choose(verdict(losses, chance=math.log(10)), positions=PLACES[:3], present=1)
        right += choice is not None and choice.index == 0
    assert right / 300 >= 0.99


def test_an_edge_winner_asks_for_more() -> None:
    value, words = said(table([1.3, 1.2, 1.1, 1.0]), present=1, reason=Reason.BEST)
    assert value == "0.01"
    assert "use 0.01, the best; it lies at the edge of what was tried: extend the grid." in words
    assert "1e-5 is worse by 0.3 [" in words


def test_one_clear_winner() -> None:
    value, words = said(table([1.3, 1.0, 1.1, 1.2]), present=3, reason=Reason.BEST)
    assert value == "1e-4"
    assert words.startswith("For 2-epoch cycles: use 1e-4, the best. 1e-5 is worse by 0.31 [0.29, 0.33]. 1e-3 is")
    assert "told apart" not in words
    assert "extend" not in words


def test_everything_diverged() -> None:
    lost = verdict(np.full((3, 3), math.inf), NAMES[:3])
    value, words = said(lost)
    assert value == ""
    assert (
        words
        == "For 2-epoch cycles: no value trained; lower the learning rate (hpcli lr-find shows how far it can go)."
    )


def test_the_cheapest_of_those_that_cost_different_times() -> None:
    tied = verdict([[1.0, 1.05, 1.02], [1.004, 1.052, 1.03], [1.002, 1.054, 1.021]], NAMES[:3])
    assert said(tied, seconds=[9.0, 5.0, 2.0], reason=Reason.CHEAPEST)[0] == "1e-3"
    assert said(tied, seconds=[9.0, 5.0, 2.0], present=0, reason=Reason.KEPT)[0] == "1e-5"
    assert said(tied, seconds=[5.0, 5.1, 4.9], reason=Reason.LOWEST)[0] == "1e-5"  # all cost the same
    assert said(table([1.0, 1.0, 1.3]), seconds=[9.0, 5.0, 2.0])[0] != "1e-3"  # the cheapest is worse
    undecided = verdict([[1.0, 1.1, 1.05], [1.05, 1.08, 1.16]], NAMES[:2])
    assert said(undecided, seconds=[9.0, 1.0], reason=Reason.LOWEST)[0] == "1e-5"  # cheap, and perhaps far worse


def test_values_without_an_order() -> None:
    tied = table([1.0, 1.001, 1.0], noise=0.02)
    assert said(tied, ordered=False, reason=Reason.LOWEST)[0] == tied.best


def test_one_seed_cannot_tell_and_says_so() -> None:
    value, words = said(verdict([[1.0], [1.1], [0.9]], NAMES[:3]), present=0)
    assert value == "1e-3"
    assert "One seed cannot tell values apart: use --seeds 3 or more." in words


def test_the_unstable_and_the_diverged_are_named() -> None:
    losses = [
        [1.0, 1.01, 0.99, 1.0], [1.0, 1.0, 1.01, 1.0], [0.8, 1.9, 1.2, 2.4], [1.0, 1.02, 1.0, 1.01], [1.0, math.inf, 1, 1],
    ]  # fmt: skip
    words = said(verdict(losses, [*NAMES, "0.1"]), ordered=False)[1]
    assert "1e-3 (+0.57, far noisier)" in words
    assert "0.1 diverged." in words


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_words(reason: Reason) -> None:
    words = Choice(0, reason).words
    assert words
    assert Choice(0, reason, extend=True).words == f"{words}; it lies at the edge of what was tried: extend the grid"


def test_runs_that_failed_are_named_and_never_chosen() -> None:
    losses = [[1.0, 1.01, 0.99], [1.1, 1.11, 1.09], [0.5, math.nan, 0.5]]
    failed = [[False] * 3, [False] * 3, [False, True, False]]
    found = verdict(losses, NAMES[:3], missing=failed)
    assert found.comparisons[2].verdict is Judgement.MISSING
    value, words = said(found, reason=Reason.BEST)
    assert value == "1e-5"
    assert words.endswith("1e-3 misses runs, which failed or were not made.")


def test_refining_halves_the_exponents_around_the_best() -> None:
    assert refined([1e-5, 1e-4, 1e-3], table([1.2, 1.0, 1.2])) == pytest.approx([3e-5, 3e-4])
    assert refined([1e-5, 1e-4, 1e-3, 1e-2], table([1.0, 1.0, 1.0, 1.0])) == []
    assert refined([1e-5, 1e-4, 1e-3], table([1.3, 1.0, 1.0])) == pytest.approx([3e-5, 3e-4])
    assert refined([1e-4, 1e-3], table([1.0, 1.3])) == pytest.approx([3e-4])
    assert refined([1e-3, 1e-4, 1e-5], table([1.2, 1.0, 1.2])) == pytest.approx([3e-5, 3e-4])  # in any order
    assert refined([0.0, 1e-4, 2e-4], table([1.3, 1.0, 1.3])) == []  # nothing between 0 and 1e-4, nor at one figure
    assert refined([16, 64, 256], table([1.2, 1.0, 1.2])) == [32, 128]  # whole numbers stay whole
    assert refined([1, 2, 3], table([1.2, 1.0, 1.2])) == []
    assert refined([1.0, 2.0], verdict(np.full((2, 3), math.nan))) == []


@pytest.mark.parametrize(
    ("low", "high", "now", "words"),
    [
        (3, 11, 3, "4 to 11"), (3, 3, 3, "4"), (6, 11, 3, "6 to 11"), (None, None, 3, "over 1,000"),
        (2, None, 5, "6 to over 1,000"),
    ],
)  # fmt: skip
def test_seeds_that_are_needed_are_more_than_those_that_were_too_few(
    low: int | None, high: int | None, now: int, words: str
) -> None:
    assert str(SeedsNeeded(low, high).beyond(now)) == words

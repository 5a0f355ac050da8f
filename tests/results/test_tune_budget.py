from __future__ import annotations

import math
from itertools import product
from types import SimpleNamespace
from typing import Literal, cast

import pytest

from hpcli.config import load_config
from hpcli.config.space import RATES
from hpcli.results.lr_find import LRFindResult
from hpcli.results.tune_budget import FIRST_FRESH, bounded, divided, in_words, range_test_keys
from hpcli.results.tune_words import of_range_test
from hpcli.results.tuning import Tuning

BUDGETS = [4, 5, 6, 7, 8, 11, 12, 13, 19, 20, 21, 24, 48, 100, 1000]
CONFIRMS: list[int | Literal["auto"]] = ["auto", *range(51)]


@pytest.mark.parametrize("runs", BUDGETS)
@pytest.mark.parametrize("range_steps", [0, 1, 99, 100, 101, 250, 10**4, 10**7])
def test_a_budget_is_never_overdrawn(runs: int, range_steps: int) -> None:
    """Whatever is asked: two runs search at least, and only a range test longer than all the rest goes beyond."""
    spent = math.ceil(range_steps / 100)
    for confirm in CONFIRMS:
        plan = divided(runs, confirm, seed=3, epochs=2, steps=100, range_steps=range_steps)
        assert plan.search >= 2
        assert plan.pairs >= 0
        assert plan.runs == runs
        if spent <= runs - 2:
            assert spent + plan.search + 2 * plan.pairs == runs
        else:
            assert (plan.search, plan.pairs) == (2, 0)
        if confirm != "auto":
            assert plan.pairs <= confirm


@pytest.mark.parametrize(
    ("runs", "pairs", "search"), [(4, 0, 4), (11, 0, 11), (12, 1, 10), (19, 1, 17), (20, 3, 14), (24, 3, 18)]
)
def test_how_budgets_are_divided(runs: int, pairs: int, search: int) -> None:
    plan = divided(runs, "auto", seed=0, epochs=2, steps=100, range_steps=0)
    assert (plan.pairs, plan.search) == (pairs, search)


@pytest.mark.parametrize(
    ("runs", "confirm", "pairs"), [(24, 0, 0), (24, 1, 1), (24, 11, 11), (24, 12, 11), (24, 50, 11), (5, 50, 1)]
)
def test_a_verdict_takes_what_the_search_leaves(runs: int, confirm: int, pairs: int) -> None:
    assert divided(runs, confirm, seed=0, epochs=2, steps=100, range_steps=0).pairs == pairs


def test_a_range_test_counts_as_the_runs_it_could_have_been() -> None:
    plan = divided(24, 3, seed=0, epochs=2, steps=100, range_steps=120)
    assert plan.search == 16
    assert in_words(plan) == (
        "24 runs of 100 steps: 16 search, 2 for the range test, 6 for the verdict on fresh seeds; then the training"
    )
    assert in_words(plan, trains=False) == in_words(plan).removesuffix("; then the training") != in_words(plan)
    assert "range test" not in in_words(divided(24, 3, seed=0, epochs=2, steps=100, range_steps=0))
    assert "verdict" not in in_words(divided(8, "auto", seed=0, epochs=2, steps=100, range_steps=0))


def test_runs_without_a_step() -> None:
    assert divided(24, 3, seed=0, epochs=1, steps=0, range_steps=5).search >= 2


def test_seeds_of_the_verdict_lie_beyond_all_others() -> None:
    """Of a larger budget they begin later: those before them have become part of the search."""
    firsts = [divided(runs, 3, seed=7, epochs=2, steps=100, range_steps=0).first_fresh for runs in BUDGETS]
    assert firsts == sorted(set(firsts))
    assert firsts[0] > 7 + FIRST_FRESH


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_range_test_takes_an_eighth_at_most(optimizer: str) -> None:
    bare = load_config(overrides={"data.name": "digits", "optimizer.name": optimizer})
    for runs, steps in product(BUDGETS, [1, 10, 50, 100, 1000, 10**6]):
        own = bare.model_copy(update={"tune": bare.tune.model_copy(update={"runs": runs})})
        keys = range_test_keys(own, steps)
        if keys is None:
            assert runs * steps < 8 * 10 * 6.1  # ten a decade would be more
            continue
        count = keys["lr_find.steps"]
        assert isinstance(count, int)
        assert 40 <= count <= 120
        assert 8 * count <= runs * steps
        assert keys["lr_find.start_lr"] == RATES[optimizer][0] / 10
        plan = divided(runs, "auto", seed=0, epochs=1, steps=steps, range_steps=count)
        assert count + (plan.search + 2 * plan.pairs) * steps <= runs * steps


@pytest.mark.parametrize(("blow_up", "breaks"), [(0.06, True), (None, False), (5.0, False)])
def test_a_range_that_ends_where_training_breaks_says_so(blow_up: float | None, breaks: bool) -> None:
    suggestion = SimpleNamespace(suggested_lr=0.02, blow_up_lr=blow_up)
    found = bounded(cast(LRFindResult, SimpleNamespace(suggestion=suggestion)))
    assert found is not None
    assert (found.high, found.breaks) == (0.06 if breaks else 0.1, breaks)


def test_a_range_test_that_refuses_says_why() -> None:
    refused = SimpleNamespace(suggestion=SimpleNamespace(refused="the curve says nothing"))
    own = SimpleNamespace(ranges=(), range_test=refused)
    said = "The range test suggests nothing (the curve says nothing); max_lr is searched in its usual range."
    assert of_range_test(cast(Tuning, own)) == said

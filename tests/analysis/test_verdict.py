from __future__ import annotations

import csv
import io
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcli import verdict
from hpcli.analysis.noise import _dunnett, _studentized
from hpcli.analysis.verdict import Verdict
from hpcli.states import Judgement

Array = NDArray[np.float64]


def table(means: list[float], *, seeds: int = 5, noise: float = 0.01, shared: float = 0.05, seed: int = 0) -> Array:
    """Losses of values that share what their seeds do to them."""
    random = np.random.default_rng(seed)
    together = random.normal(0, shared, seeds)
    return np.array(means)[:, None] + together + random.normal(0, noise, (len(means), seeds))


def words(found: Verdict) -> list[Judgement]:
    return [each.verdict for each in found.comparisons]


def test_critical_values_are_the_printed_ones() -> None:
    """q(.05; 3, 10) = 3.877, q(.05; 5, 20) = 4.232; Dunnett (1964), one-sided: p = 3, df = 20: 2.19."""
    assert _studentized(3, 10) * math.sqrt(2) == pytest.approx(3.877, abs=2e-3)
    assert _studentized(5, 20) * math.sqrt(2) == pytest.approx(4.232, abs=2e-3)
    assert _dunnett(1, 10) == pytest.approx(1.8125, abs=5e-3)  # Student's t
    assert _dunnett(3, 20) == pytest.approx(2.19, abs=1e-2)


def test_the_sources_claim_is_not_supported() -> None:
    """The notebook chose momentum (0.99, 0.90) for 3.0841 against 3.0953; two equal runs of its own differ by 0.035."""
    alone = verdict([[3.0841], [3.0953]], ["0.99-0.90", "0.95-0.85"])
    assert words(alone) == [Judgement.BEST, Judgement.CANNOT_TELL]
    assert alone.resolution is None
    known = verdict([[3.0841], [3.0953]], ["0.99-0.90", "0.95-0.85"], noise=(0.035 / math.sqrt(2), 1))
    assert words(known) == [Judgement.BEST, Judgement.UNDECIDED]
    assert known.comparisons[1].candidate
    assert known.resolution is not None
    assert known.resolution > 0.1


def test_pairing_finds_what_unpaired_seeds_would_hide() -> None:
    """A gap of 0.05 under seeds that move everything by 0.2."""
    found = verdict(table([1.0, 1.05, 1.001], shared=0.2), ["a", "b", "c"])
    assert found.best in ("a", "c")
    assert found.comparisons[1].verdict == Judgement.WORSE
    assert not found.comparisons[1].candidate
    assert found.seed_correlation is not None
    assert found.seed_correlation > 0.9
    assert found.noise_sd == pytest.approx(0.01, rel=0.6)


def test_equal_is_said_where_the_interval_is_small() -> None:
    found = verdict(table([1.0, 1.0005], seeds=12, noise=0.002), matters=0.01)
    assert sorted(words(found)) == [Judgement.BEST, Judgement.EQUAL]
    assert sorted(words(verdict(table([1.0, 1.0005], seeds=3, noise=0.05), matters=0.01))) == [
        Judgement.BEST,
        Judgement.UNDECIDED,
    ]


def test_a_diverged_value_never_wins_and_leaves_the_others_alone() -> None:
    losses = table([1.0, 1.2, 1.0, 1.1])
    clean = verdict(losses[[0, 1, 3]], [0, 1, 3])
    losses[2, 1] = math.nan
    losses[2, 0] = -100.0
    found = verdict(losses)
    assert found.comparisons[2].verdict == Judgement.DIVERGED
    assert [each for each in found.comparisons if each.value != 2] == list(clean.comparisons)
    losses[2] = [0.5, 0.5, 0.5, 0.5, 9.0]
    assert verdict(losses, ceiling=2.3).comparisons[2].verdict == Judgement.DIVERGED
    nothing = verdict(np.full((2, 3), np.nan))
    assert (nothing.best, words(nothing)) == (None, [Judgement.DIVERGED, Judgement.DIVERGED])


def test_an_unstable_value_stays_out_of_the_noise() -> None:
    losses = table([1.0, 1.01, 1.02, 1.0], shared=0.0)
    clean = verdict(losses[:3])
    losses[3] = [0.9, 1.6, 1.1, 2.0, 0.95]
    found = verdict(losses)
    assert found.comparisons[3].verdict == Judgement.UNSTABLE
    assert found.noise_sd == clean.noise_sd
    losses[3] += 1.0
    assert verdict(losses).comparisons[3].verdict == Judgement.WORSE


def rates(
    k: int, S: int, *, draws: int, sds: Any = 1.0, shared: Any = 2.0, gap: float = 0.0, level: float = 0.05
) -> tuple[float, float]:
    """Of sweeps whose values do not differ, but the last by `gap`: how many call any value worse, and the last one."""
    random = np.random.default_rng(0)
    any_worse = last_worse = 0
    for _ in range(draws):
        losses = random.normal(size=S) * np.broadcast_to(shared, k)[:, None]
        losses = losses + random.normal(size=(k, S)) * np.broadcast_to(sds, k)[:, None]
        losses[-1] += gap
        found = words(verdict(10 + losses, matters=0.0, level=level))
        any_worse += Judgement.WORSE in found
        last_worse += found[-1] == Judgement.WORSE
    return any_worse / draws, last_worse / draws


NULLS = [
    pytest.param(k, S, about, at_most, id=f"{k} values, {S} seeds, {name}")
    for k in (3, 6)
    for S, name, about, at_most in [
        (5, "equal noise", {}, 0.057),
        (3, "equal noise", {}, 0.075),
        (5, "unequal correlations", {"shared": np.linspace(0, 3, k)}, 0.075),
        (3, "unequal correlations", {"shared": np.linspace(0, 3, k)}, 0.075),
        (5, "one at five times the noise", {"sds": [1.0] * (k - 1) + [5.0]}, 0.075),
        (5, "one at five times the noise, nothing shared", {"sds": [1.0] * (k - 1) + [5.0], "shared": 0.0}, 0.075),
    ]
]


@pytest.mark.parametrize(("k", "S", "about", "at_most"), NULLS)
def test_what_does_not_differ_is_rarely_called_worse(k: int, S: int, about: dict[str, Any], at_most: float) -> None:
    """600 sweeps, with three standard errors of room; `slow` draws 10,000."""
    assert rates(k, S, draws=600, **about)[0] <= at_most + 3 * math.sqrt(at_most / 600)


@pytest.mark.slow
@pytest.mark.parametrize(("k", "S", "about", "at_most"), NULLS)
def test_the_same_in_ten_thousand_sweeps(k: int, S: int, about: dict[str, Any], at_most: float) -> None:
    assert rates(k, S, draws=10_000, **about)[0] <= at_most


def test_a_gap_of_five_standard_deviations_is_found_with_three_seeds() -> None:
    assert rates(3, 3, draws=1000, gap=5.0)[1] >= 0.9


@pytest.mark.parametrize(("k", "S"), [(2, 3), (3, 3), (3, 5), (6, 5), (4, 8)])
def test_the_resolution_is_found_four_times_of_five(k: int, S: int) -> None:
    """What a sweep states is its own noise times this gap; with the true noise it is found in 80 % of sweeps."""
    one = verdict(table([1.0] * k, seeds=S))
    assert one.resolution is not None
    assert one.noise_sd is not None
    gap = one.resolution / one.noise_sd
    assert rates(k, S, draws=2000, gap=gap)[1] == pytest.approx(0.8, abs=0.03)


def test_three_looks_share_the_level() -> None:
    assert rates(3, 5, draws=600, level=0.05 / 3)[0] <= 0.05 / 3 + 3 * math.sqrt(0.05 / 3 / 600)


def test_the_sources_six_weight_decays() -> None:
    """Six single runs (1e-4 was chosen): nothing can be told; with the noise of a setting it ran twice, nothing is worse."""
    names = ["0", "1e-5", "3e-5", "1e-4", "3e-4", "1e-3"]
    losses = [[3.4375], [3.5044], [3.4910], [3.4598], [3.4645], [3.5310]]
    assert set(words(verdict(losses, names))) == {Judgement.BEST, Judgement.CANNOT_TELL}
    known = verdict(losses, names, noise=(0.0248, 1))
    assert set(words(known)) == {Judgement.BEST, Judgement.UNDECIDED}
    assert all(each.candidate for each in known.comparisons)


def test_seeds_for_what_matters() -> None:
    few = verdict(table([1.0, 1.0, 1.02], noise=0.02), matters=0.01)
    assert few.seeds_for_matters is not None
    assert few.noise_sd is not None
    more = verdict(table([1.0, 1.0, 1.02], noise=0.02, seeds=few.seeds_for_matters), matters=0.01)
    assert more.resolution == pytest.approx(0.01, rel=0.5)
    assert verdict(table([1.0, 1.0], noise=0.02), matters=0.0).seeds_for_matters is None


@settings(max_examples=50, deadline=None)
@given(
    means=st.lists(st.floats(0.5, 2), min_size=2, max_size=5), seeds=st.integers(2, 6), seed=st.integers(0, 999), shift=st.floats(-0.3, 3)
)  # fmt: skip
def test_properties(means: list[float], seeds: int, seed: int, shift: float) -> None:
    """The order of values does not matter, nor what is added to all; the best is a candidate; intervals hold their middle."""
    losses = table(means, seeds=seeds, seed=seed)
    found = verdict(losses, matters=0.0)
    turned = verdict(losses[::-1], list(range(len(means)))[::-1], matters=0.0)
    assert {each.value: each.verdict for each in found.comparisons} == {
        each.value: each.verdict for each in turned.comparisons
    }
    shifted = verdict(losses + shift, matters=0.0)
    assert shifted.noise_sd == pytest.approx(found.noise_sd, rel=1e-6)
    assert shifted.best == found.best
    for each in found.comparisons:
        if each.low is not None and each.high is not None:
            assert each.low <= (each.difference or 0) <= each.high
        if each.verdict == Judgement.BEST:
            assert each.candidate
            assert each.value == found.best


def test_what_is_no_table() -> None:
    with pytest.raises(ValueError, match="a table"):
        verdict([1.0, 2.0])


def test_a_table_that_another_tool_exported() -> None:
    """As a study's trials come out of Optuna: a line a run, in any order."""
    exported = (
        "number,value,params_weight_decay,user_attrs_seed,state\n"
        "0,0.93,0.0001,0,COMPLETE\n1,1.12,0.1,0,COMPLETE\n2,0.98,0.001,1,COMPLETE\n3,0.97,0.0001,1,COMPLETE\n"
        "4,1.15,0.1,1,COMPLETE\n5,0.95,0.001,0,COMPLETE\n6,0.90,0.0001,2,COMPLETE\n7,1.08,0.1,2,COMPLETE\n"
        "8,0.91,0.001,2,COMPLETE\n"
    )
    rows = list(csv.DictReader(io.StringIO(exported)))
    values = sorted({row["params_weight_decay"] for row in rows}, key=float)
    seeds = sorted({row["user_attrs_seed"] for row in rows})
    losses = {(row["params_weight_decay"], row["user_attrs_seed"]): float(row["value"]) for row in rows}
    found = verdict([[losses[value, seed] for seed in seeds] for value in values], values)
    assert (found.best, words(found)) == ("0.0001", [Judgement.BEST, Judgement.WORSE, Judgement.WORSE])

from __future__ import annotations

import csv
import io
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from hpcli import verdict
from hpcli.analysis.power import dunnett, found_gap, studentized
from hpcli.analysis.verdict import Verdict
from hpcli.results.looks import level_of
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
    assert studentized(3, 10) * math.sqrt(2) == pytest.approx(3.877, abs=2e-3)
    assert studentized(5, 20) * math.sqrt(2) == pytest.approx(4.232, abs=2e-3)
    assert dunnett(1, 10) == pytest.approx(1.8125, abs=5e-3)  # Student's t
    assert dunnett(3, 20) == pytest.approx(2.19, abs=1e-2)


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
    losses[2, 1] = math.inf
    losses[2, 0] = -100.0
    found = verdict(losses)
    assert found.comparisons[2].verdict == Judgement.DIVERGED
    assert [each for each in found.comparisons if each.value != 2] == list(clean.comparisons)
    losses[2] = [0.5, 0.5, 0.5, 0.5, 9.0]
    assert verdict(losses, ceiling=2.3).comparisons[2].verdict == Judgement.DIVERGED
    nothing = verdict(np.full((2, 3), np.inf))
    assert (nothing.best, words(nothing)) == (None, [Judgement.DIVERGED, Judgement.DIVERGED])


def test_a_missing_run_is_missing_not_diverged() -> None:
    """NaN and None alike; a seed that is missing everywhere is left out; a run that is known to have diverged is that."""
    losses = table([1.0, 1.3, 1.1], seeds=4)
    clean = verdict(losses[:, :3])
    losses[:, 3] = math.nan
    assert verdict(losses) == clean
    assert verdict([losses[0], [1.3, None, 1.3, None], losses[2]]).comparisons[1].verdict == (Judgement.MISSING)
    losses[0, 0], losses[0, 1] = math.nan, math.inf
    assert words(verdict(losses))[0] == Judgement.DIVERGED
    assert words(verdict(np.full((2, 3), np.nan))) == [Judgement.MISSING] * 2
    assert words(verdict([[1.0, 2.0], [1.1, 2.1]], missing=[[False, True], [False, False]]))[0] == Judgement.MISSING


def test_what_has_learnt_nothing_is_out() -> None:
    """Weight decays 1e-3, 1e-2 and 10 on real images, two seeds; the last one collapsed to chance."""
    losses = [[1.937, 1.944], [1.918, 1.836], [2.3026, 2.3025]]
    found = verdict(losses, ["1e-3", "1e-2", "10"], chance=math.log(10))
    assert words(found) == [Judgement.UNDECIDED, Judgement.BEST, Judgement.AT_CHANCE]
    assert not any(each.unstable for each in found.comparisons)
    assert found.comparisons[2].mean == pytest.approx(2.30255)
    lost = verdict([[2.35, 2.4], [2.29, 2.31]], chance=math.log(10))
    assert (lost.best, words(lost)) == (None, [Judgement.AT_CHANCE] * 2)


def test_a_wild_value_among_the_tied_is_chosen_where_it_is_the_lowest() -> None:
    """Unstable says how it varies; what it is compared by is its own variance."""
    losses = table([1.0, 1.0, 1.0, 1.0], shared=0.0, noise=0.001)
    losses[3] = np.array([0.5, 0.7, 0.6, 0.65, 0.55])
    found = verdict(losses)
    assert found.comparisons[3].unstable
    assert found.best == 3
    assert words(found) == [Judgement.WORSE] * 3 + [Judgement.BEST]
    losses[3] += 0.41
    nearly = verdict(losses)
    assert nearly.comparisons[3].verdict == Judgement.UNDECIDED
    assert nearly.comparisons[3].candidate


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (np.ones((3, 4)), ["best", "equal", "equal"]),
        ([[0.5, 0.5], [0.5, 0.5]], ["best", "equal"]),
        (np.zeros((2, 2)), ["best", "equal"]),
        (np.add.outer([1.0, 1.5], [0.1234567, 0.2345678, 0.9876543]), ["best", "worse"]),  # no noise at all
        ([[0.50, 0.52], [0.51, 0.53]], ["best", "undecided"]),  # two decimals: rounding hides the noise
        ([[2.50, 2.52], [2.51, 2.53]], ["best", "undecided"]),
        ([[17.50, 17.52], [17.51, 17.53]], ["best", "equal"]),  # 0.01 is no hundredth of 17.5
    ],
)
def test_without_any_noise(losses: Array, expected: list[str]) -> None:
    found = verdict(losses)
    assert words(found) == expected
    assert found.identical == bool((np.asarray(losses) == np.asarray(losses)[0]).all())


@pytest.mark.parametrize("loss", [0.5, 1.0, 2.5, 17.5, 130.0])
def test_rounding_is_that_of_the_decimals_given_whatever_the_loss(loss: float) -> None:
    """Two decimals, and no noise left: its deviation is a hundredth over the root of twelve."""
    found = verdict([[loss, loss + 0.02], [loss + 0.01, loss + 0.03]])
    assert found.noise_sd == pytest.approx(0.01 / math.sqrt(12))


def test_identical_runs_beside_one_that_is_out_are_no_sign_that_the_key_does_nothing() -> None:
    found = verdict([[1.0, 1.1], [1.0, 1.1], [2.4, 2.4]], chance=math.log(10))
    assert words(found) == [Judgement.BEST, Judgement.EQUAL, Judgement.AT_CHANCE]
    assert not found.identical


def test_losses_of_any_size_end_in_no_exception() -> None:
    assert words(verdict([[1e308, 1.1e308], [-1e308, -1.1e308]])) == [Judgement.WORSE, Judgement.BEST]
    assert verdict([[1e-320, 2e-320], [1.0, 2.0]]).seeds_for_matters is not None


@pytest.mark.parametrize("exponent", [-1000, -700, -20, 20, 700, 1000])
def test_the_unit_of_the_loss_does_not_matter(exponent: int) -> None:
    losses = table([1.0, 1.02, 1.3], seeds=3)
    one, other = verdict(losses), verdict(np.ldexp(losses, exponent))
    assert words(one) == words(other)
    assert one.noise_sd is not None
    assert one.resolution is not None
    assert other.noise_sd == math.ldexp(one.noise_sd, exponent)
    assert other.resolution == math.ldexp(one.resolution, exponent)
    assert one.seeds_for_matters == other.seeds_for_matters


def test_an_unstable_value_stays_out_of_the_noise() -> None:
    losses = table([1.0, 1.01, 1.02, 1.0], shared=0.0)
    clean = verdict(losses[:3])
    losses[3] = [0.9, 1.6, 1.1, 2.0, 0.95]
    found = verdict(losses)
    assert [each.unstable for each in found.comparisons] == [False, False, False, True]
    assert found.comparisons[3].verdict == Judgement.UNDECIDED
    assert found.noise_sd == clean.noise_sd
    losses[3] += 2.0
    assert verdict(losses).comparisons[3].verdict == Judgement.WORSE


KINDS_OF_NOISE = {
    "normal": lambda random, shape: random.normal(size=shape),
    "t3": lambda random, shape: random.standard_t(3, shape),
    "lognormal": lambda random, shape: np.exp(0.75 * random.normal(size=shape)),
}


def judged(k: int, S: int, kind: str, *, draws: int) -> tuple[float, float, float]:
    """Of sweeps whose values do not differ: with any value worse; with any value equal whose true gap matters; and the
    share of values that are unstable. The last value is truly worse by exactly what matters, for *equal* alone."""
    random = np.random.default_rng(0)
    worse = equal = wild = 0.0
    for _ in range(draws):
        losses = 100 + random.normal(size=S) + KINDS_OF_NOISE[kind](random, (k, S))
        found = verdict(losses, matters=0.02)
        worse += Judgement.WORSE in words(found)
        wild += float(np.mean([each.unstable for each in found.comparisons]))
        losses[-1] += 0.0201 * 100
        apart = verdict(losses, matters=0.02)
        equal += apart.comparisons[-1].verdict in (Judgement.EQUAL, Judgement.BEST) and apart.best != k - 1
    return worse / draws, equal / draws, wild / draws


@pytest.mark.parametrize("kind", KINDS_OF_NOISE)
@pytest.mark.parametrize(("k", "S"), [(3, 3), (6, 5)])
def test_alarms_are_rare_whatever_the_noise(k: int, S: int, kind: str) -> None:
    """120 sweeps, with three standard errors of room; `slow` draws 5,000 of more kinds."""
    worse, equal, wild = judged(k, S, kind, draws=120)
    assert max(worse, equal) <= 0.057 + 3 * math.sqrt(0.05 / 120)
    assert wild <= 0.01 + 3 * math.sqrt(0.01 / 120 / k)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS_OF_NOISE)
@pytest.mark.parametrize("k", [3, 6, 12])
@pytest.mark.parametrize("S", [3, 5])
def test_the_same_in_five_thousand_sweeps(k: int, S: int, kind: str) -> None:
    worse, equal, wild = judged(k, S, kind, draws=5000)
    assert worse <= 0.057
    assert equal <= 0.05
    assert wild <= 0.01


@pytest.mark.parametrize("draws", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_looking_again_and_again_shares_one_level(draws: int) -> None:
    """A sweep resumed with more seeds, six times: five equal values, and how often any look calls one worse."""
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(draws):
        losses = 10 + random.normal(size=(5, 30)) + random.normal(size=30)
        looks = enumerate((3, 5, 8, 12, 20, 30), start=1)
        alarms += any(Judgement.WORSE in words(verdict(losses[:, :S], level=level_of(plan))) for plan, S in looks)
    assert alarms / draws <= 0.057 + (3 * math.sqrt(0.05 / draws) if draws < 1000 else 0)


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


@pytest.mark.parametrize("draws", [300, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("k", "S"), [(2, 2), (2, 3), (3, 3), (5, 3), (3, 5), (5, 5)])
def test_the_resolution_is_found_four_times_of_five(k: int, S: int, draws: int) -> None:
    """A sweep states a gap by the noise that it has estimated; a next sweep with that gap finds it."""
    random, found = np.random.default_rng(0), 0
    for _ in range(draws):
        stated = verdict(10 + random.normal(size=(k, S)) + random.normal(size=S)).resolution
        assert stated is not None
        losses = 10 + random.normal(size=(k, S)) + random.normal(size=S)
        losses[-1] += stated
        found += words(verdict(losses, matters=0.0))[-1] == Judgement.WORSE
    assert found / draws == pytest.approx(0.8, abs=0.03 if draws > 1000 else 0.075)


def test_the_sources_six_weight_decays() -> None:
    """Six single runs (1e-4 was chosen): nothing can be told; with the noise of a setting it ran twice, nothing is worse."""
    names = ["0", "1e-5", "3e-5", "1e-4", "3e-4", "1e-3"]
    losses = [[3.4375], [3.5044], [3.4910], [3.4598], [3.4645], [3.5310]]
    assert set(words(verdict(losses, names))) == {Judgement.BEST, Judgement.CANNOT_TELL}
    known = verdict(losses, names, noise=(0.0248, 1))
    assert set(words(known)) == {Judgement.BEST, Judgement.UNDECIDED}
    assert all(each.candidate for each in known.comparisons)


def test_seeds_for_what_matters() -> None:
    """The span holds the right number in nine of ten sweeps: the one that the true noise would give."""
    sure = verdict(table([1.0, 1.0, 1.02], noise=0.02, seeds=2000), matters=0.01)
    assert sure.seeds_for_matters is not None
    right = sure.seeds_for_matters.low
    assert right is not None
    inside = 0
    for seed in range(40):
        few = verdict(table([1.0, 1.0, 1.0], noise=0.02, seeds=5, seed=seed), matters=0.01).seeds_for_matters
        assert few is not None
        inside += (few.low or 1e9) <= right <= (few.high or 1e9)
    assert inside / 40 == pytest.approx(0.9, abs=0.1)
    more = verdict(table([1.0, 1.0, 1.02], noise=0.02, seeds=right), matters=0.01)
    assert more.resolution == pytest.approx(0.01, rel=0.3)
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


@pytest.mark.parametrize("lengths", [(6, 6), (5, 5, 5), (4, 8, 6, 4)])
def test_unpaired_intervals_of_rows_that_vary_alike(lengths: tuple[int, ...]) -> None:
    """Tukey and Kramer's, as scipy computes them."""
    rows = []
    for index, length in enumerate(lengths):
        row = np.arange(length) - (length - 1) / 2.0
        rows.append(1 + 0.2 * index + 0.1 * row / row.std(ddof=1))
    reference = stats.tukey_hsd(*rows).confidence_interval()
    for index, each in enumerate(verdict(rows, paired=False).comparisons[1:], start=1):
        assert each.low == pytest.approx(reference.low[index, 0])
        assert each.high == pytest.approx(reference.high[index, 0])


def test_a_mean_just_below_chance_is_dead_only_where_every_run_is() -> None:
    """Three classes, two seeds: the value with a mean of 1.088 has a run at 1.045, the lowest of all."""
    chance = float(np.log(3))
    assert words(verdict([[1.1312, 1.0454], [1.0872, 1.0656]], chance=chance)) == [Judgement.UNDECIDED, Judgement.BEST]
    assert words(verdict([[1.0931, 1.0899], [0.9, 0.8]], chance=chance)) == [Judgement.AT_CHANCE, Judgement.BEST]
    assert words(verdict([[1.21, 1.0], [0.9, 0.8]], chance=chance)) == [Judgement.AT_CHANCE, Judgement.BEST]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_share_that_pairing_takes_away_is_the_variance_of_the_seeds(share: float) -> None:
    random = np.random.default_rng(0)
    seeds, own = random.normal(0, share**0.5, 4000), random.normal(0, (1 - share) ** 0.5, (4, 4000))
    found = verdict(10 + seeds + own).seed_correlation
    assert found == pytest.approx(share, abs=0.03)
    unlike = verdict(10 + np.array([[1.0], [3.0]]) * random.normal(0, 0.1, 4000))  # in step, and by different amounts
    assert unlike.seed_correlation == pytest.approx(0.6, abs=0.03)


def test_the_order_of_unpaired_runs_says_nothing() -> None:
    """A log sorted by its losses would seem to have hardly any noise, were its rows paired."""
    losses = np.sort([[1.02, 0.98, 1.05, 0.95], [1.04, 1.07, 0.99, 0.97]], axis=1)
    assert words(verdict(losses)) == [Judgement.BEST, Judgement.WORSE]
    found = verdict(losses, paired=False)
    assert words(found) == [Judgement.BEST, Judgement.UNDECIDED]
    turned = verdict(losses[:, ::-1], paired=False)
    assert words(turned) == words(found)
    assert turned.noise_sd == pytest.approx(found.noise_sd)
    assert found.seed_correlation is None


@pytest.mark.parametrize("lengths", [(3, 3, 3), (5, 5), (2, 8, 4, 5)])
def test_unpaired_values_that_do_not_differ_are_rarely_called_worse(lengths: tuple[int, ...]) -> None:
    random, alarms = np.random.default_rng(0), 0
    for _ in range(400):
        rows = [10 + np.sort(random.normal(size=length)) for length in lengths]
        alarms += Judgement.WORSE in words(verdict(rows, matters=0.0, paired=False))
    assert alarms / 400 <= 0.057 + 3 * math.sqrt(0.05 / 400)


@pytest.mark.parametrize(("k", "S"), [(2, 3), (3, 3), (5, 5)])
def test_the_resolution_of_unpaired_runs_is_found_four_times_of_five(k: int, S: int) -> None:
    random, found = np.random.default_rng(0), 0
    for _ in range(300):
        stated = verdict(10 + random.normal(size=(k, S)), paired=False).resolution
        assert stated is not None
        losses = 10 + random.normal(size=(k, S))
        losses[-1] += stated
        found += words(verdict(losses, matters=0.0, paired=False))[-1] == Judgement.WORSE
    assert found / 300 == pytest.approx(0.8, abs=0.075)


def test_unpaired_runs_that_are_few_or_out() -> None:
    alone = verdict([[1.0], [1.1]], paired=False)
    assert words(alone) == [Judgement.BEST, Judgement.CANNOT_TELL]
    one = verdict([[1.0, 1.01, 0.99], [1.5], []], paired=False)
    assert words(one) == [Judgement.BEST, Judgement.WORSE, Judgement.MISSING]
    out = verdict([[1.0, 1.01], [1.0, math.nan], [1.0, math.inf], [2.4, 2.5]], paired=False, chance=2.3)
    assert words(out) == [Judgement.BEST, Judgement.MISSING, Judgement.DIVERGED, Judgement.AT_CHANCE]
    assert words(verdict([[0.5, 0.5], [0.5]], paired=False)) == [Judgement.BEST, Judgement.EQUAL]
    with pytest.raises(ValueError, match="rows of losses"):
        verdict([], paired=False)


def test_many_values_take_no_more_memory_than_few() -> None:
    """Of 300 values, three seeds, fewer tables are drawn at once: 20,000 of them would take gigabytes."""
    tracemalloc.start()
    try:
        assert 2 < found_gap(300, 3, 598, 0.05) < 6
        assert tracemalloc.get_traced_memory()[1] < 4e8
    finally:
        tracemalloc.stop()


def test_what_is_no_table() -> None:
    with pytest.raises(ValueError, match="a table"):
        verdict([1.0, 2.0])
    with pytest.raises(ValueError, match="values: 1 names for 2 rows"):
        verdict([[1.0], [2.0]], ["a"])


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

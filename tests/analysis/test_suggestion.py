from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcli.analysis.finder_rules import fastai_rules
from hpcli.analysis.lr_find import combine, in_words, overfitting_lr, steps_sensitivity
from hpcli.analysis.reading import read
from hpcli.analysis.suggestion import Suggestion, suggest
from hpcli.states import Refusal

CHANCE = math.log(10)
Array = NDArray[np.float64]
GRID = np.geomspace(1e-6, 10, 210)


def curve(
    *, lowest: float = 1e-2, breaks: float | None = 1.0, noise: float = 0.1, steps: int = 210, seed: int = 0
) -> tuple[Array, Array]:
    """A range test as they look: chance, a fall to 0.8 at `lowest`, a slow rise, a break."""
    lr = np.geomspace(1e-6, 10, steps)
    x = np.log10(lr / lowest)
    loss = 0.8 + 1.5 / (1 + np.exp(3.5 * (x + 1))) + 0.15 * np.clip(x, 0, None) ** 2
    loss += np.random.default_rng(seed).normal(0, noise, steps)
    if breaks is not None:
        loss = np.where(lr >= breaks, 20.0, loss)
    return lr, loss


def references() -> dict[str, dict[str, Array]]:
    """Range tests of Smith's released logs, thinned; see the file's first lines."""
    lines = [
        line for line in (Path(__file__).parent / "smith/range_tests.csv").read_text().splitlines() if line[0] != "#"
    ]
    found: dict[str, dict[str, list[float]]] = {}
    for row in csv.DictReader(lines):
        columns = found.setdefault(row["series"], {"lr": [], "test_loss": [], "train_loss": []})
        for name, values in columns.items():
            values.append(float(row[name]))
    return {series: {name: np.array(values) for name, values in columns.items()} for series, columns in found.items()}


@pytest.mark.parametrize("loss", ["test_loss", "train_loss"])
@pytest.mark.parametrize(("series", "columns"), references().items())
def test_smiths_range_tests(series: str, columns: dict[str, Array], loss: str) -> None:
    """Nine without a break, six that break between 0.55 and 0.80 (bottleneck ResNet and ResNeXt, gradients clipped)."""
    chance = math.log(100 if "Cifar100" in series else 10)
    found = suggest(columns["lr"], columns[loss], chance_loss=chance)
    if "Clip" in series:
        assert found.blow_up_lr is not None
        assert 0.55 <= found.blow_up_lr <= 0.80
        assert found.refusal is not Refusal.TOO_FEW_STEPS
    else:
        assert found.blow_up_lr is None


def test_there_are_all_fifteen() -> None:
    assert sorted("Clip" in series for series in references()) == [False] * 9 + [True] * 6


def test_the_sources_own_curve_is_refused() -> None:
    """The notebook's lr_find, traced off its plot: flat from 3.91, on a network trained for an epoch (ln 100 = 4.61)."""
    rows = np.loadtxt(Path(__file__).parent / "smith/source_lr_find.csv", delimiter=",", skiprows=2)
    found = suggest(rows[:, 0], rows[:, 1], chance_loss=math.log(100))
    assert found.suggested_lr is None
    assert found.refusal is Refusal.FLAT
    assert "the curve says nothing" in (found.refused or "")
    assert "already trained" in found.notes[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lowest", [1e-3, 1e-2, 5e-2])
def test_the_minimum_is_found_without_lag(lowest: float, seed: int) -> None:
    found = suggest(*curve(lowest=lowest, seed=seed), chance_loss=CHANCE)
    lr, exact = curve(lowest=lowest, noise=0.0)
    truth = min(lr[exact.argmin()], 1 / 8)
    assert found.suggested_lr is not None
    assert truth / 3 < found.suggested_lr < truth * 3
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.suggested_lr <= found.high
    assert found.blow_up_lr == pytest.approx(1.0, rel=0.1)


def test_a_suggestion_keeps_its_distance_from_the_break() -> None:
    found = suggest(*curve(lowest=1e-2, breaks=4e-2), chance_loss=CHANCE)
    assert found.blow_up_lr == pytest.approx(0.04, rel=0.1)
    assert found.blow_up_lr is not None
    assert found.suggested_lr == pytest.approx(found.blow_up_lr / 8)
    assert found.high == found.suggested_lr


def test_a_plateau_is_a_candidate_for_super_convergence() -> None:
    lr = np.geomspace(1e-6, 10, 210)
    loss = 0.8 + 1.5 / (1 + np.exp(4 * np.log10(lr / 1e-3))) + np.random.default_rng(0).normal(0, 0.05, 210)
    found = suggest(lr, loss, chance_loss=CHANCE)
    assert found.plateau
    assert found.suggested_lr is not None
    assert 2e-3 < found.suggested_lr < 0.1
    assert found.high == pytest.approx(3 * found.suggested_lr)
    assert "super-convergence candidate" in in_words(found, num_seeds=3)


@pytest.mark.parametrize(
    ("lr", "loss", "why", "words"),
    [
        (*curve(steps=20), Refusal.TOO_FEW_STEPS, "only .* usable steps"),
        (GRID, 2.3 + np.random.default_rng(0).normal(0, 0.1, 210), Refusal.FLAT, "the curve says nothing"),
        (GRID, np.where(np.arange(210) < 8, 2.3, np.nan), Refusal.LOST_AT_START, "not finite at .*lower start_lr"),
        (GRID, np.linspace(2.3, 0.5, 210), Refusal.STILL_FALLING, "still falling at the end.*raise end_lr"),
        (GRID, np.linspace(0.5, 2.3, 210), Refusal.LOWEST_AT_START, "lowest at the start"),
        (np.array([1e-3]), np.array([np.nan]), Refusal.TOO_FEW_STEPS, "only 1 usable steps, 20 are needed"),
        (np.array([]), np.array([]), Refusal.TOO_FEW_STEPS, "only 0 usable steps, 20 are needed"),
    ],
)  # fmt: skip
def test_what_says_nothing_is_refused_with_a_reason(lr: Array, loss: Array, why: Refusal, words: str) -> None:
    found = suggest(lr, loss, chance_loss=CHANCE, initial_loss=2.3)
    assert found.suggested_lr is None
    assert found.refusal is why
    assert found.refused is not None
    assert re.search(words, found.refused), found.refused
    assert not found.plateau
    assert in_words(found, num_seeds=1).startswith("No suggestion: ")


@settings(max_examples=60, deadline=None)
@given(
    lowest=st.floats(-4, -1), gap=st.floats(0.3, 1.5), noise=st.floats(0, 0.2), steps=st.integers(120, 400), seed=st.integers(0, 99), lost=st.booleans()
)  # fmt: skip
def test_any_curve_gives_an_ordered_answer(
    lowest: float, gap: float, noise: float, steps: int, seed: int, lost: bool
) -> None:
    """Properties: low ≤ suggestion ≤ high ≤ break/8, the break where it is, the suggestion near or below the minimum."""
    breaks = 10 ** (lowest + gap)
    lr, loss = curve(lowest=10**lowest, breaks=breaks, noise=noise, steps=steps, seed=seed)
    if lost:
        loss = np.where(lr >= breaks, np.nan, loss)
    found = suggest(lr, loss, chance_loss=CHANCE)
    assert found.blow_up_lr == pytest.approx(breaks, rel=0.2)
    assert found.blow_up_lr is not None
    if found.suggested_lr is not None:
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.suggested_lr <= found.high <= found.blow_up_lr / 8 * 1.001
        assert found.suggested_lr <= 10**lowest * 10


def test_a_network_that_dies_is_no_plateau() -> None:
    """Without BatchNorm a loss that is lost ends at chance, never far above it."""
    lr = np.geomspace(1e-6, 10, 210)
    noise = np.random.default_rng(0).normal(0, 0.05, 210)
    loss = np.where(lr < 0.3, 0.8 + 1.5 / (1 + np.exp(4 * np.log10(lr / 1e-3))), 2.3) + noise
    found = suggest(lr, loss, chance_loss=CHANCE)
    assert found.blow_up_lr == pytest.approx(0.3, rel=1.0)
    assert not found.plateau
    assert found.suggested_lr is not None
    assert found.suggested_lr < 0.3


def test_a_network_that_dies_above_chance_breaks_where_it_dies_and_not_where_the_loss_gets_high_much_later() -> None:
    """SGD with much momentum, without BatchNorm: dead at 0.3, and not above 1.5 × chance before 6."""
    lr = np.geomspace(1e-6, 10, 210)
    noise = np.random.default_rng(0).normal(0, 0.05, 210)
    learns = 2.3 - 0.4 * np.exp(-(((np.log10(lr) + 1) / 0.5) ** 2))
    loss = np.select([lr < 0.3, lr < 6], [learns, 2.7], 3.6) + noise
    found = suggest(lr, loss, chance_loss=CHANCE)
    assert found.blow_up_lr == pytest.approx(0.3, rel=0.5)
    assert found.suggested_lr is not None
    assert found.suggested_lr < 0.06


@pytest.mark.parametrize("above", [0.1, 0.3, 1.0])
def test_a_loss_that_has_gained_nothing_and_ends_above_chance_breaks(above: float) -> None:
    """It is no plateau: it was no higher before, for five decades, and does not come back."""
    lr = np.geomspace(1e-6, 10, 210)
    loss = np.where(lr < 0.3, 2.3 - 0.02 * np.exp(-(((np.log10(lr) + 1) / 0.3) ** 2)), 2.3 + above)
    found = suggest(lr, loss + np.random.default_rng(0).normal(0, 0.01, 210), chance_loss=CHANCE)
    assert found.blow_up_lr == pytest.approx(0.3, rel=0.5)
    assert not found.plateau
    assert "raise end_lr" not in str(found.refused)


def test_a_loss_that_stays_at_chance_does_not_break() -> None:
    lr = np.geomspace(1e-6, 10, 210)
    dip = 2.3 - 0.02 * np.exp(-(((np.log10(lr) + 1) / 0.3) ** 2))
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.01, 210)
        for loss in (dip, np.full(210, 2.3), np.where(lr > 9.5, 2.5, dip)):  # the last for too short a while
            assert suggest(lr, loss + noise, chance_loss=CHANCE).blow_up_lr is None


def test_one_spike_is_not_smeared_over_the_smoothed_curve() -> None:
    lr, loss = curve(noise=0.02)
    spiky = np.where(np.arange(210) == 130, 500.0, loss)
    plain, found = (read(lr, each, chance_loss=CHANCE) for each in (loss, spiky))
    assert plain is not None
    assert found is not None
    assert np.abs(found.smoothed - plain.smoothed).max() < 0.3


def test_a_curve_from_anywhere_will_do() -> None:
    """A zero learning rate, as in Smith's logs, and a linear grid."""
    lr = np.linspace(0, 1, 300)
    loss = 0.8 + 1.5 * np.exp(-lr / 0.02) + 0.5 * lr**2
    found = suggest(lr.tolist(), loss.tolist())
    assert found.suggested_lr is not None


def test_seeds_are_combined_by_medians_and_covered_by_the_range() -> None:
    parts = [Suggestion(lr, lr / 2, lr * 2, None, None, 1.0, lr / 4, {"valley": lr}) for lr in (1e-3, 1e-2, 2e-2)]
    both = combine(parts)
    assert both.suggested_lr == pytest.approx(1e-2)
    assert both.low == pytest.approx(1e-3)
    assert both.high == pytest.approx(2e-2)
    assert both.rules["valley"] == pytest.approx(1e-2)


def test_seeds_that_disagree_are_noted() -> None:
    good = Suggestion(1e-2, 5e-3, 2e-2, None, None, 1.0, 1e-3, {})
    refused = Suggestion(None, None, None, Refusal.FLAT, "flat", None, None, {})
    other = replace(refused, refusal=Refusal.STILL_FALLING, refused="still falling")
    mostly = combine([good, good, refused])
    assert mostly.suggested_lr == pytest.approx(1e-2)
    assert any("1 of 3 seeds say nothing: flat" in note for note in mostly.notes)
    assert any("2 of 3 seeds break" in note for note in mostly.notes)
    nothing = combine([good, refused, other])
    assert (nothing.refusal, nothing.refused) == (Refusal.FLAT, "flat")
    assert (mostly.refusal, mostly.refused) == (None, None)


def test_sensitivity_to_the_number_of_points() -> None:
    assert 1 <= (steps_sensitivity(*curve(noise=0.02)) or 9) < 1.5
    assert steps_sensitivity(*curve(steps=36)) is None


def test_overfitting_at_small_learning_rates() -> None:
    """1803.09820, figure 4a: with too little weight decay the loss is lowest near 0.0022 and rises from there."""
    rises = [(1e-3, 1.0, 1.0), (2e-3, 0.8, 0.73), (3e-3, 0.7, 0.78), (4e-3, 0.6, 0.85), (6e-3, 0.5, 0.9)]
    assert overfitting_lr(rises) == 2e-3
    assert overfitting_lr([(lr, 1 / (1 + lr * 1e3), 1 / (1 + lr * 9e2)) for lr, _, _ in rises]) is None
    unstable = [(lr, valid, valid) for lr, _, valid in rises]  # both losses rise: the learning rate's doing
    assert overfitting_lr(unstable) is None


def test_rules_of_others_are_where_they_should_be() -> None:
    lr, loss = curve(noise=0.0, breaks=None)
    rules = fastai_rules(lr, loss)
    assert rules.keys() == {"valley", "slide", "steep", "minimum"}
    assert rules["minimum"] > 1e-3  # a tenth of a minimum that the lag has moved up
    assert 1e-4 < rules["valley"] < rules["steep"] * 10
    assert fastai_rules(lr[:20], loss[:20]) == {}


def test_words() -> None:
    found = suggest(*curve(), chance_loss=CHANCE)
    text = in_words(found, num_seeds=3, sensitivity=4.0)
    assert text.startswith("max_lr 0.0")
    assert "(3 seeds)" in text
    assert "breaks at 1" in text
    assert "raise steps" in text
    assert "one seed" in in_words(found, num_seeds=1)
    assert "breaks at 1.1." in in_words(found, num_seeds=3, breaks=[0.6, 1.0, 1.2])
    assert "breaks at 1.1, of one seed at 0.2." in in_words(found, num_seeds=3, breaks=[0.2, 1.0, 1.2])
    plateau = replace(found, blow_up_lr=None)
    assert "The loss does not break: a plateau" in in_words(plateau, num_seeds=3)
    assert "Of 3 seeds 1 breaks; otherwise the loss does not break" in in_words(plateau, num_seeds=3, breaks=[0.2])
    assert "Of 4 seeds 2 break; otherwise" in in_words(plateau, num_seeds=4, breaks=[0.2, 0.3])
    assert "can overfit at small" in in_words(found, num_seeds=3, overfitting=2e-3)


@pytest.mark.parametrize("steps", [210, 630, 2100])
def test_more_steps_are_no_less_of_an_answer(steps: int) -> None:
    """A drop of 1.5 in a noise of 0.6: 40 curves each, at most a tenth refused; what counts is the smoothed curve."""
    refused = sum(
        suggest(*curve(noise=0.6, steps=steps, seed=seed), chance_loss=CHANCE).suggested_lr is None
        for seed in range(40)
    )
    assert refused <= 4


def test_noise_alone_is_no_suggestion() -> None:
    """200 curves without any drop: 5 % at most get one."""
    random = np.random.default_rng(0)
    found = [suggest(GRID, 2.3 + random.normal(0, 0.3, 210), chance_loss=CHANCE) for _ in range(200)]
    assert sum(each.suggested_lr is not None for each in found) <= 10


def cut_short(random: np.random.Generator, *, steps: int, decades: float, before: float, noise: float) -> Suggestion:
    """A test that ends `before` decades before the middle of the loss's only fall, from 2.3 to 1.1."""
    x = np.linspace(-decades, 0, steps)
    loss = 2.3 - 1.2 / (1 + np.exp(-3.5 * (x - before))) + random.normal(0, noise, steps)
    return suggest(10 ** (x - 2), loss, chance_loss=CHANCE)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("before", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("steps", "decades"), [(20, 2), (40, 3)])
def test_a_fall_that_the_test_has_not_seen_the_end_of_is_no_plateau(
    steps: int, decades: float, before: float, seeds: int
) -> None:
    """However noisy: of 60 at most 5 get a suggestion; where noise hid the fall up to 16 did."""
    random = np.random.default_rng(0)
    for noise in (0.02, 0.1, 0.3):
        found = [
            combine([
                cut_short(random, steps=steps, decades=decades, before=before, noise=noise) for _ in range(seeds)
            ])
            for _ in range(60 // seeds)
        ]  # fmt: skip
        assert sum(each.suggested_lr is not None for each in found) <= 5, noise


@pytest.mark.parametrize("steps", [20, 40, 210])
def test_a_plateau_that_the_test_has_seen_is_still_one(steps: int) -> None:
    random = np.random.default_rng(0)
    found = [cut_short(random, steps=steps, decades=3, before=-2, noise=0.05) for _ in range(50)]
    assert sum(each.plateau for each in found) >= 45


def test_a_loss_that_has_hardly_fallen_has_no_plateau() -> None:
    """Measured: four classes of photographs, 20 steps up to 1e-4, loss from 1.390 to 1.382; chance is 1.386."""
    loss = [
        1.3927, 1.3877, 1.3914, 1.3893, 1.3824, 1.3958, 1.3845, 1.3887, 1.3935, 1.3906,
        1.3865, 1.3884, 1.3926, 1.3918, 1.3862, 1.3764, 1.3823, 1.3871, 1.3813, 1.3810,
    ]  # fmt: skip
    found = suggest(np.geomspace(1e-6, 1e-4, 20), loss, chance_loss=math.log(4))
    assert (found.suggested_lr, found.refusal) == (None, Refusal.FLAT)
    assert re.fullmatch(r"the loss has fallen by 0\.\d % only at the end, 1\.0e-04: raise end_lr", str(found.refused))


def test_a_range_does_not_cross_a_hump() -> None:
    """Minima at 1e-4 and, lower, at 1e-1: the range is that of the lower one."""
    lr = np.geomspace(1e-6, 10, 300)
    x = np.log10(lr)
    loss = 2.3 - 1.5 * np.exp(-(((x + 4) / 0.5) ** 2)) - 1.6 * np.exp(-(((x + 1) / 0.5) ** 2))
    found = suggest(lr, loss + np.random.default_rng(0).normal(0, 0.02, 300), chance_loss=CHANCE)
    assert found.low is not None
    assert found.high is not None
    assert 1e-2 < found.low <= found.high < 1


@pytest.mark.parametrize(
    ("lr", "loss", "why", "remedy"),
    [
        (GRID, np.linspace(2.3, 3, 210), Refusal.LOWEST_AT_START, "lower start_lr"),
        (np.geomspace(1, 10, 210), np.linspace(2.3, 30, 210), Refusal.LOST_AT_START, "lower start_lr"),
        (np.geomspace(5, 100, 210), np.full(210, np.nan), Refusal.LOST_AT_START, "lower start_lr"),
        (np.geomspace(1e-9, 1e-7, 210), 2.3 + 0.01 * np.sin(np.arange(210)), Refusal.FLAT, "raise end_lr"),
        (np.linspace(0.01, 10, 210), np.where(np.linspace(0.01, 10, 210) > 0.8, 20, 2 - np.linspace(0, 9, 210)),
         Refusal.TOO_FEW_STEPS, "lower end_lr"),
        (np.geomspace(1e-5, 1, 18), np.linspace(2.3, 1, 18), Refusal.TOO_FEW_STEPS, "raise steps"),
    ],
)  # fmt: skip
def test_every_refusal_names_the_remedy_that_helps(lr: Array, loss: Array, why: Refusal, remedy: str) -> None:
    found = suggest(lr, loss, chance_loss=CHANCE)
    assert found.refusal is why
    assert remedy in str(found.refused)


@pytest.mark.parametrize("gaps", [[100], [100, 120, 121], [0, 209 // 2]])
@pytest.mark.parametrize("gap", [math.nan, math.inf])
def test_gaps_are_gaps(gaps: list[int], gap: float) -> None:
    lr, loss = curve(breaks=None, noise=0.02)
    whole = suggest(lr, loss, chance_loss=CHANCE, initial_loss=2.3)
    loss[gaps] = gap
    found = suggest(lr, loss, chance_loss=CHANCE, initial_loss=2.3)
    assert found.blow_up_lr is None
    assert found.suggested_lr == pytest.approx(whole.suggested_lr, rel=0.2)


def test_one_spike_is_no_collapse() -> None:
    """Losses go on falling up to 0.78 of the break; one spike of 16 does not smear over them."""
    lr = np.geomspace(1e-4, 1, 200)
    loss = np.linspace(2.3, 1.0, 200) + np.random.default_rng(0).normal(0, 0.05, 200)
    loss[180] = 16.0
    assert suggest(lr, loss, chance_loss=CHANCE).blow_up_lr is None


def test_a_log_that_was_smoothed_is_not_taken_for_noiseless() -> None:
    """Neighbours that say the same are counted as one: noise that another tool has smoothed stays noise."""
    found = 0
    for seed in range(100):
        raw = 2.3 + np.random.default_rng(seed).normal(0, 0.3, 214)
        smoothed = np.convolve(raw, np.full(5, 1 / 5), mode="valid")
        found += suggest(GRID, smoothed, chance_loss=CHANCE).suggested_lr is not None
    assert found <= 10


@pytest.mark.parametrize(
    ("lr", "loss", "words"),
    [
        ([1e-3, 1e-2], [1.0], "lr and loss: must be of one length, not 2 and 1"),
        ([1e-3, 1e-2, 5e-3], [1.0, 1.0, 1.0], "lr: must rise at every step, and goes from 0.01 to 0.005"),
        ([1e-3, 1e-3], [1.0, 1.0], "lr: must rise at every step"),
        ([1e-3, math.nan], [1.0, 1.0], "lr: nan is no learning rate"),
        ([[1e-3], [1e-2]], [1.0, 1.0], r"lr: must be a list of numbers, one a step, not of shape \[2, 1\]"),
    ],
)
def test_bad_input_is_named(lr: list[float], loss: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        suggest(lr, loss)


def test_tensors_that_require_gradients_are_read() -> None:
    lr, loss = curve()
    tensors = torch.tensor(lr, requires_grad=True), torch.tensor(loss, requires_grad=True)
    assert suggest(*tensors, chance_loss=CHANCE) == suggest(lr, loss, chance_loss=CHANCE)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("curves", [600, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_curve_is_too_odd(curves: int) -> None:
    """Random lengths and rates; gaps, infinities, constants, walks, huge and tiny scales, breaks: an answer in words."""
    random = np.random.default_rng(0)
    for number in range(curves):
        lr = np.unique(10 ** random.uniform(-8, 2, int(random.integers(0, 120))))
        loss = random.normal(2.3, 10 ** random.uniform(-3, 1), len(lr))
        odd = [
            loss,
            np.where(random.random(len(lr)) < 0.5, np.nan, loss),
            np.where(random.random(len(lr)) < 0.1, np.inf, loss),
            np.full(len(lr), 2.3),
            np.cumsum(loss - 2.3),
            loss * 10.0 ** random.uniform(-300, 300),
            np.full(len(lr), np.nan if number % 2 else -np.inf),
            np.where(np.arange(len(lr)) > len(lr) / 2, 1e30, loss),
        ][number % 8]
        found = suggest(lr, odd, chance_loss=CHANCE if number % 3 else None, initial_loss=None if number % 5 else 2.3)
        assert in_words(found, num_seeds=1)
        if found.suggested_lr is None:
            assert found.refused
        else:
            assert (found.low or 0) <= found.suggested_lr <= (found.high or 0)

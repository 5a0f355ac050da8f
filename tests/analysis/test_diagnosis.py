from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from hpcli.analysis.diagnosis import diagnose
from hpcli.analysis.epochs import Array, Curves, fall, noise, steady
from hpcli.states import Sign
from tests.analysis.diagnosed import CHANCE, one_cycle, real_runs, simulated, smiths_runs, source_runs

REAL = real_runs()
SMITHS = smiths_runs()
SOUND = (
    "small", "small, half the learning rate", "small, 3e-3", "small, no augmentation", "small, no dropout", "small, SGD",
    "small, batch of 32", "small, steps down", "shallow", "shallow, 20 epochs", "ResNet-20, the default",
)  # fmt: skip


def signs(curves: Curves) -> list[Sign]:
    return [found.sign for found in diagnose(curves)]


def faults(curves: Curves) -> list[Sign]:
    return [sign for sign in signs(curves) if sign.is_fault]


# --- quiet where a run is sound ---


def is_sound(curves: Curves, best: float) -> bool:
    """Decided without the diagnosis: it ends at its lowest validation loss, to 5 % or a hundredth of the chance loss, and
    within five points of the accuracy that the best setting reaches."""
    lowest = float(curves.valid.min())
    return bool(curves.valid[-1] <= max(1.05 * lowest, lowest + 0.01 * CHANCE) and curves.accuracy[-1] > best - 0.05)


def test_of_real_sound_runs_one_in_twenty_at_most_is_alarmed_about() -> None:
    recommended = {key: curves for key, curves in REAL.items() if key[0] in SOUND}
    means = [np.mean([each.accuracy[-1] for key, each in recommended.items() if key[0] == name]) for name in SOUND]
    sound = [each for each in recommended.values() if is_sound(each, float(max(means)))]
    assert (len(recommended), len(sound)) == (203, 187)
    assert sum(bool(faults(each)) for each in recommended.values()) <= 0.05 * 203  # there were none
    assert sum(bool(faults(each)) for each in sound) <= 0.05 * 187
    assert sum(bool(signs(each)) for each in recommended.values()) == 14  # a note that dropout is no fault


def test_of_simulated_sound_runs_one_in_fifty_at_most_is_alarmed_about() -> None:
    random = np.random.default_rng(0)
    found = Counter(sign for _ in range(1000) for sign in faults(simulated(random)))
    assert found.total() <= 20, found  # there were 6 or so


@pytest.mark.parametrize(
    "name",
    [
        "clr3SS5kFig1a",  # super-convergence, figure 1a of 1708.07120, and the multistep run beside it
        "lr35Fig1a",
        "clr3SS5kTr40kTab1",
        "clr3SS5kCifar100Fig8",
        "c100Resnet56_C100Res1CycLR.1001.2CM0.95.85WD1e-4Epoch145BS256g_1",
        "gResnet56_ResTBS512LR.0800.8M.95WD1e-4Epoch95BS128b_1",
        "genDensenet40_Den1CycLR.1004M0.9WD1e-6Epoch50BS128c_1",
        "wide32cifar_Wide1CycLR.1001CM0.95.85WD1e-4Epoch50BS128a_1",
        "cifar100_C100CycLR.0020.02CM0.95.8WD6e-4Epoch50BS128l_1",
    ],
)
def test_smiths_sound_runs_are_silent(name: str) -> None:
    assert signs(SMITHS[name]) == []


# --- Smith's runs that ail ---


def test_a_weight_decay_too_large_for_the_learning_rate_loses_what_was_learnt() -> None:
    (found,) = diagnose(SMITHS["clr3SS5kWD-3Fig11"])
    assert found.sign == Sign.COLLAPSED
    assert found.evidence["best_accuracy"] > 0.6
    assert found.evidence["accuracy"] == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize(
    ("name", "lowest", "last"),
    [
        ("clr3SS5kTr10kTab1", 0.71, 0.83),  # a fifth of the images
        ("clr3SS5kWD-6Fig11", 0.88, 1.07),  # hardly any weight decay
        ("wide32cifar_Wide1CycLR.1001M0.95WD1e-5Epoch100BS128j_1", 0.61, 0.79),
    ],
)
def test_too_little_regularisation_overfits(name: str, lowest: float, last: float) -> None:
    (found,) = diagnose(SMITHS[name])
    assert found.sign == Sign.OVERFITTING
    assert found.evidence["lowest"] == pytest.approx(lowest, abs=0.05)
    assert found.evidence["valid_loss"] == pytest.approx(last, abs=0.06)
    first, end = found.epochs
    assert first < end == len(SMITHS[name]) - 1


@pytest.mark.parametrize("name", ["lr35Tr10kTab1", "lr35Tr20kTab1"])
def test_a_multistep_run_on_few_images_knows_them_by_heart(name: str) -> None:
    (found,) = diagnose(SMITHS[name])
    assert found.sign == Sign.OVERFITTING
    assert found.evidence["train_loss"] < 0.001
    assert found.evidence["valid_loss"] > 1.6


def test_the_source_stops_too_early() -> None:
    for name, curves in source_runs().items():
        assert signs(curves) in ([Sign.UNDERFITTING], [Sign.LR_TOO_LOW]), name
    assert signs(source_runs()["S13_final"]) == [Sign.UNDERFITTING]


# --- real runs that ail ---


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("diverged", [{Sign.DIVERGED}, {Sign.DIVERGED}]),
        ("learning rate too high, SGD", [{Sign.DIVERGED}, {Sign.DIVERGED}]),
        ("learning rate far too high", [{Sign.DIVERGED}, {Sign.LR_TOO_HIGH}]),
        ("learning rate too high, shallow", [{Sign.LR_TOO_HIGH}, set()]),  # the second is missed
        ("learning rate too low", [{Sign.LR_TOO_LOW}] * 2),
        ("learning rate far too low", [{Sign.AT_CHANCE}] * 2),
        ("learning rate too low, shallow", [{Sign.AT_CHANCE}, {Sign.LR_TOO_LOW}]),
        ("constant and too low", [{Sign.UNDERFITTING}, {Sign.LR_TOO_LOW}]),
        ("learning rate not annealed", [{Sign.LR_NOT_ANNEALED}] * 2),
        ("few images, shallow", [{Sign.OVERFITTING}] * 2),
        ("few images, no regularisation", [set(), set()]),  # its validation loss does not rise
        ("weight decay too large", [{Sign.LR_TOO_HIGH}] * 2),
        ("slow BatchNorm", [{Sign.BN_LAG}] * 2),
        ("few steps for BatchNorm", [set(), {Sign.BN_LAG}]),  # the first lags by 17 %
        ("dropout of .8", [{Sign.REGULARISED}] * 2),
        ("dropout of a half", [set(), set()]),
    ],
)
def test_real_runs_that_ail(setting: str, expected: list[set[Sign]]) -> None:
    assert [set(signs(REAL[setting, seed])) for seed in (0, 1)] == expected


# --- every kind, made up, with noise ---


def made(train: Array, valid: Array, *, lr: Array | None = None, own: Array | None = None, sd: float = 0.01) -> Curves:
    random = np.random.default_rng(3)
    count = len(train)
    around = random.normal(0, sd, (3, count))
    measured = (train if own is None else own) + around[1]
    accuracy = 1 - 0.9 * np.clip((valid + around[2]) / CHANCE, 0, 1)
    lr = one_cycle(count) if lr is None else lr
    return Curves(train + around[0], measured, valid + around[2], accuracy, lr, CHANCE, 0.1)


X = np.linspace(0, 1, 30)
GOOD = 0.1 + 2.2 * np.exp(-8 * X)


def test_a_rise_beyond_noise_is_overfitting_and_within_it_is_not() -> None:
    rising = 0.4 + 1.9 * np.exp(-8 * X) + 0.3 * np.clip(X - 0.4, 0, None)
    (found,) = diagnose(made(GOOD, rising))
    assert found.sign == Sign.OVERFITTING
    assert 8 <= found.epochs[0] <= 18
    assert signs(replace(made(GOOD, rising), valid=rising + np.random.default_rng(0).normal(0, 0.15, 30))) == []


def test_a_validation_loss_that_rises_with_the_training_loss_is_not_overfitting() -> None:
    both = 0.4 + 1.9 * np.exp(-8 * X) + 0.3 * np.clip(X - 0.4, 0, None)
    assert Sign.OVERFITTING not in signs(made(both, both))


def test_losses_that_fall_at_a_high_learning_rate_are_underfitting() -> None:
    falls = 1.2 - 0.7 * X
    (found,) = diagnose(made(falls, falls + 0.05, lr=np.full(30, 0.01)))
    assert (found.sign, found.epochs) == (Sign.UNDERFITTING, (20, 29))


def test_a_high_training_loss_near_validation_is_underfitting() -> None:
    high = 1.2 + 1.1 * np.exp(-8 * X)
    assert signs(made(high, high + 0.05)) == [Sign.UNDERFITTING]
    assert signs(made(high - 1.0, high)) == []  # memory, not yet a rise


def test_a_straight_fall_that_ends_high_is_a_low_learning_rate() -> None:
    lr = one_cycle(30)
    straight = 2.3 - 0.6 * np.cumsum(lr) / lr.sum()
    assert signs(made(straight, straight + 0.02, sd=0.003)) == [Sign.LR_TOO_LOW]


def test_a_loss_that_rises_to_chance_and_falls_with_the_rate_is_a_high_learning_rate() -> None:
    lr = one_cycle(30)
    course = 0.5 + 1.7 * np.exp(-12 * X) + 1.2 * np.clip(lr - 0.3, 0, None)
    (found,) = diagnose(made(course, course + 0.05))
    assert found.sign == Sign.LR_TOO_HIGH
    before, highest = found.epochs
    assert before < highest
    assert lr[highest] > 0.5


def test_a_second_cycle_is_no_high_learning_rate() -> None:
    lr = np.concatenate((one_cycle(15), one_cycle(15)))
    course = 0.1 + 0.9 * lr
    assert Sign.LR_TOO_HIGH not in signs(made(course, course + 0.05, lr=lr))


def test_a_plateau_of_noise_at_a_high_rate_wants_annealing() -> None:
    curves = made(GOOD, 0.5 + 1.8 * np.exp(-12 * X), lr=np.full(30, 0.1), sd=0.005)
    wild = replace(curves, valid=curves.valid + np.random.default_rng(1).normal(0, 0.15, 30))
    assert signs(wild) == [Sign.LR_NOT_ANNEALED]
    assert signs(replace(wild, lr=one_cycle(30))) == []


def batches(jumps: Sequence[int]) -> Array:
    losses = np.repeat(GOOD, 20) + np.random.default_rng(2).normal(0, 0.02, 600)
    losses[list(jumps)] += 5
    return losses


def test_jumps_of_batches_are_instability_and_a_single_one_is_not() -> None:
    (found,) = diagnose(replace(made(GOOD, GOOD + 0.1), steps=batches([300, 400, 401])))
    assert (found.sign, found.epochs) == (Sign.UNSTABLE, (15, 20))
    assert found.evidence["highest"] == pytest.approx(5.1, abs=0.2)
    assert signs(replace(made(GOOD, GOOD + 0.1), steps=batches([300]))) == []
    assert signs(replace(made(GOOD, GOOD + 0.1), steps=batches([3, 30, 60]))) == []  # it has just begun


def test_evaluation_far_above_training_is_batchnorm_that_lags() -> None:
    assert signs(made(GOOD, GOOD + 0.8, own=GOOD + 0.6)) == [Sign.BN_LAG]
    assert signs(replace(made(GOOD, GOOD + 0.3), reestimated=0.12)) == [Sign.BN_LAG]
    assert signs(replace(made(GOOD, GOOD + 0.05), reestimated=0.14)) == []


def test_a_training_loss_above_validation_is_no_fault_if_that_measured_alike_is_below() -> None:
    (found,) = diagnose(made(GOOD + 0.5, GOOD + 0.1, own=GOOD))
    assert found.sign == Sign.REGULARISED
    assert not found.sign.is_fault
    assert signs(made(GOOD + 0.05, GOOD + 0.1, own=GOOD)) == []


def test_accuracy_that_is_lost_is_a_collapse_and_that_never_came_is_chance() -> None:
    lost = np.where(X < 0.5, 2.3 - 2 * X, 2.302)
    assert signs(made(lost, lost, sd=0.002)) == [Sign.COLLAPSED]
    never = np.full(30, 2.302)
    assert signs(made(never, never, sd=0.002)) == [Sign.AT_CHANCE]


def test_a_loss_that_is_no_number_has_diverged() -> None:
    curves = made(GOOD, GOOD)
    broken = curves.train.copy()
    broken[-1] = np.nan
    assert signs(replace(curves, train=broken)) == [Sign.DIVERGED]
    empty = np.empty(0)
    none = Curves(empty, empty, empty, empty, empty, CHANCE, 0.1, diverged=True)
    assert signs(none) == [Sign.DIVERGED]
    assert signs(replace(none, diverged=False)) == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("odd", [np.nan, np.inf, 1e30, 0.0])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 40])
def test_no_curve_ends_in_an_exception(odd: float, count: int) -> None:
    random = np.random.default_rng(count)
    for place in range(6):
        losses = random.uniform(0, 3, (4, count))
        losses[place % 4, random.integers(count)] = odd
        lr = np.zeros(count) if place == 5 else random.uniform(0, 3, count)
        for steps in (np.empty(0), random.uniform(0, 3, 7 * count), np.full(7 * count, odd)):
            diagnose(Curves(losses[0], losses[1], losses[2], losses[3], lr, CHANCE, 0.1, steps=steps))


def test_curves_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Curves(X, X, X, X, X[1:], CHANCE, 0.1)
    with pytest.raises(ValueError, match="chance"):
        Curves(X, X, X, X, X, 0.0, 1.0)


# --- how noise is read ---


def test_noise_is_that_around_the_course() -> None:
    random = np.random.default_rng(0)
    assert noise(5 - 3 * np.arange(2000) + random.normal(0, 0.2, 2000)) == pytest.approx(0.2, rel=0.1)
    assert noise([1.0, 2.0]) == 0


def test_a_running_median_drops_single_values() -> None:
    assert steady([1, 9, 1, np.nan, 1], 3).tolist() == [1, 1, 9, 1, 1]
    assert fall([3, 2, 1]) == pytest.approx(2)
    assert np.isnan(fall([1.0]))


@pytest.mark.parametrize("width", [1, 3, 9, 13])
def test_the_running_median_is_that_of_its_windows(width: int) -> None:
    random = np.random.default_rng(0)
    for count in (1, 2, 5, 8, 40):
        values = np.where(random.random(count) < 0.1, np.nan, random.normal(size=count))
        known = np.where(np.isfinite(values), values, np.inf)
        reaches = [min(width // 2, at, count - 1 - at) for at in range(count)]
        plain = [np.median(known[at - reach : at + reach + 1]) for at, reach in enumerate(reaches)]
        assert steady(values, width).tolist() == plain

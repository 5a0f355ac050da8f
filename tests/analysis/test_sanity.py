"""The checks before training, judged on numbers that are known to be fine or broken."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpcli.analysis.sanity import (
    Measured,
    balance,
    blank_input,
    gradients,
    one_batch,
    shared_images,
    shuffled_labels,
    start_loss,
)
from hpcli.states import CheckStatus

OK, LOOK, BAD = CheckStatus.OK, CheckStatus.LOOK, CheckStatus.BAD


@pytest.mark.parametrize(
    ("loss", "is_fresh", "status"),
    [(2.3, True, OK), (3.4, True, OK), (4.0, True, LOOK), (10.0, True, BAD), (math.nan, True, BAD), (math.inf, True, BAD),
     (0.5, True, LOOK), (0.5, False, OK)],
)  # fmt: skip
def test_the_loss_at_the_start_is_that_of_equal_chances(loss: float, is_fresh: bool, status: CheckStatus) -> None:
    found = start_loss(loss, 10, is_fresh=is_fresh)
    assert found.status == status
    assert "equal chances of 10 classes have 2.3" in found.text
    assert bool(found.remedy) == (status != OK)


@pytest.mark.parametrize(
    ("rms", "status", "text"),
    [
        ({"a": 1e-2, "b": 3e-1}, OK, "2 layers, 0.01 (a) to 0.3 (b)"),
        ({"a": 1e-9, "b": 3e-1}, LOOK, "1e-09 (a)"),
        ({"a": 0.0, "b": 3e-1}, BAD, "zero in 1 of 2 layers, first a"),
        ({"a": 1.0, "b": math.nan}, BAD, "not finite in 1 of 2 layers, first b"),
        ({"a": 1.0, "b": None}, LOOK, "does not depend on b"),
        ({"b": None}, BAD, "does not depend on b"),
        ({}, BAD, "no layer to train"),
    ],
)
def test_gradients_that_are_dead_or_broken_are_named(
    rms: dict[str, float | None], status: CheckStatus, text: str
) -> None:
    found = gradients(rms)
    assert found.status == status
    assert text in found.text


def test_one_batch_blames_the_learning_rate_only_where_another_one_works() -> None:
    falls, stays, slowly = np.geomspace(2.3, 0.01, 40), np.full(40, 2.3), np.linspace(2.3, 1.0, 40)
    assert one_batch(falls, 1e-3, None, 1e-3).status == OK
    wrong = one_batch(np.full(40, np.inf), 1e3, falls, 1e-3)
    assert (wrong.status, "schedule.max_lr is wrong" in wrong.remedy) == (BAD, True)
    broken = one_batch(stays, 1e-3, stays, 1e-3)
    assert (broken.status, "cannot learn" in broken.remedy) == (BAD, True)
    assert one_batch(stays, 1e-3, slowly, 1e-3).status == LOOK


def test_black_images_must_be_worse() -> None:
    falls, stays = np.geomspace(2.3, 0.01, 40), np.full(40, 2.2)
    assert blank_input(falls, stays).status == OK
    assert blank_input(stays, stays).status == BAD
    assert blank_input(np.full(40, np.inf), np.full(40, np.inf)).status == BAD


@pytest.mark.parametrize(
    ("real", "shuffled", "steps", "images", "status"),
    [
        (0.3, 2.4, 150, 500, OK),
        (2.31, 2.32, 150, 500, BAD),
        (2.31, 2.32, 30, 500, LOOK),
        (2.31, 2.32, 150, 30, LOOK),
        (0.3, 0.3, 150, 500, BAD),
        (math.nan, 2.3, 150, 500, BAD),
    ],
)
def test_true_labels_teach_and_shuffled_ones_do_not(
    real: float, shuffled: float, steps: int, images: int, status: CheckStatus
) -> None:
    measured = [Measured(loss, 0.03, [2.3, min(loss, 2.3)]) for loss in (real, shuffled)]
    assert shuffled_labels(*measured, chance=math.log(10), steps=steps, images=images).status == status


def test_a_short_training_that_blows_up_blames_the_learning_rate_not_the_labels() -> None:
    shuffled = Measured(2.5, 0.03, [2.3, 2.3])
    for losses in ([2.3, 4e5], [2.3, math.nan]):
        found = shuffled_labels(Measured(8e5, 9.0, losses), shuffled, chance=math.log(10), steps=150, images=500)
        assert (found.status, "lower schedule.max_lr" in found.remedy) == (BAD, True)
    by_heart = shuffled_labels(Measured(9.0, 0.3, [2.3, 0.1]), shuffled, chance=math.log(10), steps=150, images=500)
    assert (by_heart.status, "are they right?" in by_heart.remedy) == (BAD, True)


def test_duplicates_and_balance() -> None:
    assert shared_images({"validation": (0, 100)}, []).status == OK
    few = shared_images({"validation": (1, 1000), "test": (0, 10)}, ["validation 3 (cat) is training 5 (dog)"])
    assert (few.status, few.value) == (LOOK, 1e-3)
    assert few.text.endswith("validation 3 (cat) is training 5 (dog)")
    assert shared_images({"validation": (10, 1000)}, ["a"]).status == BAD
    assert balance({"a": 10, "b": 12}).status == OK
    assert balance({"a": 10, "b": 101}).status == LOOK
    assert balance({"a": 10, "b": 1000}).status == BAD
    assert balance({"a": 0, "b": 5, "c": 5}).status == BAD

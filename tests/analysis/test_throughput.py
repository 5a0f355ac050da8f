from __future__ import annotations

import pytest

from hpcli.analysis.throughput import enough, has_levelled_off, in_words, is_still_growing


def test_enough_is_where_nothing_more_is_gained() -> None:
    assert enough([16, 32, 64, 128], [100, 190, 250, 255]) == 64
    assert enough([16, 32, 64], [100, 190, 300]) == 64
    assert enough([16], [100]) == 16
    assert enough([16, 32, 64], [100, 98, 60]) == 16


def test_two_doublings_without_gain_are_the_end() -> None:
    assert has_levelled_off([100, 180, 250, 251, 252])
    assert not has_levelled_off([100, 180, 250, 251])
    assert not has_levelled_off([100, 101])
    assert has_levelled_off([100, 90, 80])


def test_growth_at_the_largest_is_no_end_of_growth() -> None:
    assert is_still_growing([100, 190, 300])
    assert is_still_growing([100, 90, 110])
    assert not is_still_growing([100, 190, 195])
    assert not is_still_growing([100, 90, 80])
    assert not is_still_growing([100])


@pytest.mark.parametrize(
    ("rates", "images", "is_full", "sentence"),
    [
        ({64: 3000.4}, None, False, "A batch of 64 trains 3,000 images/s."),
        ({16: 900, 32: 1700, 64: 1750}, 1151, False, "Throughput stops growing at a batch of 32, 1,700 images/s."),
        ({32: 3000, 64: 3100}, 1151, False,
         "Already at a batch of 32, the smallest tried, a larger one gains nothing (3,000 images/s); try smaller ones "
         "(--sizes 8,16,32)."),
        ({2: 30, 4: 30}, 1151, False,
         "Already at a batch of 2, the smallest tried, a larger one gains nothing (30 images/s); try smaller ones "
         "(--sizes 1,2)."),
        ({1: 30, 2: 30}, None, False,
         "Already at a batch of 1, the smallest tried, a larger one gains nothing (30 images/s)."),
        ({32: 1700, 64: 2900}, None, False,
         "Throughput still grows at a batch of 64, the largest tried (2,900 images/s); try larger ones "
         "(--sizes 64,128,256)."),
        ({32: 1700, 64: 2900}, 200, False,
         "Throughput still grows at a batch of 64, the largest tried (2,900 images/s); try larger ones (--sizes 64,128)."),
        ({32: 1700, 64: 2900}, 100, False,
         "Throughput still grows at a batch of 64 (2,900 images/s), and there are 100 training images."),
        ({32: 1700, 64: 2900}, 64, False,
         "Throughput still grows at a batch of 64, all training images (2,900 images/s)."),
        ({32: 1700, 64: 2900}, 1151, True,
         "Throughput still grows at a batch of 64, the largest that fits (2,900 images/s)."),
    ],
)  # fmt: skip
def test_the_sentence_says_no_more_than_was_tried(
    rates: dict[int, float], images: int | None, is_full: bool, sentence: str
) -> None:
    assert in_words(list(rates), list(rates.values()), images=images, is_full=is_full) == sentence

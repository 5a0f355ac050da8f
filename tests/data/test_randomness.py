from __future__ import annotations

import numpy as np
import torch

from hpcli.data.randomness import CROP_X, ORDER, random_bits, random_integers, seed_for


def test_numpy_and_torch_draw_the_same_numbers() -> None:
    from_numpy = random_bits(np.arange(1000), 7, ORDER, 3)
    from_torch = random_bits(torch.arange(1000), 7, ORDER, 3)
    assert np.array_equal(from_numpy, from_torch.numpy())


def test_the_numbers_are_for_ever_the_same() -> None:
    """Runs of different days compare only if the draws never change."""
    assert random_bits(np.arange(3), 0, ORDER, 0).tolist() == FIRST_THREE
    assert seed_for(0, ORDER) == SEED
    for parts in ((0, ORDER), (-3, 2**62, 7), (2**64 + 5,)):
        assert seed_for(*parts) == random_bits(np.zeros(1, np.int64), *parts)[0]


FIRST_THREE = [3655447190887505966, 3771256467956886790, 4991379450516813970]
SEED = 5247383260766289881


def test_every_part_matters() -> None:
    index = np.arange(100)
    draws = [random_bits(index, *parts).tolist() for parts in ((0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 1, 1), (1, 0, 0))]
    assert len({tuple(draw) for draw in draws}) == len(draws)


def test_they_are_uniform_and_uncorrelated() -> None:
    draws = random_integers(np.arange(90_000), 9, 3, CROP_X, 1)
    counts = np.bincount(draws, minlength=9)
    assert (np.abs(counts - 10_000) < 5 * 100).all()
    following = random_integers(np.arange(90_000), 9, 3, CROP_X, 2)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(draws, following)[0, 1]) < 0.02
    assert random_bits(np.arange(1000), 5).min() >= 0

from __future__ import annotations

import numpy as np
import pytest

from hpcli.config import Config, with_overrides
from hpcli.data.dataset import load_splits
from hpcli.data.digits import digits
from hpcli.data.randomness import stratified
from hpcli.errors import ConfigError, DataError, HpcliWarning


def test_digits_are_the_1797_in_two_fixed_parts() -> None:
    data = digits()
    assert data.test is not None
    assert (len(data.train), len(data.test)) == (1438, 359)
    assert data.train.images.shape[1:] == (8, 8, 1)
    assert data.train.images.dtype == np.uint8
    assert (data.train.images.min(), data.train.images.max()) == (0, 255)
    assert len(data.classes) == 10
    assert np.bincount(data.test.labels).min() >= 35
    assert int(data.test.images.astype(int).sum()) == TEST_PIXELS


TEST_PIXELS = 1790078


def test_parts_do_not_overlap_and_the_seed_does_not_move_them(config: Config) -> None:
    one, other = load_splits(config), load_splits(with_overrides(config, {"seed": 5}))
    assert np.array_equal(one.valid.images, other.valid.images)
    moved = load_splits(with_overrides(config, {"data.split_seed": 5}))
    assert not np.array_equal(one.valid.images, moved.valid.images)
    whole = load_splits(with_overrides(config, {"data.train_fraction": 1.0}))
    assert len(whole.train) + len(whole.valid) == 1438


def test_holding_out_is_fair_to_every_class() -> None:
    labels = np.repeat(np.arange(5), [10, 20, 30, 40, 100])
    held, kept = stratified(labels, 0.2, seed=3)
    assert np.bincount(labels[held]).tolist() == [2, 4, 6, 8, 20]
    assert sorted([*held, *kept]) == list(range(200))


def test_subsets_and_limits(config: Config) -> None:
    splits = load_splits(with_overrides(config, {"data.train_fraction": 0.5, "data.valid_limit": 40}))
    assert abs(len(splits.train) - 575) < 10
    assert len(splits.valid) == 40
    assert np.bincount(splits.train.labels).min() > 50
    assert splits.steps_per_epoch(32) == len(splits.train) // 32
    assert splits.steps_per_epoch(32, 5) == 5
    assert len(splits.train_sample()) == 40


def test_validating_on_the_test_images_leaves_none_to_test(config: Config) -> None:
    splits = load_splits(with_overrides(config, {"data.validation": "test"}))
    assert splits.test is None
    assert len(splits.valid) == 359


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
def test_what_cannot_be_divided_says_why(config: Config) -> None:
    with pytest.raises(ConfigError, match=r"data\.batch_size: 2000 is more than the 229 training images"):
        load_splits(with_overrides(config, {"data.batch_size": 2000}))
    with pytest.raises(DataError, match="leaves none to validate on"):
        load_splits(with_overrides(config, {"data.validation": 1e-6}))
    assert issubclass(HpcliWarning, UserWarning)

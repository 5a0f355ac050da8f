from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hpcli.config import Config, with_overrides
from hpcli.data.dataset import load_splits
from hpcli.data.on_device import DeviceData, fast_eval_batch
from hpcli.data.pixels import Resident, Streamed
from hpcli.errors import DataError

CPU = torch.device("cpu")


def test_it_is_what_the_config_says(config: Config) -> None:
    keys = {"data.steps_per_epoch": 5, "data.augment": "none", "data.eval_batch_size": 50}
    config = with_overrides(config, {"seed": 3, **keys})
    splits = load_splits(config)
    data = DeviceData.from_config(splits, config, device=CPU)
    assert (data.steps_per_epoch, data.num_classes, data.eval_batch_size, data.device) == (5, 10, 50, CPU)
    assert (data.loader.batch_size, data.loader.seed, data.loader.augmentation) == (32, 3, None)
    whole = DeviceData(splits, batch_size=32)
    assert whole.steps_per_epoch == len(splits.train) // 32
    images, labels = data.loader.batch(0)
    assert (images.shape, labels.shape) == ((32, 1, 8, 8), (32,))


def test_each_part_is_measured_on_its_own_images(config: Config) -> None:
    splits = load_splits(config)
    data = DeviceData(splits, batch_size=32, eval_batch_size=100)
    assert splits.test is not None
    for name, part in (("valid", splits.valid), ("test", splits.test), ("train", splits.train_sample())):
        batches = list(data.eval_loader(name))
        assert torch.cat([labels for _, labels in batches]).tolist() == part.labels.tolist()
        assert max(len(labels) for _, labels in batches) <= 100
        assert data.eval_loader(name) is data.eval_loader(name)


def test_training_images_to_measure_on_are_a_fixed_choice(config: Config) -> None:
    splits = load_splits(config)
    data = DeviceData(splits, batch_size=32)
    few, many = (torch.cat([labels for _, labels in data.eval_loader("train", count)]) for count in (20, 10_000))
    assert (len(few), len(many)) == (20, len(splits.train))
    assert many[:20].tolist() == few.tolist()
    assert np.array_equal(few.numpy(), splits.train_sample(20).labels)


def test_without_test_images_there_is_nothing_to_test_on(config: Config) -> None:
    data = DeviceData(dataclasses.replace(load_splits(config), test=None), batch_size=32)
    with pytest.raises(DataError, match=r"no test images: there are none, or data\.validation: test uses them"):
        data.eval_loader("test")
    assert len(list(data.eval_loader("valid"))) == 3


def test_fewer_large_images_are_evaluated_at_once() -> None:
    sizes = [(32, 32), (28, 28), (64, 64), (224, 224), (1000, 1000)]
    assert [fast_eval_batch(CPU, size) for size in sizes] == [128, 128, 32, 16, 16]
    assert [fast_eval_batch(torch.device("cuda"), size) for size in sizes] == [2048, 2048, 512, 41, 16]


def test_images_of_more_bytes_than_may_lie_there_are_sent(config: Config) -> None:
    config = with_overrides(config, {"data.resident_mb": 0.02, "data.train_fraction": 1.0})
    splits = load_splits(config)
    data = DeviceData.from_config(splits, config, device=CPU)
    assert isinstance(data.loader.pixels, Streamed)
    assert isinstance(data.eval_loader("train").pixels, Streamed)
    assert splits.valid.images.nbytes < 0.02 * 2**20
    assert isinstance(data.eval_loader("valid").pixels, Resident)

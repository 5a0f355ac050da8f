"""Where a key does nothing stands beside it, and what stands there is so."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from hpcli import catalog
from hpcli.config import Config, load_config
from hpcli.config.idle import why_idle
from hpcli.config.keys import fields
from hpcli.errors import HpcliWarning
from hpcli.training.schedules import training_schedule

VALUES: dict[str, list[object]] = {
    "dialect": ["smith"],
    "max_lr": [0.5],
    "momentum": [0.5],
    "cycles": [3],
    "base_lr": [1e-4],
    "div_factor": [3.0],
    "final_div_factor": [7.0],
    "pct_start": [0.6],
    "step_size": [11],
    "gamma": [0.3],
    "warmup": [0.3],
    "decay_ratio": [0.7],
    "decay_type": ["linear"],
    "milestones": [[1.5]],
}


def of_schedule(name: str, keys: dict[str, object] | None = None) -> Config:
    return load_config(overrides={"schedule.name": name, "schedule.momentum": 0.9, "train.epochs": 3, **(keys or {})})


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
@pytest.mark.parametrize("name", catalog.SCHEDULES)
def test_a_schedule_reads_the_keys_that_say_so_and_no_others(name: str) -> None:
    config = of_schedule(name)
    assert set(VALUES) == set(type(config.schedule).model_fields) - {"name"}
    table = training_schedule(config, 20)
    for key, (value,) in VALUES.items():
        other = training_schedule(of_schedule(name, {f"schedule.{key}": value}), 20)
        is_same = np.array_equal(table.lr, other.lr) and np.array_equal(table.momentum, other.momentum)
        assert is_same == bool(why_idle(config, f"schedule.{key}")), key


def test_by_default_these_keys_do_nothing() -> None:
    config = load_config()
    assert [key for key, _ in fields() if why_idle(config, key)] == [
        "data.root", "data.cache_dir", "data.image_size", "data.eval_batch_size", "data.resident_mb",
        "model.pretrained", "optimizer.options", "optimizer.nesterov", "schedule.gamma", "schedule.warmup",
        "schedule.decay_ratio", "schedule.decay_type", "schedule.milestones", "train.cuda_graph", "record.tensorboard",
    ]  # fmt: skip


def test_a_key_that_is_given_and_does_nothing_is_warned_of() -> None:
    with pytest.warns(HpcliWarning) as caught:
        load_config(
            overrides={"optimizer.name": "sgd", "optimizer.beta2": 0.9, "schedule.gamma": 0.5, "data.root": "x"}
        )
    assert [str(each.message) for each in caught] == [
        "optimizer.beta2: does nothing where optimizer.name is sgd",
        "schedule.gamma: does nothing where schedule.name is one_cycle",
        "data.root: does nothing where data.name is digits",
    ]


def test_what_does_something_or_only_speeds_it_up_is_not() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_config(overrides={"optimizer.beta2": 0.9, "data.eval_batch_size": 64, "data.cache_dir": "x"})
        load_config(overrides={"optimizer.name": "sgd", "optimizer.nesterov": True})
        load_config(overrides={"schedule.name": "piecewise", "schedule.momentum": 0.9, "schedule.gamma": 0.5})
        load_config(overrides={"data.name": "folder", "data.root": "x", "data.image_size": 32})
        load_config(overrides={"data.name": "cifar10", "data.root": "x"})
        names = {"sweep.values": {"optimizer.name": ["adamw", "sgd"]}}
        load_config(overrides={"optimizer.name": "sgd", "optimizer.beta2": 0.9, **names})
        load_config(overrides={"data.name": "nowhere:at_all", "data.root": "x"})
        load_config(overrides={"model.name": "torchvision/resnet18", "model.pretrained": True})
    with pytest.warns(HpcliWarning, match=r"data\.image_size: does nothing where data\.name is digits"):
        load_config(overrides={"data.name": "digits", "data.image_size": 32})

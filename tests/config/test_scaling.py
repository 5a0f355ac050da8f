from __future__ import annotations

import pytest

from hpcli import load_config
from hpcli.config import Config, with_overrides
from hpcli.config.scaling import half_decades, rule
from hpcli.config.varying import settings


def rates(config: Config, key: str, values: list[object], **keys: object) -> list[float]:
    found = settings(with_overrides(config, {"sweep.values": {key: values}, **keys}))
    return [setting.config.schedule.max_lr for setting in found]


@pytest.mark.parametrize(("optimizer", "expected"), [("adamw", [0.005, 0.01, 0.02]), ("sgd", [0.0025, 0.01, 0.04])])
def test_every_batch_size_has_a_learning_rate_of_its_own(optimizer: str, expected: list[float]) -> None:
    base = load_config(None, {"optimizer.name": optimizer, "data.batch_size": 64, "schedule.max_lr": 0.01})
    assert rates(base, "data.batch_size", [16, 64, 256]) == expected
    assert rates(base, "data.batch_size", [16, 64, 256], **{"sweep.scale_lr": False}) == [0.01] * 3


def test_momenta_of_sgd_are_compared_at_one_lr_over_one_minus_momentum() -> None:
    sgd = load_config(None, {"optimizer.name": "sgd", "schedule.momentum": 0.9, "schedule.max_lr": 0.1})
    assert rates(sgd, "schedule.momentum", [0.9, 0.99, "0.95-0.8"]) == [0.1, 0.01, 0.2]
    adamw = with_overrides(sgd, {"optimizer.name": "adamw"})
    assert rates(adamw, "schedule.momentum", [0.9, 0.99]) == [0.1, 0.1]


def test_a_first_learning_rate_that_the_config_names_goes_along() -> None:
    base = load_config(None, {"data.batch_size": 64, "schedule.max_lr": 0.01, "schedule.base_lr": 0.004})
    (small,) = settings(with_overrides(base, {"sweep.values": {"data.batch_size": [16]}}))
    assert dict(small.also) == {"schedule.max_lr": 0.005, "schedule.base_lr": 0.002}


def test_a_swept_learning_rate_is_left_as_it_is() -> None:
    both = {"data.batch_size": [16, 64], "schedule.max_lr": [0.01, 0.1]}
    found = settings(with_overrides(load_config(), {"sweep.values": both}))
    assert [setting.config.schedule.max_lr for setting in found] == [0.01, 0.1, 0.01, 0.1]
    assert rule(load_config(), tuple(both)) == ""


def test_the_rule_in_words() -> None:
    assert rule(load_config(), ["data.batch_size"]) == "max_lr grows with the batch size's square root"
    sgd = load_config(None, {"optimizer.name": "sgd"})
    assert rule(sgd, ["data.batch_size"]) == "max_lr grows with the batch size"
    assert rule(sgd, ["schedule.momentum"]) == "max_lr / (1 − momentum) is the same for all"
    assert rule(load_config(), ["schedule.momentum"]) == ""


def test_the_rule_of_each_optimizer_where_they_are_swept() -> None:
    both = {"sweep.values": {"optimizer.name": ["adamw", "sgd"], "data.batch_size": [16, 64]}}
    assert rule(with_overrides(load_config(), both), ["optimizer.name", "data.batch_size"]) == (
        "adamw: max_lr grows with the batch size's square root; sgd: max_lr grows with the batch size"
    )


def test_a_grid_around_a_value_is_round() -> None:
    assert half_decades(0.01) == [0.001, 0.003, 0.01, 0.03, 0.1]
    assert half_decades(0.02) == [0.002, 0.006, 0.02, 0.06, 0.2]

from __future__ import annotations

import pytest

from hpcli.config import Config, with_overrides
from hpcli.errors import CheckpointError, ConfigError, UsageError
from hpcli.experiments.varied import extended, positions, settings, split_values, written


def test_a_value_has_one_spelling() -> None:
    assert [written(value) for value in (0.0, 1e-5, 0.0001, 3e-4, 0.01, 0.95, 1.0, 10.0, 64, 1e6)] == [
        "0", "1e-5", "1e-4", "3e-4", "0.01", "0.95", "1", "10", "64", "1e6",
    ]  # fmt: skip
    assert [written(value) for value in ("0.95-0.85", True, None, [1, 2])] == ["0.95-0.85", "true", "null", "[1, 2]"]


def test_lists_are_divided_outside_of_brackets() -> None:
    assert split_values("1e-5, 1e-4,0") == ["1e-5", "1e-4", "0"]
    assert split_values("[1, 2],[3, 4]") == ["[1, 2]", "[3, 4]"]
    with pytest.raises(UsageError, match="an empty value"):
        split_values("1,,2")


def test_settings_are_values_or_pairs_of_them(config: Config) -> None:
    keys, found = settings(config, {"momentum": ["0.95-0.85", 0.9], "optimizer.weight_decay": ["1e-4", 1e-2, 0]})
    assert keys == ("schedule.momentum", "optimizer.weight_decay")
    assert [each.name for each in found][:4] == ["0.95-0.85 & 1e-4", "0.95-0.85 & 0.01", "0.95-0.85 & 0", "0.9 & 1e-4"]
    assert found[3].config.schedule.momentum == (0.9, 0.9)
    assert found[0].config.train.epochs == config.sweep.epochs == 5


def test_a_trial_is_known_by_its_contents(config: Config) -> None:
    (one,) = settings(config, {"weight_decay": ["1e-4"]})[1]
    key, trial = one.trial(3)
    assert key.startswith("1e-4-seed-3-")
    assert (trial.seed, trial.optimizer.weight_decay) == (3, 1e-4)
    other = with_overrides(config, {"sweep.seeds": 9, "lr_find.steps": 99, "sweep.matters": 0.5})
    assert settings(other, {"weight_decay": [0.0001]})[1][0].trial(3)[0] == key
    for setting in ({"sweep.epochs": 3}, {"data.batch_size": 16}, {"schedule.max_lr": 0.02}):
        assert settings(with_overrides(config, setting), {"weight_decay": ["1e-4"]})[1][0].trial(3)[0] != key


@pytest.mark.parametrize(
    ("vary", "error", "says"),
    [
        ({"weight_decay": ["1e-4", "0.0001"]}, UsageError, "1e-4 is there twice"),
        ({"weight_decay": ["-1"]}, ConfigError, "optimizer.weight_decay=-1: -1: must be at least 0"),
        ({"momentum": ["0.85-0.95"]}, ConfigError, "write 0.95-0.85"),
        ({"momentum": ["1.0"]}, ConfigError, "below 1"),
        ({"optimizer.wd": ["1"]}, ConfigError, "unknown key"),
        ({"seed": ["1", "2"]}, UsageError, "cannot be swept"),
        ({"sweep.epochs": ["1", "2"]}, UsageError, "cannot be swept"),
        ({"weight_decay": []}, UsageError, "none given"),
        ({}, UsageError, "0 keys"),
    ],
)
def test_what_is_no_sweep(config: Config, vary: dict[str, list[object]], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        settings(config, vary)


def test_a_sweep_is_extended_by_what_is_new(config: Config) -> None:
    rows = [{"value": value, "parameter": "optimizer.weight_decay"} for value in (1e-05, 1e-4, 1e-05, 1e-4)]
    assert extended(config, {}, rows) == {"optimizer.weight_decay": [1e-5, 1e-4]}
    assert extended(config, {"weight_decay": ["0.0001", "10"]}, rows) == {"optimizer.weight_decay": [1e-5, 1e-4, 10.0]}
    pairs = [
        {"value": f"{one} & {other}", "parameter": "schedule.momentum & schedule.max_lr"}
        for one in (0.9, 0.8)
        for other in ("1e-3", "0.01")
    ]
    assert extended(config, {}, pairs) == {"schedule.momentum": ["0.9", "0.8"], "schedule.max_lr": ["1e-3", "0.01"]}
    with pytest.raises(CheckpointError, match=r"the sweep is of optimizer.weight_decay, not of schedule.momentum"):
        extended(config, {"momentum": ["0.9"]}, rows)


def test_each_value_has_a_place_on_its_own_scale() -> None:
    assert positions("optimizer.weight_decay", [1e-4, 0.0, 1e-2]) == (pytest.approx([-4, -5, -2]), True)
    assert positions("schedule.momentum", ["0.95-0.85", 0.9, 0.99])[0] == pytest.approx([1, 1, 2])
    assert positions("data.batch_size", [32, 64]) == ([32, 64], False)
    assert positions("model.name", ["resnet20", "shallow3"]) == (None, False)
    assert positions("optimizer.nesterov", [True, False]) == (None, False)

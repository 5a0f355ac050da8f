from __future__ import annotations

import pytest

from hpcli.config import Config, load_config, parse_momentum, with_overrides
from hpcli.config.keys import fields
from hpcli.config.spelling import joined_values, split_values
from hpcli.config.varying import (
    LATER,
    Setting,
    identity,
    positions,
    settings,
    value_of,
    with_settings,
    with_values,
    written,
)
from hpcli.errors import ConfigError, HpcliError, UsageError

Vary = dict[str, list[object]]


def found(config: Config, vary: Vary) -> list[Setting]:
    """The settings of a sweep."""
    return settings(with_values(config, "sweep", vary))


def key_of(setting: Setting, seed: int) -> str:
    return identity(setting.run(seed), setting.name)


def test_a_value_has_one_spelling() -> None:
    assert [written(value) for value in (0.0, 1e-5, 0.0001, 3e-4, 0.01, 0.95, 1.0, 10.0, 64, 1e6)] == [
        "0", "1e-5", "1e-4", "3e-4", "0.01", "0.95", "1", "10", "64", "1e6",
    ]  # fmt: skip
    assert [written(value) for value in ("0.95-0.85", True, None, [1, 2])] == ["0.95-0.85", "true", "null", "[1, 2]"]
    assert written(parse_momentum("0.95-0.85")) == "0.95-0.85"


def test_lists_are_divided_outside_of_brackets() -> None:
    assert split_values("optimizer.weight_decay", "1e-5, 1e-4,0") == [1e-5, 1e-4, 0]
    assert split_values("train.checkpoint_epochs", "[1, 2],[3, 4]") == [[1, 2], [3, 4]]
    assert split_values("model.options", "{a: 1, b: [2, 3]},{a: 4}") == [{"a": 1, "b": [2, 3]}, {"a": 4}]
    for text in ("1,,2", "1,", ",1", ""):
        with pytest.raises(UsageError, match="an empty value"):
            split_values("optimizer.weight_decay", text)


def test_what_a_list_holds_is_of_its_keys_kind() -> None:
    assert split_values("model.name", "resnet20,shallow3") == ["resnet20", "shallow3"]
    assert split_values("data.root", "2024,true") == ["2024", "true"]  # folders, whatever they are called
    assert split_values("optimizer.nesterov", "true,false") == [True, False]
    assert split_values("schedule.momentum", "0.95-0.85,0.9") == ["0.95-0.85", 0.9]


def test_lists_are_joined_whatever_the_spelling() -> None:
    assert joined_values([1e-5, 1e-4], []) == [1e-5, 1e-4]
    assert joined_values([1e-5, 1e-4], [0.0001, 10]) == [1e-5, 1e-4, 10]
    assert joined_values(["0.95-0.85"], [parse_momentum("0.95-0.85"), 0.9]) == ["0.95-0.85", 0.9]
    assert joined_values([1, 1.0, 2], [2.0, 3]) == [1, 2, 3]


def test_settings_are_values_or_pairs_of_them(config: Config) -> None:
    vary: Vary = {"momentum": ["0.95-0.85", 0.9], "optimizer.weight_decay": [1e-4, 1e-2, 0]}
    asked = with_values(config, "sweep", vary)
    assert tuple(asked.sweep.values) == ("schedule.momentum", "optimizer.weight_decay")
    all_six = settings(asked)
    assert [each.name for each in all_six] == [
        "0.95-0.85 & 1e-4", "0.95-0.85 & 0.01", "0.95-0.85 & 0", "0.9 & 1e-4", "0.9 & 0.01", "0.9 & 0",
    ]  # fmt: skip
    assert all_six[3].config.schedule.momentum == (0.9, 0.9)
    assert all_six[0].config.train.epochs == config.sweep.epochs == 5
    assert all_six[0].values == ("0.95-0.85", 1e-4)
    assert all_six[0].plain == ["0.95-0.85", 1e-4]
    assert [each.plain for each in found(config, {"weight_decay": [1e-4, 1]})] == [1e-4, 1]


def test_settings_of_other_values_are_of_the_same_keys(config: Config) -> None:
    asked = with_values(config, "sweep", {"weight_decay": [1e-4]})
    more = with_settings(asked, [(1e-4,), (3e-4,)])
    assert [each.name for each in more] == ["1e-4", "3e-4"]
    assert [more[0]] == settings(asked)


def test_a_run_that_a_setting_makes_is_complete_and_keeps_no_checkpoints(config: Config) -> None:
    (setting,) = found(with_overrides(config, {"train.checkpoint_epochs": [1]}), {"weight_decay": [1e-4]})
    own = setting.run(3)
    assert (own.seed, own.train.epochs, own.train.checkpoint_epochs) == (3, 5, ())
    assert own.optimizer.weight_decay == 1e-4
    assert setting.config.seed == config.seed


def test_keys_that_came_later_leave_a_run_known_as_it_was() -> None:
    """At their defaults, which they are listed with."""
    assert {key: field.default for key, field in fields() if key in LATER} == LATER
    plain = Config()
    for key in LATER:
        assert identity(with_overrides(plain, {key: 0.5}), "x") != identity(plain, "x")


def test_a_trial_is_known_by_its_contents(config: Config) -> None:
    (one,) = found(config, {"weight_decay": [1e-4]})
    key = key_of(one, 3)
    assert key.startswith("1e-4-seed-3-")
    assert key_of(one, 4) != key
    for setting in ({"sweep.seeds": 9}, {"lr_find.steps": 99}, {"sweep.matters": 0.5}, {"interpolate.bn": "recompute"}):
        (other,) = found(with_overrides(config, setting), {"weight_decay": [0.0001]})
        assert key_of(other, 3) == key
    (among,) = found(config, {"weight_decay": [1, 1e-4]})[1:]
    assert key_of(among, 3) == key
    for setting in ({"sweep.epochs": 3}, {"data.batch_size": 16}, {"schedule.max_lr": 0.02}):
        (other,) = found(with_overrides(config, setting), {"weight_decay": [1e-4]})
        assert key_of(other, 3) != key


def test_a_key_is_a_good_name_for_a_folder(config: Config) -> None:
    named = with_overrides(config, {"seed": 12})
    for name in ("0.95-0.85 & 1e-4", "../../etc", "a/b:c", "x" * 300):
        key = identity(named, name)
        assert not set(key) & set("/\\: &")
        assert len(key) < 80
        assert "-seed-12-" in key


@pytest.mark.parametrize(
    ("vary", "error", "says"),
    [
        ({"weight_decay": [1e-4, 0.0001]}, UsageError, "1e-4 is there twice"),
        ({"weight_decay": [1, 1.0]}, UsageError, "1 is there twice"),
        ({"weight_decay": [-1]}, ConfigError, "optimizer.weight_decay=-1: must be at least 0"),
        ({"weight_decay": ["1e-4"]}, ConfigError, "must be a number"),
        ({"weight_decay": [True]}, ConfigError, "must be a number"),
        ({"momentum": ["0.85-0.95"]}, ConfigError, "write 0.95-0.85"),
        ({"momentum": [1.0]}, ConfigError, "below 1"),
        ({"optimizer.wd": [1]}, ConfigError, "unknown key"),
        ({"seed": [1, 2]}, ConfigError, "cannot be varied, it does not change what a run is; --set sets it for all"),
        ({"sweep.epochs": [1, 2]}, ConfigError, "cannot be varied"),
        ({"lr_find.steps": [1, 2]}, ConfigError, "cannot be varied"),
        ({"weight_decay": []}, ConfigError, "no values; give at least one"),
        ({"schedule.name": ["piecewise"]}, ConfigError, "the pair 0.95-0.85 needs a learning rate that cycles"),
        ({}, UsageError, "none given"),
    ],
)
def test_what_is_no_sweep(config: Config, vary: Vary, error: type[HpcliError], says: str) -> None:
    with pytest.raises(error, match=says):
        found(config, vary)


def test_a_range_test_varies_one_key_that_changes_it(config: Config) -> None:
    named = with_values(config, "lr_find", {"weight_decay": [0, 1]})
    assert named.lr_find.values == {"optimizer.weight_decay": [0, 1]}
    assert named.sweep.values == {}
    with pytest.raises(ConfigError, match=r"2 keys; vary one at a time$"):
        with_values(config, "lr_find", {"weight_decay": [0], "momentum": [0.9]})
    with pytest.raises(ConfigError, match="changes no range test, which has a schedule of its own"):
        with_values(config, "lr_find", {"schedule.max_lr": [0.1]})


def test_values_are_found_by_their_dotted_keys() -> None:
    config = load_config(None, {"model.options.num_blocks": [1, 1, 1]})
    assert value_of(config, "optimizer.weight_decay") == 1e-2
    assert value_of(config, "schedule.momentum") == "0.95-0.85"
    assert value_of(config, "model.options.num_blocks") == [1, 1, 1]
    for key in ("optimizer.wd", "seed.of", "model.options.width"):
        with pytest.raises(ConfigError, match=f"{key}: is not set"):
            value_of(config, key)


def test_each_value_has_a_place_on_its_own_scale() -> None:
    places, logarithmic = positions("optimizer.weight_decay", [1e-4, 0.0, 1e-2])
    assert places == pytest.approx([-4, -5, -2])
    assert logarithmic
    assert positions("schedule.momentum", ["0.95-0.85", 0.9, 0.99])[0] == pytest.approx([1, 1, 2])
    assert positions("data.batch_size", [32, 64]) == ([32, 64], False)
    assert positions("model.name", ["resnet20", "shallow3"]) == (None, False)
    assert positions("optimizer.nesterov", [True, False]) == (None, False)


def test_a_run_is_itself_by_its_setting_and_by_its_config(config: Config) -> None:
    for setting in found(config, {"data.batch_size": [16, 32], "weight_decay": [0.0, 1e-3]}):
        for seed in (0, 7):
            own = setting.run(seed)
            assert own.seed == seed
            assert own == with_overrides(setting.config, {"seed": seed})
            assert setting.identity(seed) == identity(own, setting.name)
    with pytest.raises(ConfigError, match=f"seed={2**31}"):
        setting.run(2**31)


def test_a_runs_config_holds_its_own_values_alone(config: Config) -> None:
    """Not those of the whole sweep: every trial of a sweep of thousands would check and write them all."""
    asked = with_overrides(config, {"sweep.retune": {"schedule.max_lr": [1e-3, 1e-2]}})
    (setting, *_) = found(asked, {"weight_decay": [0.0, 1e-3]})
    assert (setting.config.sweep.values, setting.config.sweep.retune) == ({}, {})


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"data.split_seed": [0, 1]}, "each value would be judged on other images"),
        ({"train.epochs": [1, 5]}, "is not retuned, more would always win"),
        ({"seed": [0, 1]}, "does not change what a run is"),
        ({"schedule.max_lr": [-1.0]}, "schedule.max_lr=-1.0: must be"),
    ],
)
def test_what_cannot_be_retuned_is_refused(config: Config, values: dict[str, list[float]], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        with_overrides(config, {"sweep.retune": values})


def test_overriding_a_copy_leaves_the_config_as_it_was(config: Config) -> None:
    first = with_overrides(config, {"model.options.num_blocks": [1, 1, 1]})
    assert with_overrides(first, {"model.options.num_blocks": [2, 2, 2]}).model.options == {"num_blocks": [2, 2, 2]}
    assert first.model.options == {"num_blocks": [1, 1, 1]}

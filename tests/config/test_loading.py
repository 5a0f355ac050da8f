from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcli.config import (
    Momentum,
    differing_keys,
    load_config,
    shipped_config,
    shipped_configs,
    to_dict,
    to_yaml,
    with_overrides,
)
from hpcli.config.keys import read_text
from hpcli.config.schema import Config
from hpcli.errors import ConfigError, HpcliWarning


def faults(tmp_path: Path, text: str, overrides: dict[str, object] | None = None) -> tuple[str, ...]:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return tuple(fault.removeprefix(f"{path}:") for fault in caught.value.faults)


def test_without_a_file_it_is_the_digits() -> None:
    config = load_config()
    assert (config.data.name, config.model.name, config.schedule.max_lr) == ("digits", "resnet20", 0.01)


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_every_shipped_config_loads_and_opens_with_its_command(name: str) -> None:
    path = shipped_config(name)
    load_config(path)
    opening = path.read_text().split("\n\n")[0].splitlines()
    comment = [line for line in opening if line.startswith("#")]
    assert len(comment) >= 2
    assert any("hpcli " in line for line in comment[1:])


def test_every_fault_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "data: {batch_sise: 3, batch_size: -3, eval_batch_size: true}\n"
        "schedule:\n  momentum: 0.85-0.95\n  max_lr: '1e-3'\n  name: one_cicle\n"
        "model: {name: resnet57}\ntrian: {}\n"
    )
    assert faults(tmp_path, text) == (
        "1:8: data.batch_sise: unknown key; did you mean batch_size?",
        "1:23: data.batch_size: -3: must be at least 1",
        "1:39: data.eval_batch_size: true: must be a whole number",
        "3:3: schedule.momentum: 0.85-0.95: the higher momentum comes first, since it mirrors the learning rate: "
        "write 0.95-0.85",
        '4:3: schedule.max_lr: "1e-3": must be a number',
        "5:3: schedule.name: one_cicle: unknown schedule; did you mean one_cycle?",
        "6:9: model.name: resnet57: unknown model; did you mean resnet56?",
        "7:1: trian: unknown key; did you mean train?",
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("data: 3", "1:1: data: must be a section of keys, not 3"),
        ("data:", "1:1: data: must be a section of keys, not null"),
        ("optimizer: {weight_decay: null}", "1:13: optimizer.weight_decay: null: must be a number"),
        ("data: {validation: tests}", "1:8: data.validation: tests: must be a fraction of the training images, such as 0.1, "
         "or one of the words auto, valid, test"),
        ("data: {validation: 1.0}", "1:8: data.validation: 1.0: must be a fraction of the training images, such as 0.1, "
         "or one of the words auto, valid, test"),
        ("train: {epochs: 5, checkpoint_epochs: [4, 5]}", "1:43: train.checkpoint_epochs.1: 5 is past the last epoch, 4 "
         "(they count from 0)"),
        ("schedule: {name: constant}", "1:1: schedule.momentum: the pair 0.95-0.85 needs a learning rate that cycles, and "
         "constant does not; write one number such as 0.9"),
        ("schedule: {base_lr: 1, max_lr: 0.1}", "1:12: schedule.base_lr: 1.0 is above max_lr, 0.1; swap or lower it"),
        ("lr_find: {start_lr: 10}", "1:11: lr_find.start_lr: 10.0 must be below end_lr, 10.0"),
        ("optimizer: {nesterov: true}", "1:13: optimizer.nesterov: is SGD's; set optimizer.name: sgd, or leave it out"),
        ("seed: 3000000000", "1:1: seed: 3000000000: must be below 2147483648"),
        ("data: {name: cifar1000}", "1:8: data.name: cifar1000: unknown data set; did you mean cifar100?"),
    ],
)  # fmt: skip
def test_one_fault(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(tmp_path, text) == (fault,)


def test_overrides_name_themselves(tmp_path: Path) -> None:
    assert faults(tmp_path, "seed: 1", {"data.batchsize": "3", "train.epochs": 0, "schedule.max_lr": "ten"}) == (
        "data.batchsize=3: unknown key; did you mean batch_size?",
        'schedule.max_lr=ten: "ten": must be a number',
        "train.epochs=0: must be at least 1",
    )


def test_overrides_win_and_are_values() -> None:
    config = load_config(None, {"model.options.num_blocks": [9, 8, 8], "schedule.max_lr": 1e-1, "train.epochs": 2})
    assert config.model.options == {"num_blocks": [9, 8, 8]}
    assert config.schedule.max_lr == 0.1
    assert with_overrides(config, {"train.epochs": 7}).train.epochs == 7
    assert config.train.epochs == 2


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [("model.options.num_blocks", "[9, 8, 8]", [9, 8, 8]), ("schedule.max_lr", "1e-1", 0.1), ("train.epochs", "2", 2)],
)
def test_text_is_read_on_the_command_line_alone(key: str, text: str, value: object) -> None:
    """What is passed in Python is taken as it is: a number as text is a fault, as in a file."""
    assert read_text(key, text) == value
    if key.startswith("model.options"):
        assert with_overrides(load_config(), {key: text}).model.options == {"num_blocks": text}
    else:
        with pytest.raises(ConfigError, match=rf'{key}={text}: "{text}": must be a'):
            with_overrides(load_config(), {key: text})


def test_values_of_notebooks_are_taken_as_what_they_are() -> None:
    config = with_overrides(
        load_config(),
        {
            "data.root": Path("a: b"),
            "schedule.max_lr": np.float64(0.25),
            "train.epochs": np.int64(4),
            "train.checkpoint_epochs": (np.int64(1), 2),
            "schedule.momentum": Momentum(0.9, 0.8),
            "model.options.num_blocks": (1, 2, 3),
            "optimizer.weight_decay": np.float32(0.5),
        },
    )
    assert (config.data.root, config.schedule.max_lr, config.train.epochs) == ("a: b", 0.25, 4)
    assert config.train.checkpoint_epochs == (1, 2)
    assert config.schedule.momentum == Momentum(0.9, 0.8)
    assert config.model.options == {"num_blocks": [1, 2, 3]}
    assert config.optimizer.weight_decay == 0.5
    assert with_overrides(config, {}) == config


@pytest.mark.parametrize(("value", "what"), [("0.09", "did you mean a pair"), ("0", "did you mean a pair")])
def test_a_lone_low_momentum_is_questioned(value: str, what: str) -> None:
    with pytest.warns(HpcliWarning, match=what):
        load_config(None, {"schedule.momentum": value})


def test_choosing_on_the_test_set_warns_once() -> None:
    with pytest.warns(HpcliWarning, match=r"data\.validation: test") as caught:
        load_config(None, {"data.validation": "test"})
    assert len(caught) == 1


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "big").write_bytes(b"#" * 300_000)
    (tmp_path / "binary").write_bytes(b"seed: \xff\xfe")
    for name, what in {
        "missing": "No such file",
        "fifo": "not a file",
        "": "not a file",
        "big": "larger than 256 KiB",
        "binary": r"not UTF-8 text \(byte 6\)",
        "nul\0": "not a path",
    }.items():
        with pytest.raises(ConfigError, match=what):
            load_config(tmp_path / name)


def test_a_config_survives_being_written(tmp_path: Path) -> None:
    config = load_config(None, {"schedule.momentum": "0.9", "train.checkpoint_epochs": [1, 2], "optimizer.eps": 1e-12})
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(config))
    assert load_config(path) == config


def test_a_config_is_plain_data(tmp_path: Path) -> None:
    """A momentum pair is text, a constant one a number; tuples are lists. Read back it is the same config."""
    pair, one = (load_config(None, {"schedule.momentum": each}) for each in (Momentum(0.99, 0.9), 0.9))
    assert to_dict(pair)["schedule"]["momentum"] == "0.99-0.9"
    assert to_dict(one)["schedule"]["momentum"] == 0.9
    assert json.loads(json.dumps(to_dict(pair))) == to_dict(pair)
    for config in (pair, one):
        (tmp_path / "c.yaml").write_text(to_yaml(config))
        assert load_config(tmp_path / "c.yaml") == config


def test_differing_keys() -> None:
    config = load_config()
    other = with_overrides(config, {"train.epochs": 3, "schedule.momentum": "0.9"})
    assert differing_keys(config, other) == ["schedule.momentum", "train.epochs"]
    assert differing_keys(config, config) == []


def test_unknown_shipped_config() -> None:
    with pytest.raises(ConfigError, match="did you mean digits"):
        shipped_config("digit")


def _outcome(path: Path) -> Config | ConfigError:
    try:
        return load_config(path)
    except ConfigError as error:
        return error


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_config_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "c.yaml"
    path.write_bytes(data)
    outcome = _outcome(path)
    assert isinstance(outcome, Config) or all(str(path) in fault for fault in outcome.faults)


KEYS = st.sampled_from(
    ["data", "train", "schedule", "name", "epochs", "momentum", "options", "seed", "max_lr", "x", "1"]
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("0.95-0.85"),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS, children, max_size=4),
    max_leaves=12,
)


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
@settings(max_examples=150, deadline=None)
@given(tree=st.dictionaries(KEYS, TREES, max_size=5))
def test_any_tree_is_a_config_or_a_clear_error(tree: dict[str, object]) -> None:
    try:
        assert isinstance(with_overrides(load_config(), tree), Config)
    except ConfigError as error:
        assert error.faults


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "a: [" + "1, " * 80_000 + "]", "- " * 100_000, "k" * 250_000, '"' + "x" * 200_000]
)
def test_hostile_files_are_answered_quickly(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    started = time.process_time()
    assert isinstance(_outcome(path), ConfigError)
    assert time.process_time() - started < 3

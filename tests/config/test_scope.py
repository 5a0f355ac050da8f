"""What a key affects is stated beside it, once; and what follows from that: what may differ, what may be varied."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from hpcli.config import Config, Momentum, differing_keys, load_config, with_overrides
from hpcli.config.keys import ALIASES, fields, find_field, full_key, read_text, scope_of, value_fault
from hpcli.config.schema import Config as Schema
from hpcli.config.scope import Scope
from hpcli.config.section import Section
from hpcli.errors import ConfigError

KEYS = [key for key, _ in fields()]
NONE = Scope(0)


def faults(config: Config, overrides: Mapping[str, object]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        with_overrides(config, overrides)
    return caught.value.faults


def sections(kind: type[Section] = Schema, prefix: str = "") -> list[str]:
    """Every key of the schema, found without `fields`."""
    found = []
    for name, value in kind():
        found += sections(type(value), f"{prefix}{name}.") if isinstance(value, Section) else [f"{prefix}{name}"]
    return found


def test_the_keys_are_all_of_the_schema() -> None:
    assert sections() == KEYS
    assert len(KEYS) == len(set(KEYS)) > 50


@pytest.mark.parametrize("key", KEYS)
def test_a_key_states_its_scope_once_and_its_meaning(key: str) -> None:
    field = find_field(key)
    assert field is not None
    assert len([each for each in field.metadata if isinstance(each, Scope)]) == 1
    assert field.description
    assert scope_of(key) == next(each for each in field.metadata if isinstance(each, Scope))


def words_of(kind: object) -> set[str]:
    """The words that a key takes, wherever in its type."""
    own = {each for each in get_args(kind) if isinstance(each, str)} if get_origin(kind) is Literal else set()
    return own.union(*(words_of(each) for each in get_args(kind) if not isinstance(each, str)))


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_a_few_words_names_them(key: str) -> None:
    """Who asks for help has not seen the error that lists them."""
    field = find_field(key)
    assert field is not None
    said = (field.description or "").lower()
    assert {word for word in words_of(field.annotation) if word.lower() not in said} == set()


@pytest.mark.parametrize("key", KEYS)
def test_scopes_go_together(key: str) -> None:
    """Other images, another network or another length are another run; an experiment's own keys are part of none."""
    scope = scope_of(key)
    if scope & (Scope.IMAGES | Scope.NETWORK):
        assert scope & Scope.TRAINER
    if scope & (Scope.TRAINER | Scope.LENGTH | Scope.REPEAT | Scope.COST):
        assert scope & Scope.RUN
    if scope & Scope.EXTENDS:
        assert scope == Scope.EXTENDS
    of_a_command = key.partition(".")[0] in (
        "lr_find",
        "sweep",
        "tune",
        "batch_size",
        "interpolate",
        "evaluate",
        "record",
    )
    assert of_a_command != bool(scope & Scope.RUN)


@pytest.mark.parametrize(
    ("key", "scope"),
    [
        ("seed", Scope.RUN | Scope.REPEAT),
        ("data.name", Scope.RUN | Scope.TRAINER | Scope.IMAGES | Scope.COST),
        ("data.split_seed", Scope.RUN | Scope.TRAINER | Scope.IMAGES | Scope.JUDGE),
        ("data.batch_size", Scope.RUN | Scope.TRAINER | Scope.COST),
        ("model.name", Scope.RUN | Scope.TRAINER | Scope.NETWORK | Scope.COST),
        ("model.options.num_blocks", Scope.RUN | Scope.TRAINER | Scope.NETWORK | Scope.COST),
        ("model.pretrained", Scope.RUN | Scope.TRAINER),
        ("init.weights", Scope.RUN | Scope.TRAINER),
        ("optimizer.weight_decay", Scope.RUN),
        ("optimizer.name", Scope.RUN | Scope.TRAINER),
        ("schedule.momentum", Scope.RUN),
        ("schedule.max_lr", Scope.RUN | Scope.LENGTH),
        ("train.epochs", Scope.RUN | Scope.LENGTH | Scope.COST),
        ("train.checkpoint_epochs", Scope.RUN | Scope.LENGTH),
        ("lr_find.steps", NONE),
        ("sweep.epochs", NONE),
        ("sweep.seeds", Scope.EXTENDS),
        ("sweep.values", Scope.EXTENDS),
        ("sweep.values.optimizer.weight_decay", Scope.EXTENDS),
        ("evaluate.split", NONE),
        ("interpolate.alphas", NONE),
    ],
)
def test_what_a_key_affects(key: str, scope: Scope) -> None:
    assert scope_of(key) == scope


@pytest.mark.parametrize("key", ["", "data", "nonsense", "data.names", "optimizer.weight_decay.x", "data.", "seed.x"])
def test_what_is_no_key_has_no_scope(key: str) -> None:
    assert find_field(key) is None
    with pytest.raises(ConfigError, match=rf"^{key}: unknown key; "):
        scope_of(key)


def test_short_names_are_those_of_keys() -> None:
    assert {name: full_key(name) for name in ALIASES} == ALIASES
    assert all(key in KEYS for key in ALIASES.values())
    assert full_key("train.epochs") == "train.epochs"
    with pytest.raises(ConfigError, match=r"weight_dekay: unknown key; did you mean optimizer\.weight_decay\?"):
        full_key("weight_dekay")


CHANGES = {
    "seed": 3,
    "data.split_seed": 4,
    "data.batch_size": 64,
    "model.options.num_blocks": [1, 1, 1],
    "optimizer.weight_decay": 0.5,
    "train.epochs": 2,
    "sweep.seeds": 4,
    "sweep.values": {"optimizer.weight_decay": [0.1]},
    "lr_find.steps": 33,
    "evaluate.split": "valid",
}


@pytest.mark.parametrize(
    ("of", "keys"),
    [
        (Scope.IMAGES, ["data.split_seed"]),
        (Scope.NETWORK, ["model.options.num_blocks"]),
        (Scope.IMAGES | Scope.NETWORK, ["data.split_seed", "model.options.num_blocks"]),
        (Scope.TRAINER, ["data.batch_size", "data.split_seed", "model.options.num_blocks"]),
        (Scope.LENGTH, ["train.epochs"]),
        (Scope.REPEAT, ["seed"]),
        (Scope.COST, ["data.batch_size", "model.options.num_blocks", "train.epochs"]),
        (Scope.EXTENDS, ["sweep.seeds", "sweep.values.optimizer.weight_decay"]),
        (
            Scope.RUN,
            [
                "data.batch_size", "data.split_seed", "model.options.num_blocks", "optimizer.weight_decay", "seed", "train.epochs",
            ],
        ),
        (NONE, []),
        (
            None,
            [
                "data.batch_size", "data.split_seed", "evaluate.split", "lr_find.steps", "model.options.num_blocks",
                "optimizer.weight_decay", "seed", "sweep.seeds", "sweep.values.optimizer.weight_decay", "train.epochs",
            ],
        ),
    ],
)  # fmt: skip
def test_configs_differ_in_what_affects_something(config: Config, of: Scope | None, keys: list[str]) -> None:
    other = with_overrides(config, CHANGES)
    assert differing_keys(config, other, of=of) == differing_keys(other, config, of=of) == keys
    assert differing_keys(other, other, of=of) == []


def test_every_key_that_differs_affects_something_or_nothing(config: Config) -> None:
    """The scopes together leave out the keys of an experiment alone."""
    other = with_overrides(config, CHANGES)
    everything = reduce(or_, Scope)
    left = set(differing_keys(config, other)) - set(differing_keys(config, other, of=everything))
    assert left == {"evaluate.split", "lr_find.steps"}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("data.root", "2024", "2024"),
        ("data.root", "1e-3", "1e-3"),
        ("data.root", "true", "true"),
        ("data.root", "null", "null"),  # a folder must be somewhere
        ("data.root", "", ""),
        ("data.root", "[a, b]", "[a, b]"),
        ("data.root", "a: b", "a: b"),
        ("data.root", "'2024'", "2024"),
        ("data.root", '"a\\tb"', "a\tb"),
        ("data.root", "it's", "it's"),
        ("data.cache_dir", "null", None),
        ("data.cache_dir", "~", None),
        ("data.cache_dir", "'null'", "null"),
        ("data.cache_dir", "~/cache", "~/cache"),
        ("init.weights", "7", "7"),
        ("init.weights", "runs/a:best", "runs/a:best"),
        ("evaluate.checkpoint", "null", None),
        ("model.name", "007", "007"),
        ("interpolate.alphas", "0.25", "0.25"),
        ("seed", "7", 7),
        ("optimizer.weight_decay", "1e-5", 1e-5),
        ("optimizer.weight_decay", "0", 0),
        ("data.image_size", "null", None),
        ("data.image_size", "64", 64),
        ("data.validation", "0.2", 0.2),
        ("data.validation", "test", "test"),
        ("schedule.momentum", "0.95-0.85", "0.95-0.85"),
        ("schedule.momentum", "0.9", 0.9),
        ("optimizer.nesterov", "true", True),
        ("optimizer.nesterov", "False", False),
        ("optimizer.name", "sgd", "sgd"),
        ("data.augment", "none", "none"),
        ("model.freeze", "null", None),
        ("sweep.seeds", "auto", "auto"),
        ("sweep.seeds", "5", 5),
        ("train.checkpoint_epochs", "[1, 2]", [1, 2]),
        ("batch_size.sizes", "[]", []),
        ("sweep.values", "{optimizer.weight_decay: [1e-4, 1e-2]}", {"optimizer.weight_decay": [1e-4, 1e-2]}),
        ("model.options", "{num_blocks: [1, 1, 1]}", {"num_blocks": [1, 1, 1]}),
        ("model.options.num_blocks", "[1, 1, 1]", [1, 1, 1]),
        ("model.options.kind", "007x", "007x"),
        ("nonsense", "3", 3),  # what is wrong with it is said where it is set
    ],
)
def test_text_is_read_by_what_its_key_holds(key: str, text: str, value: object) -> None:
    read = read_text(key, text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "what"),
    [
        ("seed", "[1,", r"seed=\[1,: not YAML"),
        ("seed", "010", "seed=010: 010: a leading zero"),
        ("schedule.max_lr", ".inf", r"schedule\.max_lr=\.inf: \.inf: must be a finite number"),
        ("data.root", "'2024", r"data\.root='2024: not YAML"),
        ("optimizer.weight_decay", "!x 3", "tags"),
    ],
)
def test_text_that_cannot_be_read_is_named(key: str, text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read_text(key, text)


def test_a_value_is_judged_by_its_key() -> None:
    assert value_fault("optimizer.weight_decay", 1e-3) is None
    assert value_fault("schedule.momentum", "0.95-0.85") is None
    assert value_fault("schedule.momentum", Momentum(0.9, 0.8)) is None
    assert value_fault("model.options.num_blocks", "whatever") is None
    for key, value in (("optimizer.weight_decay", -1), ("optimizer.weight_decay", "1e-3"), ("schedule.momentum", 2),
                       ("data.augment", "non"), ("train.epochs", 1.5), ("train.epochs", True)):  # fmt: skip
        assert value_fault(key, value) is not None


@pytest.mark.parametrize(
    ("section", "key"),
    [("sweep", "optimizer.weight_decay"), ("sweep", "train.epochs"), ("sweep", "schedule.max_lr"), ("sweep", "data.name"),
     ("lr_find", "optimizer.weight_decay"), ("lr_find", "data.batch_size"), ("lr_find", "schedule.momentum")],
)  # fmt: skip
def test_what_changes_a_run_may_be_varied(config: Config, section: str, key: str) -> None:
    value: object = {"data.name": "digits", "data.batch_size": 16, "train.epochs": 4, "schedule.momentum": 0.9}.get(
        key, 0.5
    )
    values = getattr(with_overrides(config, {f"{section}.values": {key: [value]}}), section).values
    assert values == {key: [value]}


UNKNOWN = "unknown key; did you mean optimizer.weight_decay?"
NO_RUN = "cannot be varied, it does not change what a run is; --set sets it for all"
OTHER_JUDGES = "cannot be varied, each value would be judged on other images; --set sets it for all"
OWN_SCHEDULE = "changes no range test, which has a schedule of its own"


@pytest.mark.parametrize(
    ("section", "values", "fault"),
    [
        ("sweep", {"optimizer.weight_dekay": [1.0]}, f"sweep.values.optimizer.weight_dekay: {UNKNOWN}"),
        ("sweep", {"weight_decay": [1.0]}, f"sweep.values.weight_decay: {UNKNOWN}"),
        ("sweep", {"seed": [1, 2]}, f"sweep.values.seed: {NO_RUN}"),
        ("sweep", {"data.validation": [0.1, 0.2]}, f"sweep.values.data.validation: {OTHER_JUDGES}"),
        ("sweep", {"data.split_seed": [0, 1]}, f"sweep.values.data.split_seed: {OTHER_JUDGES}"),
        ("tune", {"data.valid_limit": [10, 20]}, f"tune.values.data.valid_limit: {OTHER_JUDGES}"),
        ("sweep", {"sweep.epochs": [1, 2]}, f"sweep.values.sweep.epochs: {NO_RUN}"),
        ("lr_find", {"lr_find.steps": [100]}, f"lr_find.values.lr_find.steps: {NO_RUN}"),
        ("lr_find", {"schedule.max_lr": [0.1]}, f"lr_find.values.schedule.max_lr: {OWN_SCHEDULE}"),
        ("lr_find", {"train.epochs": [3]}, f"lr_find.values.train.epochs: {OWN_SCHEDULE}"),
        ("sweep", {"optimizer.weight_decay": [1e-4, -1]}, "optimizer.weight_decay=-1: must be at least 0.0"),
        ("sweep", {"train.epochs": ["x"]}, 'train.epochs=x: "x": must be a whole number'),
        ("sweep", {"data.augment": ["non"]}, "data.augment=non: did you mean none?"),
        ("lr_find", {"data.batch_size": [0.5]}, "data.batch_size=0.5: must be a whole number"),
        (
            "sweep",
            {"schedule.momentum": ["0.85-0.95"]},
            "schedule.momentum=0.85-0.95: the higher momentum comes first, since it mirrors the learning rate: "
            "write 0.95-0.85",
        ),
        ("sweep", {"train.epochs": 3}, "sweep.values.train.epochs: 3: must be a list such as [5, 7]"),
        (
            "sweep",
            {"train.epochs": []},
            "sweep.values={'train.epochs': []}: {\"train.epochs\": []}: train.epochs: no values; give at least one",
        ),
    ],
)
def test_values_that_cannot_be_varied_are_named_by_key_and_place(
    config: Config, section: str, values: dict[str, object], fault: str
) -> None:
    assert faults(config, {f"{section}.values": values}) == (fault,)


def test_too_many_keys_are_counted(config: Config) -> None:
    (fault,) = faults(config, {"lr_find.values": {"optimizer.weight_decay": [0.1], "data.batch_size": [16]}})
    assert fault.startswith("lr_find.values={")
    assert fault.endswith(": 2 keys; vary one at a time")
    three = {"optimizer.weight_decay": [0.1, 1.0], "schedule.max_lr": [0.1, 1.0], "train.epochs": [3, 4]}
    assert with_overrides(config, {"sweep.values": three}).sweep.values == three


def test_all_that_is_wrong_with_values_is_said_at_once_and_where(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "sweep:\n"
        "  values:\n"
        "    optimizer.weight_decay: [1e-4, -1, x]\n"
        "    schedule.maxlr: [1]\n"
        "    seed: [1]\n"
        "lr_find:\n"
        "  start_lr: 100\n"
        "  values: {schedule.max_lr: [1], data.batch_size: [8, 0.5]}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert [fault.removeprefix(f"{path}:") for fault in caught.value.faults] == [
        "3:36: sweep.values.optimizer.weight_decay.1: -1: must be at least 0.0",
        '3:40: sweep.values.optimizer.weight_decay.2: "x": must be a number',
        "4:5: sweep.values.schedule.maxlr: unknown key; did you mean schedule.max_lr?",
        f"5:5: sweep.values.seed: {NO_RUN}",
        "7:3: lr_find.start_lr: 100.0 must be below end_lr, 10.0",
        "8:3: lr_find.values: 2 keys; vary one at a time",
        f"8:12: lr_find.values.schedule.max_lr: {OWN_SCHEDULE}",
        "8:55: lr_find.values.data.batch_size.1: 0.5: must be a whole number",
    ]

"""The keys of a config that matter to a run, their values, and how they are called where there is little room."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache

from pydantic import JsonValue

from hpcli.config.keys import fields, find_field
from hpcli.config.loading import to_dict
from hpcli.config.schema import Config
from hpcli.config.scope import NOT_RESULTS, Scope
from hpcli.config.varying import written

Values = Mapping[str, JsonValue]
"""Dotted key → value, as plain data."""
SHORT = {"optimizer.weight_decay": "wd", "schedule.momentum": "mom", "data.validation": "validation"}
"""Keys that have a shorter name than their last word, or share it and are meant by it."""
MAIN = ("model.name", "data.name", "data.batch_size", "optimizer.name", "schedule.name", "schedule.max_lr",
        "schedule.momentum", "optimizer.weight_decay", "train.epochs", "seed")  # fmt: skip
"""Keys that say what ran, whether they are the default or not."""
_WHERE = ("data.root", "init.weights", "evaluate.checkpoint", "interpolate.ckpt_a", "interpolate.ckpt_b",
          "interpolate.ckpt_c")  # fmt: skip
"""Keys whose values are places, of which the end says most."""


def values_of(config: Config) -> dict[str, JsonValue]:
    """Every key's value, in the order of the schema; a key that holds keys of its own is one."""
    tree = to_dict(config)
    found: dict[str, JsonValue] = {}
    for key, _ in fields():
        node: JsonValue = tree
        for name in key.split("."):
            node = node[name]  # type: ignore[index,call-overload]
        found[key] = node
    return found


def differing(config: Config, module: str) -> Values:
    """The keys that a run's command makes use of, where they are not the default: key → value.

    Args:
        config: of the run.
        module: of its command, as in `commands`, which is also the section of its own keys.
    """
    defaults = _defaults()
    return {key: value for key, value in values_of(config).items() if value != defaults[key] and is_used(key, module)}


@cache
def _defaults() -> dict[str, JsonValue]:
    return values_of(Config())


@cache
def is_used(key: str, module: str) -> bool:
    """Whether a key changes what a command comes to: its own keys, and those of the training runs that it makes.

    A range test has a length of its own, and so have the runs of a sweep; a measurement trains nothing.
    """
    field = find_field(key)
    assert field is not None
    (scope,) = (each for each in field.metadata if isinstance(each, Scope))
    if NOT_RESULTS in field.metadata:
        return False
    if key.partition(".")[0] == module:
        return True
    if module in ("evaluate", "interpolate"):
        return bool(scope & (Scope.IMAGES | Scope.NETWORK))
    own_length = module in ("lr_find", "batch_size") or (module == "sweep" and key == "train.epochs")
    return bool(scope & Scope.RUN) and not (own_length and scope & Scope.LENGTH)


def shared(runs: Sequence[tuple[str, Values]]) -> Values:
    """What all of several runs have alike, as far as their commands make use of it, and two at least do.

    Args:
        runs: the module of each run's command, and what differs from the defaults in it.
    """
    every = {key: value for _, values in runs for key, value in values.items()}
    using = {key: [values for module, values in runs if is_used(key, module)] for key in every}
    return {
        key: value
        for key, value in every.items()
        if len(using[key]) > 1 and all(key in values and values[key] == value for values in using[key])
    }


def short_names(keys: Collection[str]) -> dict[str, str]:
    """What keys are called beside each other: by their last word, where no other has it; `model.name` is `model`."""
    names = {key: short_name(key) for key in keys}
    taken = list(names.values())
    return {key: name if taken.count(name) == 1 else key for key, name in names.items()}


def short_name(key: str) -> str:
    """What a key is called where no other key is called so."""
    section, _, word = key.rpartition(".")
    return SHORT.get(key) or (section.rpartition(".")[2] if word == "name" else word)


def value_text(key: str, value: object) -> str:
    """A value as a person reads it; of a place its end."""
    if isinstance(value, dict):
        inner = short_names(value.keys())
        return ", ".join(f"{inner[name]} {value_text(name, each)}" for name, each in value.items()) or "none"
    if isinstance(value, list):
        return ",".join(value_text(key, each) for each in value) or "none"
    if value is None:
        return "null"
    text = written(value)
    return text if key not in _WHERE else text.partition("@sha256:")[0].rstrip("/").rpartition("/")[2] or text


def setting_text(values: Values, names: Mapping[str, str]) -> str:
    """`max_lr 0.03, wd 1e-4`: values by their short names."""
    parts = []
    for key, value in values.items():
        text = value_text(key, value)
        parts.append(text if isinstance(value, dict) and value else f"{names[key]} {text}")
    return ", ".join(parts)

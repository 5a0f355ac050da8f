"""Keys that do nothing in the runs of a config, by what stands beside them in the schema."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import reduce
from typing import Any

from hpcli import catalog
from hpcli.config.keys import find_field
from hpcli.config.schema import Config
from hpcli.config.scope import NOT_RESULTS, ArgumentOf, OnlyWhere
from hpcli.errors import ConfigError

KNOWN = {"data.name": catalog.DATASETS, "model.name": catalog.MODELS}


def why_idle(config: Config, key: str) -> str | None:
    """What a key does not do, and why: `does nothing where optimizer.name is sgd`.

    None: it does something, as far as the config alone can tell.
    """
    for each in _marks(key):
        if each == NOT_RESULTS:
            return "changes no result"
        if isinstance(each, OnlyWhere | ArgumentOf):
            value = reduce(getattr, each.key.split("."), config)
            argument = key.rpartition(".")[2]
            works = each.holds(value) if isinstance(each, OnlyWhere) else _takes(each.key, str(value), argument)
            if not works:
                return f"does nothing where {each.key} is {value if isinstance(value, str) else f'{value:g}'}"
    return None


def idle_advice(config: Config, given: Iterable[str]) -> list[str]:
    """Keys that somebody has set and that do nothing, a line each.

    Speed, memory and place are something, and so is what a key does for one of the values that are varied.
    """
    varied = {*config.sweep.values, *config.lr_find.values, *config.tune.values}
    depends_on = {key: {getattr(mark, "key", None) for mark in _marks(key)} for key in given}
    asked = [key for key in given if NOT_RESULTS not in _marks(key) and varied.isdisjoint(depends_on[key])]
    found = {key: why_idle(config, key) for key in asked}
    return [f"{key}: {why}" for key, why in found.items() if why is not None]


def _marks(key: str) -> list[Any]:
    """What stands beside a key."""
    field = find_field(key)
    return [] if field is None else field.metadata


def _takes(key: str, name: str, argument: str) -> bool:
    """Whether the function that a key names has a parameter; so it has where that cannot be known."""
    known = KNOWN[key]
    if name not in known and not catalog.is_code(name):
        return True  # a library's
    try:
        parameters = inspect.signature(catalog.load_named(known, name, key)).parameters
    except ConfigError:
        return True  # it says so itself, when it is called
    return argument in parameters

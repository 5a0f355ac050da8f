"""The config's keys one by one: field, meaning, scope, and how text becomes a value."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from hpcli.config.schema import Config
from hpcli.config.scope import Scope
from hpcli.config.section import Section
from hpcli.config.strict_yaml import read_value
from hpcli.errors import ConfigError, did_you_mean

ALIASES = {"weight_decay": "optimizer.weight_decay", "momentum": "schedule.momentum"}
"""Short names that `vary` takes for keys that are varied most."""


def fields(section: type[Section] = Config, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every dotted key with its field, in the order of the schema."""
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from fields(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


@dataclass(frozen=True)
class Described:
    """A key as a person reads of it."""

    key: str
    default: object
    about: str


def described() -> list[Described]:
    """Every key, in the order of the schema."""
    return [Described(key, field.default, " ".join((field.description or "").split())) for key, field in fields()]


@cache
def find_field(key: str) -> FieldInfo | None:
    """The field of a dotted key; of `model.options.num_blocks` that of `model.options`; None: there is none."""
    known = _by_key()
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        field = known.get(".".join(parts[:length]))
        if field is not None:
            return field if length == len(parts) or _is_open(field) else None
    return None


@cache
def scope_of(key: str) -> Scope:
    """What a key affects.

    Raises:
        ConfigError: no such key.
    """
    field = find_field(key)
    if field is None:
        raise ConfigError(f"{key}: unknown key; {meant_by(key) or did_you_mean(key, _by_key(), all_by='hpcli keys')}")
    (scope,) = (each for each in field.metadata if isinstance(each, Scope))
    return scope


def meant_by(name: str) -> str:
    """The keys whose last word is that of `name`, as a question; empty: there are none, or `name` is one of them."""
    words = name.split(".")
    known = [key for key in _by_key() if key.rpartition(".")[2] == words[-1]]
    return "" if not known or name in known else f"did you mean {' or '.join(known)}?"


def full_key(name: str) -> str:
    """A dotted key, from itself or its short name.

    Raises:
        ConfigError: no such key.
    """
    key = ALIASES.get(name, name)
    scope_of(key)
    return key


def read_text(key: str, text: str) -> object:
    """The value that a key's text stands for, as written on a command line or in a config.

    A key whose values are text takes the text as it is: `data.root=2024` is a folder. Everything else is read as YAML.
    """
    field = find_field(key)
    kinds = _kinds(field.annotation) if field is not None else set()
    if kinds <= {str, type(None)} and kinds and not text.startswith(('"', "'")):
        return None if text in ("null", "~") and type(None) in kinds else text
    return read_value(text, f"{key}={text}")


def value_fault(key: str, value: object) -> ValidationError | None:
    """What is wrong with a value for a key; None: nothing, as far as the key alone can tell."""
    check = _check_of(key)
    try:
        if check is not None:
            check.validate_python(value, strict=True)
    except ValidationError as error:
        return error
    return None


def plain_value(key: str, value: object) -> JsonValue:
    """A value as the config has it, as plain data: 1 is 1.0 where a key is a number with a point.

    Raises:
        ValidationError: the key does not take it; see `value_fault`.
    """
    check = _check_of(key)
    if check is None:
        return typing.cast(JsonValue, value)
    return typing.cast(JsonValue, check.dump_python(check.validate_python(value, strict=True), mode="json"))


@cache
def _check_of(key: str) -> TypeAdapter[Any] | None:
    """What checks the values of a key; None: they are not known to the schema."""
    field = find_field(key)
    if field is None or _is_open(field):
        return None
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return TypeAdapter(kind)


@cache
def _by_key() -> dict[str, FieldInfo]:
    return dict(fields())


def _kinds(annotation: object) -> set[object]:
    """The members of a union; of anything else the thing itself."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return set(typing.get_args(annotation)) if is_union else {annotation}


def _is_open(field: FieldInfo) -> bool:
    """Whether a field holds keys of its own that the schema does not know."""
    return typing.get_origin(field.annotation) is dict

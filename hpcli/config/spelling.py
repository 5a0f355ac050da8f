"""Values as a command line has them: a list divided, a value that is read back as the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from pydantic import JsonValue

from hpcli.config.keys import read_text
from hpcli.config.strict_yaml import read_value
from hpcli.config.varying import written
from hpcli.errors import ConfigError, UsageError


def assignable(key: str, value: object) -> str:
    """A key's value for `--set KEY=VALUE`, read back as the same: in quotes where text looks like a number."""
    return _read_back(value, lambda text: read_text(key, text))


def in_yaml(value: object) -> str:
    """A value as a YAML file has it, read back as the same."""
    return _read_back(value, lambda text: read_value(text, text))


def _read_back(value: object, read: Callable[[str], object]) -> str:
    """A value as text, all digits or quotes where that is needed to read the same."""
    text = written(value)
    if isinstance(value, float) and float(text) != value:
        return str(value)
    if not isinstance(value, str):
        return text
    try:
        return text if read(text) == value else json.dumps(value)
    except ConfigError:
        return json.dumps(value)


def read_among(key: str, text: str, known: Iterable[object]) -> JsonValue:
    """The value that `written` has made a text of: one of those that are known, or what the text stands for."""
    named = [value for value in known if written(value) == text]
    return cast(JsonValue, named[0] if named else read_text(key, text))


def split_values(key: str, text: str) -> list[object]:
    """A list as the command line has it, divided at its commas, but not at those within brackets.

    Raises:
        UsageError: an empty value.
        ConfigError: a value that cannot be read.
    """
    values = [value.strip() for value in _divided(text)]
    if not all(values):
        raise UsageError(f"--values {text}: an empty value; write for example 1e-5,1e-4,1e-3")
    return [read_text(key, value) for value in values]


def _divided(text: str) -> list[str]:
    """The parts between a text's commas, but for those within brackets, however deep."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def joined_values(first: Sequence[object], second: Sequence[object]) -> list[object]:
    """The values of the first list and then those of the second that are new, however they are written."""
    found: dict[str, object] = {}
    for value in (*first, *second):
        found.setdefault(written(value), value)
    return list(found.values())

"""Faults as lines for people: the place, the key, what is wrong, what to write instead."""

from __future__ import annotations

import difflib
import json
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hpcli.config.keys import meant_by
from hpcli.config.schema import Config
from hpcli.config.section import Section
from hpcli.config.strict_yaml import Path as KeyPath
from hpcli.errors import did_you_mean

Fault = tuple[KeyPath, str]
"""The path to a key, and what is wrong with it."""


def faults_of(error: ValidationError, tree: object) -> list[Fault]:
    """Every fault that pydantic found in a tree."""
    return [(_key_path(detail["loc"], tree), _explain(detail)) for detail in error.errors(include_url=False)]


def in_lines(faults: list[Fault], where: dict[KeyPath, str]) -> list[str]:
    """One line a fault, in the order of the file; `where` knows the place of each key."""
    lines: list[tuple[str, str]] = []
    for path, problem in faults:
        place = next((where[path[:n]] for n in range(len(path), 0, -1) if path[:n] in where), "")
        key = ".".join(map(str, path))
        named, equals, given = place.partition("=")
        is_override = equals and f".{named}." in f".{key}."  # its place names key and value already
        given = _cut(given)
        alone = problem.removeprefix(f"{given}: ") if is_override else problem
        place = f"{named}={given}" if is_override else place
        lines.append((place, alone if is_override or not key else f"{key}: {problem}"))
    lines.sort(key=lambda line: [int(part) if part.isdigit() else 0 for part in line[0].split(":")])
    return [f"{place}: {text}" if place else text for place, text in lines]


def explained(error: ValidationError) -> str:
    """The first fault of one value, in words."""
    return _explain(error.errors(include_url=False)[0])


def _key_path(loc: KeyPath, tree: object) -> KeyPath:
    """The user's part of pydantic's location, without the names that union members and validators leave in it."""
    node: Any = tree
    path: list[str | int] = []
    for part in loc:
        inside = (isinstance(node, dict) and part in node) or (isinstance(node, list) and isinstance(part, int))
        if not inside:
            break
        node = node[part]
        path.append(part)
    return tuple(path)


_WORDS = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list such as [5, 7]",
    "list_type": "must be a list such as [5, 7]",
    "dict_type": "must be a mapping such as {{key: value}}",
    "finite_number": "must be a finite number",
    "value_error": "{error}",
}


def _explain(detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key; {_meant(detail['loc'])}"
    if kind in ("model_type", "model_attributes_type"):
        meant = meant_by(".".join(map(str, detail["loc"])))
        return f"must be a section of keys, not {_shown(value)}{meant and f'; {meant}'}"
    if kind == "literal_error":
        expected = context["expected"].replace("True", "true").replace("False", "false").replace(" or ", ", ")
        choices = [choice.strip("'") for choice in expected.split(", ")]
        return f"{_shown(value)}: {did_you_mean(str(value), choices)}"
    words = _WORDS.get(kind, detail["msg"].replace("{", "{{").replace("}", "}}"))
    quotes = '"' if isinstance(value, str) and kind in ("int_type", "float_type", "bool_type") else ""
    return f"{quotes}{_shown(value)}{quotes}: {words.format(**context)}"


def _meant(loc: KeyPath) -> str:
    """What an unknown key may have been meant for: nearly a key of its section, a key of another one, anything near."""
    name, siblings = str(loc[-1]), _siblings(loc)
    is_typo = bool(difflib.get_close_matches(name, siblings, n=1, cutoff=0.85))
    elsewhere = "" if is_typo else meant_by(".".join(map(str, loc)))
    return elsewhere or did_you_mean(name, siblings)


def _siblings(loc: KeyPath) -> list[str]:
    """The keys of the section that the last name of `loc` was looked for in."""
    section: type[Section] = Config
    for name in loc[:-1]:
        field = section.model_fields.get(str(name))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, Section):
            break
        section = field.annotation
    return list(section.model_fields)


def _shown(value: object) -> str:
    """A value as YAML would write it, cut to a readable length."""
    text = json.dumps(value, default=str)
    text = text if isinstance(value, list | dict) else text.strip('"')
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= 50 else f"{text[:47]}..."

"""From a file and overrides to a `Config`, with every fault named by place and key."""

from __future__ import annotations

import json
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hpcli.config.checks import advice
from hpcli.config.schema import Config
from hpcli.config.section import Section
from hpcli.config.strict_yaml import MAX_BYTES, Document, read_document, read_value
from hpcli.config.strict_yaml import Path as KeyPath
from hpcli.errors import ConfigError, HpcliWarning, did_you_mean

DEFAULT = "digits"


def load_config(path: str | Path | None = None, overrides: Mapping[str, object] | None = None) -> Config:
    """Read a YAML config; without a path, the shipped digits setting.

    Args:
        path: the file.
        overrides: dotted keys and their values, for example `{"train.epochs": 3}`. Text is read as YAML would be.

    Raises:
        ConfigError: every fault, a line each: `file:line:column: key: what is wrong and what to write`.
    """
    config = read_config(path, overrides)
    for line in advice(config):
        warnings.warn(line, HpcliWarning, stacklevel=2)
    return config


def read_config(path: str | Path | None = None, overrides: Mapping[str, object] | None = None) -> Config:
    """As `load_config`, without its advice: for a config that has been loaded before."""
    path = shipped_config(DEFAULT) if path is None else Path(path)
    return _build(read_document(_read_text(path), str(path)), overrides or {})


def with_overrides(config: Config, overrides: Mapping[str, object]) -> Config:
    """A copy of `config` with dotted keys set: the one path behind `--set`, notebooks and sweeps.

    Raises:
        ConfigError: an unknown key or a value that does not fit.
    """
    return _build(Document(to_dict(config)), overrides)


def to_dict(config: Config) -> dict[str, Any]:
    """The config as plain, fully resolved data, in the order of its keys."""
    return config.model_dump(mode="json")


def to_yaml(config: Config) -> str:
    """The config as YAML that `load_config` reads back to an equal one."""
    return yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)


def differing_keys(first: Config, second: Config) -> list[str]:
    """Dotted keys whose values differ."""
    one, other = (dict(_flatten(to_dict(config))) for config in (first, second))
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def shipped_configs() -> dict[str, Path]:
    """Name and file of every config that comes with hpcli."""
    package = Path(__file__).resolve().parents[1]
    folder = next(each for each in (package / "configs", package.parent / "configs") if each.is_dir())
    return {str(file.relative_to(folder).with_suffix("")): file for file in sorted(folder.rglob("*.yaml"))}


def shipped_config(name: str) -> Path:
    """The file of a shipped config, by name.

    Raises:
        ConfigError: no such name.
    """
    known = shipped_configs()
    if name not in known:
        raise ConfigError(f"{name}: no shipped config of that name; {did_you_mean(name, known)}")
    return known[name]


def _read_text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path}: not a file; -c takes a YAML config (`hpcli init digits` writes one)")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ConfigError(
            f"{path}: cannot be read: {reason}; -c takes a YAML config (`hpcli init digits` writes one)"
        ) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES // 1024} KiB; this is not a config")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); this is not a config") from None


def _build(document: Document, overrides: Mapping[str, object]) -> Config:
    tree = json.loads(json.dumps(document.tree))
    where = dict(document.where)
    for key, value in overrides.items():
        _override(tree, where, key, value)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(*_faults(error, tree, where)) from None


def _override(tree: dict[str, Any], where: dict[KeyPath, str], key: str, value: object) -> None:
    place = f"{key}={value}"
    if isinstance(value, str):
        value = read_value(value, place)
    *sections, last = key.split(".")
    node = tree
    for name in sections:
        if not isinstance(node.get(name), dict):
            node[name] = {}
        node = node[name]
    node[last] = value
    path: KeyPath = (*sections, last)
    for known in [known for known in where if known[: len(path)] == path]:
        del where[known]
    where[path] = place


def _faults(error: ValidationError, tree: dict[str, Any], where: dict[KeyPath, str]) -> list[str]:
    """One line a fault, in the order of the file."""
    lines: list[tuple[str, str]] = []
    for detail in error.errors(include_url=False):
        if detail["type"] == "conflicts":
            conflicts: list[tuple[str, str]] = detail["ctx"]["faults"]
            found = [(_parsed_key(key), problem) for key, problem in conflicts]
        else:
            found = [(_key_path(detail["loc"], tree), _explain(detail))]
        for path, problem in found:
            place = next((where[path[:n]] for n in range(len(path), 0, -1) if path[:n] in where), "")
            key = ".".join(map(str, path))
            is_override = place.startswith(f"{key}=")  # its place names key and value already
            lines.append((place, problem if is_override or not key else f"{key}: {problem}"))
    lines.sort(key=lambda line: [int(part) if part.isdigit() else 0 for part in line[0].split(":")])
    return [f"{place}: {text}" if place else text for place, text in lines]


def _parsed_key(key: str) -> KeyPath:
    return tuple(int(name) if name.isdigit() else name for name in key.split("."))


def _key_path(loc: KeyPath, tree: dict[str, Any]) -> KeyPath:
    """The part of pydantic's location that is the user's: union members and validators leave names of their own."""
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
    "dict_type": "must be a mapping such as {{num_blocks: [9, 8, 8]}}",
    "finite_number": "must be a finite number",
    "value_error": "{error}",
}


def _explain(detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key; {did_you_mean(str(detail['loc'][-1]), _siblings(detail['loc']))}"
    if kind in ("model_type", "model_attributes_type"):
        return f"must be a section of keys, not {_shown(value)}"
    if kind == "literal_error":
        choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
        return f"{_shown(value)}: {did_you_mean(str(value), choices)}"
    words = _WORDS.get(kind, detail["msg"].replace("{", "{{").replace("}", "}}"))
    quotes = '"' if isinstance(value, str) and kind in ("int_type", "float_type", "bool_type") else ""
    return f"{quotes}{_shown(value)}{quotes}: {words.format(**context)}"


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
    return text if len(text) <= 50 else f"{text[:47]}..."


def _flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in tree.items():
        pairs += _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return pairs

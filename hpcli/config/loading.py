"""From a file and overrides to a `Config`, with every fault named by place and key."""

from __future__ import annotations

import copy
import os
import stat
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import yaml
from pydantic import ValidationError

from hpcli.config.checks import advice, conflicts
from hpcli.config.faults import faults_of, in_lines
from hpcli.config.idle import idle_advice
from hpcli.config.keys import scope_of
from hpcli.config.momentum import Momentum
from hpcli.config.schema import Config
from hpcli.config.scope import Scope
from hpcli.config.section import Section
from hpcli.config.strict_yaml import MAX_BYTES, Document, Tree, read_document, read_value
from hpcli.config.strict_yaml import Path as KeyPath
from hpcli.errors import ConfigError, HpcliWarning, did_you_mean

DEFAULT = "digits"


def load_config(path: str | Path | None = None, overrides: Mapping[str, object] | None = None) -> Config:
    """Read a YAML config; without a path, the shipped digits setting.

    Args:
        path: the file.
        overrides: dotted keys and their values, for example `{"train.epochs": 3}`.

    Raises:
        ConfigError: every fault, a line each: `file:line:column: key: what is wrong and what to write`.
    """
    config = read_config(path, overrides)
    for line in [*advice(config), *idle_advice(config, overrides or {})]:
        warnings.warn(line, HpcliWarning, stacklevel=2)
    return config


def read_config(path: str | Path | None = None, overrides: Mapping[str, object] | None = None) -> Config:
    """Read a config as `load_config` does, without warnings of probable mistakes."""
    path = shipped_config(DEFAULT) if path is None else Path(path)
    return parse_config(_read_text(path), str(path), overrides)


def parse_config(text: str, source: str, overrides: Mapping[str, object] | None = None) -> Config:
    """Read a config from text; `source` names the text in faults."""
    return _build(read_document(text, source), overrides or {})


def with_overrides(config: Config, overrides: Mapping[str, object]) -> Config:
    """A copy of `config` with dotted keys set: the one path behind `--set`, notebooks and sweeps.

    Raises:
        ConfigError: an unknown key or a value that does not fit.
    """
    return _build(Document(_tree(config)), overrides)


def to_dict(config: Config) -> Tree:
    """The config as plain, fully resolved data, in the order of its keys."""
    return config.model_dump(mode="json")


def to_yaml(config: Config) -> str:
    """The config as YAML that `load_config` reads back to an equal one."""
    return yaml.dump(to_dict(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that the strict reader would take for something else, such as `1e3`."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        is_itself = read_value(text, "") == text
    except ConfigError:
        is_itself = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_itself else '"')


_Dumper.add_representer(str, _text)


def differing_keys(first: Config, second: Config, *, of: Scope | None = None) -> list[str]:
    """Dotted keys whose values differ; with `of` only those that affect something of it."""
    one, other = dict(_flatten(first)), dict(_flatten(second))
    keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    return keys if of is None else [key for key in keys if scope_of(key) & of]


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
    """The config of a document of its caller's own, which is changed."""
    tree, where = document.tree, document.where
    for key, value in overrides.items():
        _override(tree, where, key, _plain(value))
    no_path = [(path, "a character that no path can hold") for path in _no_path(tree, ())]
    if no_path:
        raise ConfigError(*in_lines(no_path, where))
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(*in_lines(faults_of(error, tree), where)) from None
    faults = conflicts(config)
    if faults:
        raise ConfigError(*in_lines(faults, where))
    return config


def _no_path(node: object, path: KeyPath) -> Iterator[KeyPath]:
    """Where a tree has text that the system takes for no path: with a NUL, or half a character (a lone surrogate)."""
    if isinstance(node, dict | list):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _no_path(value, (*path, name))
    elif isinstance(node, str) and not _can_be_a_path(node):
        yield path


def _can_be_a_path(text: str) -> bool:
    try:
        return b"\0" not in text.encode("utf-8", "surrogateescape")  # which names of files that are no UTF-8 need
    except UnicodeEncodeError:
        return False


def _override(tree: Tree, where: dict[KeyPath, str], key: str, value: object) -> None:
    *sections, last = key.split(".")
    node = tree
    for name in sections:
        inner = node.get(name)
        node[name] = node = inner if isinstance(inner, dict) else {}
    node[last] = value
    path: KeyPath = (*sections, last)
    for known in [known for known in where if known[: len(path)] == path]:
        del where[known]
    where[path] = f"{key}={value}"
    if isinstance(value, dict):  # values by key: each has a place of its own
        for name, values in value.items():
            listed = enumerate(values) if isinstance(values, list) else ()
            where |= {(*path, name): "", **{(*path, name, n): f"{name}={each}" for n, each in listed}}


def _tree(section: Section) -> Tree:
    """A section as a tree of its own values, none of them turned into text, and its dicts copied."""
    values = {name: getattr(section, name) for name in type(section).model_fields}
    return {
        name: _tree(value) if isinstance(value, Section) else copy.deepcopy(value) if isinstance(value, dict) else value
        for name, value in values.items()
    }


def _plain(value: object) -> object:
    """A value as a config file could hold it, from a path, a tuple, or a numpy number."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Momentum):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _flatten(section: Section, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            yield from ((f"{prefix}{name}.{key}", each) for key, each in value.items())
        else:
            yield f"{prefix}{name}", value

"""A strict reader for the small part of YAML that a config needs, remembering where each value stands.

PyYAML scans; the meaning of what it scans is decided here. Anchors, tags and merge keys are refused (a few lines of
them can hang a reader), a key may stand once, `1e-3` is a number, and what other readers quietly turn into something
else (`010`, `.inf`) is a fault.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from hpcli.errors import ConfigError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_VALUES = 10_000

Tree = dict[str, Any]
"""Plain values by key, as YAML and JSON hold them."""
Path = tuple[str | int, ...]
"""Where a value stands in the tree: the keys (and list positions) that lead to it."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.?(inf|nan)", re.IGNORECASE)
_READ_DIFFERENTLY = re.compile("[\t\ufeff?|>]")  # libyaml takes some of what YAML forbids
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+(\.[0-9]*)?")


@dataclass(frozen=True)
class Document:
    """A config as read: the plain tree, and for every key `file:line:column` and the place of its value."""

    tree: Tree
    where: dict[Path, str] = field(default_factory=dict)
    spans: dict[Path, tuple[int, int]] = field(default_factory=dict)  # where each value's text starts and ends


def read_document(text: str, source: str) -> Document:
    """Read a whole config; `source` names it in errors.

    Raises:
        ConfigError: every fault found, each as `source:line:column: what`.
    """
    reader, tree = _read(text, source)
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{source}:1:1: a config is a mapping of sections, such as `train: {{epochs: 10}}`")
    return Document(tree, reader.where, reader.spans)


def read_value(text: str, source: str) -> Any:
    """Read one value as it would be written in a config, for `--set KEY=VALUE`."""
    return _read(text, source, locate=False)[1]


def _read(text: str, source: str, *, locate: bool = True) -> tuple[_Reader, Any]:
    """By libyaml, twenty times as fast, where both agree; the rest by PyYAML, which says better what is wrong."""
    if yaml.__with_libyaml__ and not _READ_DIFFERENTLY.search(text):
        with contextlib.suppress(ConfigError):
            reader = _Reader(text, source, yaml.CSafeLoader, locate=locate)
            return reader, reader.read()
    reader = _Reader(text, source, yaml.SafeLoader, locate=locate)
    return reader, reader.read()


class _Reader:
    """Builds a plain tree from PyYAML's events."""

    def __init__(self, text: str, source: str, loader: Any, *, locate: bool) -> None:
        self.source = source
        self.locate = locate
        self.where: dict[Path, str] = {}
        self.spans: dict[Path, tuple[int, int]] = {}
        self.faults: list[str] = []
        self.values = 0
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)

    def read(self) -> Any:
        """The file's one document."""
        try:
            tree = self._documents()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise ConfigError(f"{self._at(mark)}: not YAML: {error.problem or error.context}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{self.source}: not YAML: {' '.join(str(error).split())[:120]}") from None
        if self.faults:
            raise ConfigError(*self.faults)
        return tree

    def _documents(self) -> Any:
        tree: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(event, "a second document starts here; a config is one document")
                tree = self._node(next(self.events), ())
        return tree

    def _node(self, event: yaml.Event, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_VALUES:
            self._stop(event, f"more than {MAX_VALUES} values; this is not a config")
        if len(path) > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._stop(event, "anchors and aliases (&, *) are not supported; write the value out")
        if getattr(event, "tag", None):
            self._stop(event, "tags (!) are not supported; write the plain value")
        assert event.start_mark is not None and event.end_mark is not None
        self.spans[path] = (event.start_mark.index, event.end_mark.index)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, yaml.ScalarEvent)
        return self._scalar(event)

    def _mapping(self, path: Path) -> Tree:
        result: Tree = {}
        for event in iter(lambda: next(self.events), None):
            if isinstance(event, yaml.MappingEndEvent):
                self._end(event, path)
                break
            if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
                self._stop(event, "a key must be a plain name")
            key: str = event.value
            if key == "<<":
                self._stop(event, "merge keys (<<) are not supported; write the keys out")
            if key in result:
                self._fault(event, f"{'.'.join(map(str, (*path, key)))}: given twice; keep one")
            self.where.setdefault((*path, key), self._at(event.start_mark))
            result[key] = self._node(next(self.events), (*path, key))
        return result

    def _sequence(self, path: Path) -> list[Any]:
        result: list[Any] = []
        for event in iter(lambda: next(self.events), None):
            if isinstance(event, yaml.SequenceEndEvent):
                self._end(event, path)
                break
            self.where[(*path, len(result))] = self._at(event.start_mark)
            result.append(self._node(event, (*path, len(result))))
        return result

    def _end(self, event: yaml.Event, path: Path) -> None:
        """The span of a list or mapping in brackets goes to the last of them; the end of a block has no mark."""
        assert event.start_mark is not None and event.end_mark is not None
        if event.end_mark.index > event.start_mark.index:
            self.spans[path] = (self.spans[path][0], event.end_mark.index)

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        if event.style:
            return text
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return text.lower() == "true"
        if _LEADING_ZERO.fullmatch(text):
            self._fault(event, f"{text}: a leading zero is read differently by different programs; write it without")
        elif _NOT_FINITE.fullmatch(text):
            self._fault(event, f"{text}: must be a finite number")
        elif _NUMBER.fullmatch(text):
            return self._number(event, text)
        return text

    def _number(self, event: yaml.Event, text: str) -> int | float | None:
        if len(text) <= 40:
            number = int(text) if _INTEGER.fullmatch(text) else float(text)
            if abs(number) <= 1e300:
                return number
        self._fault(event, f"{text[:40]}: too large a number")
        return None

    def _at(self, mark: Any) -> str:
        if not self.locate or mark is None:
            return self.source
        return f"{self.source}:{mark.line + 1}:{mark.column + 1}"

    def _fault(self, event: yaml.Event, problem: str) -> None:
        self.faults.append(f"{self._at(event.start_mark)}: {problem}")

    def _stop(self, event: yaml.Event, problem: str) -> NoReturn:
        raise ConfigError(*self.faults, f"{self._at(event.start_mark)}: {problem}")

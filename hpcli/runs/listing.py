"""The runs in a folder: found, filtered, put in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from hpcli.commands import COMMANDS
from hpcli.config.keys import fields, meant_by, read_text, scope_of
from hpcli.config.varying import written
from hpcli.errors import ConfigError, UsageError, did_you_mean
from hpcli.runs.differing import Values, is_used, shared, short_name, values_of
from hpcli.runs.glance import Glance, glance, is_run
from hpcli.states import RunStatus

DEEPEST = 4
"""Folders below the one that is listed in which runs are looked for."""


class Order(StrEnum):
    """What runs are put in order by."""

    AGE = "age"
    """The newest first."""
    NAME = "name"
    COMMAND = "command"
    STATUS = "status"
    LOSS = "loss"
    """The lowest first."""
    ACCURACY = "accuracy"
    """The highest first."""
    DURATION = "duration"
    """The longest first."""


@dataclass(frozen=True)
class Listing:
    """The runs in a folder."""

    folder: Path
    runs: tuple[Glance, ...]
    found: int  # runs in the folder, also those that a filter left out

    @cached_property
    def shared(self) -> Values:
        """What differs from the defaults in all of them alike."""
        return shared([(run.module, run.differs) for run in self.runs if run.config is not None])

    def own(self, run: Glance) -> Values:
        """What differs from the defaults in a run, but not in all of them alike."""
        return {key: value for key, value in run.differs.items() if key not in self.shared}


def list_runs(folder: Path, *, filters: Sequence[str] = (), sort: str = Order.AGE) -> Listing:
    """The runs in a folder and in folders within it, but not those within a run, unless the folder is that run.

    Args:
        folder: where to look.
        filters: `command=train`, `status=crashed`, `model.name=resnet56`, or a part of a name; a run meets all of them.
        sort: an `Order`, or a key of the config.

    Raises:
        UsageError: there is no such folder, or a filter or order that means nothing.
    """
    if not folder.is_dir():
        why = "not a folder" if folder.exists() else "no such folder"
        raise UsageError(f"{folder}: {why}; name a folder that runs are in (without one it is runs/)")
    tests = [_test(text) for text in filters]
    by = _order(sort)
    try:
        paths = list(_paths(folder))
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}; name another folder") from None
    if not paths and is_run(folder):
        paths = [folder]
    found = [glance(path, os.path.relpath(path, folder) if path != folder else path.absolute().name) for path in paths]
    kept = [run for run in found if all(test(run) for test in tests)]
    return Listing(folder, tuple(sorted(sorted(kept, key=lambda run: run.name), key=by)), len(found))


def _paths(folder: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """The run folders in a folder; links are not followed: `latest` is no run of its own."""
    with os.scandir(folder) as entries:  # names and kinds in one reading, of folders with many files too
        inner = [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False) and each.name[0] != "."]
    for path in inner:
        if is_run(path):
            yield path
        elif depth > 1:
            try:
                yield from _paths(path, depth - 1)
            except OSError:  # somebody else's folder, or one that has just gone
                continue


def _test(text: str) -> Callable[[Glance], bool]:
    """What a filter asks of a run.

    Raises:
        UsageError: it asks for a status, a command or a key that there is not.
    """
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not equals:
        return lambda run: text in run.name
    if name == Order.NAME:
        return lambda run: value in run.name
    if name == Order.STATUS:
        _check(text, value, RunStatus)
        return lambda run: run.status == value
    if name == Order.COMMAND:
        _check(text, value, COMMANDS)
        return lambda run: run.command == value
    key = _key(name, f"--filter {text}")
    asked = {value, written(read_text(key, value))}
    return lambda run: run.config is not None and written(_value(run, key)) in asked


def _check(text: str, value: str, known: Iterable[str]) -> None:
    if value not in list(known):
        raise UsageError(f"--filter {text}: {did_you_mean(value, known)}")


def _order(sort: str) -> Callable[[Glance], tuple[bool, float, str]]:
    """How a run is placed: what has no such number or text comes last.

    Raises:
        UsageError: neither an order nor a key.
    """
    orders: dict[str, Callable[[Glance], object]] = {
        Order.AGE: lambda run: -run.updated,
        Order.LOSS: lambda run: run.loss,
        Order.ACCURACY: lambda run: None if run.accuracy is None else -run.accuracy,
        Order.DURATION: lambda run: None if run.seconds is None else -run.seconds,
        Order.NAME: lambda run: run.name.casefold(),
        Order.COMMAND: lambda run: run.command,
        Order.STATUS: lambda run: str(run.status),
    }
    own = orders.get(sort)
    if own is None:
        key = _key(sort, f"--sort {sort}", also=list(Order))
        own = lambda run: None if run.config is None else _value(run, key)  # noqa: E731
    placed = own

    def place(run: Glance) -> tuple[bool, float, str]:
        """Where a run comes: numbers, then words, then what has no value."""
        value = placed(run)
        if isinstance(value, int | float):
            return False, float(value), ""
        return value is None, 0.0, "" if value is None else written(value)

    return place


def _key(name: str, where: str, also: Sequence[str] = ()) -> str:
    """A key of the config, by its full name, or as a list calls it: `wd`, `model`, `max_lr`, `epochs`.

    Raises:
        UsageError: no such key, or several.
    """
    known = [key for key, _ in fields()]
    ends = [key for key in known if name in (short_name(key), key.rpartition(".")[2])]
    of_runs = [key for key in ends if is_used(key, "train")]
    (key,) = of_runs if len(of_runs) == 1 else ends if len(ends) == 1 else [name]
    try:
        scope_of(key)
    except ConfigError:
        meant = meant_by(name) if ends else did_you_mean(name, [*also, *known], all_by="hpcli keys")
        raise UsageError(f"{where}: {meant}") from None
    return key


def _value(run: Glance, key: str) -> object:
    """A key's value in a run's config; of a key within one that is open, such as model.options.num_blocks, that."""
    assert run.config is not None
    values = values_of(run.config)
    if key in values:
        return values[key]
    outer, _, inner = key.rpartition(".")
    held = values.get(outer)
    return held.get(inner) if isinstance(held, dict) else None


def records(listing: Listing) -> list[dict[str, object]]:
    """The runs in plain values, for programs: what differs from the defaults by full key."""
    return [
        {
            "name": run.name,
            "path": str(run.path),
            "command": run.command,
            "status": run.status,
            "fault": run.fault or None,
            "loss": run.loss,
            "accuracy": run.accuracy,
            "result": dict(run.facts),
            "updated": datetime.fromtimestamp(run.updated).astimezone().isoformat(timespec="seconds"),
            "seconds": run.seconds,
            "differs": dict(run.differs),
        }
        for run in listing.runs
    ]


def rows(listing: Listing) -> list[dict[str, object]]:
    """The runs as rows of a table: the results, and every key that differs somewhere, in columns of their own."""
    keys = list(dict.fromkeys(key for run in listing.runs for key in run.differs))
    found = []
    for run, record in zip(listing.runs, records(listing), strict=True):
        record.pop("differs")
        values = {} if run.config is None else values_of(run.config)
        found.append({**record, **{key: values.get(key) for key in keys}})
    return found

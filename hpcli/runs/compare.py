"""Runs compared: read, put together by what they were measured on and by setting, and judged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from hpcli.config.keys import find_field
from hpcli.config.scope import NOT_RESULTS, Scope
from hpcli.errors import HpcliError, UsageError, listed
from hpcli.recording.folder import MOVES, Folder, no_run
from hpcli.recording.recorder import Rows
from hpcli.recording.rows import columns
from hpcli.results.data import DataFacts
from hpcli.results.train import Epoch
from hpcli.runs.comparison import IMAGES, Comparison, Setting, Trained, differing_keys
from hpcli.runs.differing import setting_text, short_names, values_of
from hpcli.runs.glance import Glance, glance, is_run
from hpcli.runs.judging import judged_settings
from hpcli.runs.page import is_page, page_runs

TRAIN = "train"
Look = tuple[Glance, Rows]
"""A run at a glance, and its tables: a folder's, or those that a page holds."""


class HasPath(Protocol):
    """A run that has been opened."""

    @property
    def path(self) -> Path:
        """Its folder."""


def compare(runs: Sequence[HasPath | Path | str], *, matters: float = 0.01, look: int = 1) -> Comparison:
    """Compare runs. What cannot be compared is said, and is no error.

    Training runs on the same validation images are put together by setting: all but the seed is equal. Those that are
    equally long and over are judged as the trials of a sweep are, where two settings have two seeds at least.

    Args:
        runs: run folders, opened runs, or pages of `hpcli report`, which hold one run or several.
        matters: the difference worth knowing, as a share of the lowest mean loss.
        look: how often these runs have been judged, this time included.

    Raises:
        UsageError: fewer than two, or a path where nothing is.
    """
    paths = [Path(run) if isinstance(run, str | Path) else run.path for run in runs]
    for path in paths:
        if not path.exists():
            raise no_run(path, "status.json")
    read, apart = _read_all(list({path.resolve(): path for path in reversed(paths)}.values())[::-1])
    if len(read) + len(apart) < 2:
        raise UsageError("compare: takes two runs at least; hpcli compare runs/* compares all in a folder")
    looks = [look for look, _ in read]
    trained, more = _trained([(look, rows) for look, rows in read if look.command == TRAIN])
    shown = {id(run.glance) for run in trained} | more.keys()
    apart += [(each.name, more[id(each)]) for each in looks if id(each) in more]
    others: dict[str, tuple[Glance, ...]] = {}
    for each in looks:
        if id(each) not in shown:
            others[str(each.command)] = (*others.get(str(each.command), ()), each)
    settings, notes = _settings(trained)
    found = (
        judged_settings(settings, chance=trained[0].data.chance_loss(), matters=matters, look=look) if trained else None
    )
    return Comparison(tuple(trained), tuple(settings), others, tuple(apart), found, tuple(notes))


def _read_all(paths: Sequence[Path]) -> tuple[list[Look], list[tuple[str, str]]]:
    """A look at each run, those that a report's page holds among them; and what is none, or is damaged."""
    found: list[Look] = []
    apart: list[tuple[str, str]] = []
    for path, name in names_of(paths).items():
        if is_run(path):
            found.append((glance(path, name), Folder(path)))
        elif path.is_file() and is_page(path):
            try:
                found += page_runs(path)
            except HpcliError as error:
                apart.append((name, str(error)))
        else:
            apart.append((name, "not a run folder"))
    found = _told_apart(found)
    apart += [(look.name, look.fault) for look, _ in found if look.fault]
    return [(look, rows) for look, rows in found if not look.fault], apart


def _told_apart(found: Sequence[Look]) -> list[Look]:
    """Runs of a page that are called like others get the page's name before theirs."""
    counts = Counter(look.name for look, _ in found)
    return [
        (replace(look, name=f"{look.path.name}:{look.name}"), rows)
        if counts[look.name] > 1 and look.path.is_file()
        else (look, rows)
        for look, rows in found
    ]


def names_of(paths: Sequence[Path]) -> dict[Path, str]:
    """What runs are called: by their folders, or, where two have the same, by their paths."""
    counts = Counter(path.absolute().name for path in paths)
    return {path: name if counts[name := path.absolute().name] == 1 else str(path) for path in paths}


def _trained(looks: Sequence[Look]) -> tuple[list[Trained], dict[int, str]]:
    """Training runs on the data that most have, and, by the identity of its look, why another is not among them."""
    read: list[Trained] = []
    apart: dict[int, str] = {}
    for look, rows in looks:
        try:
            read.append(_read(look, rows))
        except HpcliError as error:
            apart[id(look)] = str(error)
    if len(read) < 2:
        return [], apart
    first = _most([_data_of(run) for run in read])
    kept = [run for run in read if _data_of(run) == first]
    if len(kept) < 2:
        apart |= {id(run.glance): _other_data(run, kept[0]) for run in read if run not in kept}
        return [], apart
    for run in read:
        if _data_of(run) != first:
            apart[id(run.glance)] = _other_data(run, kept[0])
    length = _most([run.length for run in kept])
    return [_placed(run, length) for run in kept], apart


def _most(each: Sequence[tuple[object, ...]]) -> tuple[object, ...]:
    """What most have; of several that as many have the first."""
    return Counter(each).most_common(1)[0][0]


def _read(look: Glance, rows: Rows) -> Trained:
    """A training run, from its tables.

    Raises:
        CheckpointError: one of them is damaged.
    """
    assert look.config is not None
    data = DataFacts.from_rows(rows)
    values = {key: value for key, value in values_of(look.config).items() if _makes_a_setting(key)}
    images = next((part.sha256 for part in data.parts if part.part == TRAIN), None)
    return Trained(look, look.config.seed, {**values, IMAGES: images}, data, columns(Epoch, rows.rows(Epoch)))


def _makes_a_setting(key: str) -> bool:
    """Whether runs that differ in a key are of different settings."""
    field = find_field(key)
    marks = field.metadata if field else []
    (scope,) = (each for each in marks if isinstance(each, Scope))
    return bool(scope & Scope.RUN) and not scope & Scope.REPEAT and NOT_RESULTS not in marks and key != MOVES


def _data_of(run: Trained) -> tuple[object, ...]:
    """What a validation loss is measured on: the classes, and the images by their hash."""
    return run.data.names, next((part.sha256 for part in run.data.parts if part.part == "valid"), None)


def _other_data(run: Trained, kept: Trained) -> str:
    if not run.data.names:
        return "it does not say what it was trained on (no classes.csv)"
    if run.data.names != kept.data.names:
        return f"other classes ({len(run.data.names)}, not {len(kept.data.names)}, or of other names)"
    return "measured on other validation images"


def _placed(run: Trained, length: tuple[object, ...]) -> Trained:
    """The run, with the reason why it is not judged with those of this length."""
    why, epochs = "", run.length[0]
    if run.length != length:
        why = f"{epochs} epochs, not {length[0]}" if epochs != length[0] else "another length"
    elif not run.glance.status.is_over or math.isnan(run.loss):
        why = str(run.glance.status)
    return replace(run, why_not=why)


def _settings(trained: Sequence[Trained]) -> tuple[list[Setting], list[str]]:
    """Runs that are judged by setting, the lowest mean first; and what is to be said of runs that are there twice."""
    judged = [run for run in trained if not run.why_not]
    keys = differing_keys([run.values for run in judged])
    groups: dict[str, dict[int, list[Trained]]] = {}
    for run in judged:
        setting = repr([run.values[key] for key in keys])
        groups.setdefault(setting, {}).setdefault(run.seed, []).append(run)
    notes = [_twice(own) for group in groups.values() for own in group.values() if len(own) > 1]
    names = short_names(keys)
    found: list[Setting] = []
    for group in groups.values():
        runs = tuple(group[seed][0] for seed in sorted(group))
        values = {key: runs[0].values[key] for key in keys}
        name = setting_text(values, names) or "all alike"
        taken = sum(each.name == name for each in found)
        found.append(Setting(f"{name} ({taken + 1})" if taken else name, values, runs))
    return sorted(found, key=lambda each: each.mean), notes


def _twice(runs: Sequence[Trained]) -> str:
    """What is said of runs that have one setting and one seed."""
    names = listed([run.glance.name for run in runs[1:]])
    alike = "the same loss" if len({run.loss for run in runs}) == 1 else "another loss"
    return f"{runs[0].glance.name} is counted, and not {names}: one setting and seed, and {alike}"

"""Runs side by side as tables of the terminal, and in plain values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from hpcli.results.facts import Facts, time_text
from hpcli.results.foreign_runs import Value
from hpcli.runs.differing import short_names, value_text
from hpcli.runs.judging import in_words, value_of
from hpcli.states import Judgement
from hpcli.views.cells import clipped, facts_text, share

if TYPE_CHECKING:
    from hpcli.results import Summary
    from hpcli.runs.comparison import Comparison, Setting, Trained

NAME, VALUE = 32, 24
"""Cells of a run's name, and of a key's value, at most."""


def all_tables(compared: Comparison, width: int) -> list[Table]:
    """Settings, where there is more than one; training runs; the runs of other commands.

    Args:
        compared: any runs.
        width: of the terminal, in cells.
    """
    settings = [setting_table(compared)] if len(compared.settings) > 1 else []
    return [*settings, *(run_tables(compared, width) if compared.trained else []), *other_tables(compared)]


def setting_table(compared: Comparison) -> Table:
    """A row a setting, the lowest mean loss first: the mean with its standard error, and what is judged of it."""
    table = _table("setting", "runs", "loss", "accuracy", *(["above the best", "verdict"] if compared.found else []))
    judged = _judged(compared)
    for each in compared.settings:
        line = judged.get(value_of(each), {})
        said = [_interval(line), str(line.get("verdict", "one seed"))] if compared.found else []
        table.add_row(
            Text(clipped(each.name, 2 * NAME)), str(len(each.runs)), _with_error(each), share(each.accuracy), *said
        )
    return table


def run_tables(compared: Comparison, width: int) -> list[Table]:
    """A row a run, a column a key in which runs differ; keys that do not fit beside the others stand in more tables.

    Args:
        compared: of two training runs at least.
        width: of the terminal, in cells.
    """
    names = short_names(compared.keys)
    runs = _in_order(compared)
    labels = [Text(clipped(run.glance.name, NAME)) for run in runs]
    columns = {names[key]: [clipped(value_text(key, run.values[key]), VALUE) for run in runs] for key in compared.keys}
    columns |= {
        "seed": [str(run.seed) for run in runs],
        "loss": [_loss(run) for run in runs],
        "accuracy": [share(run.glance.accuracy) for run in runs],
        "lowest": [_lowest(run) for run in runs],
        "trained": ["" if _is_whole(run) else f"{len(run.epochs['epoch'])} epochs" for run in runs],
        "took": [time_text(run.glance.seconds) for run in runs],
        "not judged": [run.why_not for run in runs],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    return [
        _of_columns(labels, {name: shown[name] for name in part})
        for part in _parts(shown, width - max(cell_len(label.plain) for label in labels))
    ]


def other_tables(compared: Comparison) -> list[Table]:
    """For each other command its runs by their main facts."""
    tables = []
    for command, runs in compared.others.items():
        table = _table(command, "status", "result")
        for run in runs:
            table.add_row(Text(clipped(run.name, NAME)), str(run.status), Text(facts_text(run.facts)))
        tables.append(table)
    return tables


def said(compared: Comparison) -> list[str]:
    """The lines under the tables."""
    alone = [f"{runs[0].name} ({command})" for command, runs in compared.others.items() if len(runs) == 1]
    said = [*compared.notes]
    said += [f"compared with none, the only run of its command: {', '.join(alone)}"] if alone else []
    return said + [f"left out: {name}: {why}" for name, why in compared.apart]


def summary(compared: Comparison) -> Summary:
    """All of it in plain values: settings, runs, a table key × run, what else there is."""
    judged = _judged(compared)
    return {
        "command": "compare",
        "sentence": in_words(compared) or None,
        "settings": [_plain_setting(each, judged.get(value_of(each), {})) for each in compared.settings],
        "keys": {key: {run.glance.name: run.values[key] for run in compared.trained} for key in compared.keys},
        "runs": rows(compared),
        "left_out": dict(compared.apart),
    }


def rows(compared: Comparison) -> list[dict[str, object]]:
    """A row a run, for programs; of training runs the lowest loss first, by setting."""
    settings = {id(run): each.name for each in compared.settings for run in each.runs}
    found: list[dict[str, object]] = [
        {
            "name": run.glance.name,
            "path": str(run.glance.path),
            "command": run.glance.command,
            "status": run.glance.status,
            "setting": settings.get(id(run)),
            "seed": run.seed,
            "loss": run.glance.loss,
            "accuracy": run.glance.accuracy,
            "seconds": run.glance.seconds,
            "not_judged": run.why_not or None,
            **{key: run.values[key] for key in compared.keys},
        }
        for run in _in_order(compared)
    ]
    for command, runs in compared.others.items():
        found += [
            {"name": run.name, "path": str(run.path), "command": command, "status": run.status, "result": run.facts}
            for run in runs
        ]
    return found


def _plain_setting(each: Setting, line: Facts) -> Summary:
    return {
        "name": each.name,
        "values": dict(each.values),
        "runs": [run.glance.name for run in each.runs],
        "seeds": [run.seed for run in each.runs],
        "mean": each.mean if math.isfinite(each.mean) else None,
        "standard_error": each.standard_error,
        "accuracy": each.accuracy,
        **{name: line.get(name) for name in ("difference", "low", "high", "verdict", "candidate")},
    }


def _judged(compared: Comparison) -> dict[Value, Facts]:
    """What a setting is called in the verdict → its line."""
    lines = compared.found.summary()["ranking"] if compared.found else []
    assert isinstance(lines, list)
    return {line["value"]: line for line in lines}


def _in_order(compared: Comparison) -> list[Trained]:
    """Runs by setting, the lowest mean first, then those that are not judged or are there twice."""
    judged = [run for each in compared.settings for run in each.runs]
    known = {id(run) for run in judged}
    return judged + [run for run in compared.trained if id(run) not in known]


def _table(*columns: str) -> Table:
    """An empty table whose first column, and any text, is folded where it does not fit."""
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    for column in columns:
        is_text = column in (columns[0], "result", "verdict", "not judged")
        table.add_column(column, overflow="fold", justify="left" if is_text else "right", no_wrap=not is_text)
    return table


def _of_columns(labels: list[Text], columns: dict[str, list[str]]) -> Table:
    table = _table("run", *columns)
    for label, *cells in zip(labels, *columns.values(), strict=True):
        table.add_row(label, *map(Text, cells))
    return table


def _parts(columns: dict[str, list[str]], width: int) -> list[list[str]]:
    """The names of columns, divided so that each part fits."""
    parts: list[list[str]] = [[]]
    room = width
    for name, cells in columns.items():
        needs = 1 + max(cell_len(text) for text in (name, *cells))
        if parts[-1] and needs > room:
            parts, room = [*parts, []], width
        parts[-1].append(name)
        room -= needs
    return parts


def _with_error(each: Setting) -> str:
    error = each.standard_error
    if not math.isfinite(each.mean):
        return "-"
    if error is None:
        return f"{each.mean:.4g}"
    decimals = 3 if error == 0 else max(0, 1 - math.floor(math.log10(error)))
    return f"{each.mean:.{decimals}f} ± {error:.{decimals}f}"


def _interval(line: Facts) -> str:
    difference, low, high = (line.get(name) for name in ("difference", "low", "high"))
    if not isinstance(difference, float) or line.get("verdict") == Judgement.BEST:
        return ""
    return f"{difference:+.2g} [{low:.2g}, {high:.2g}]" if low is not None else f"{difference:+.2g}"


def _loss(run: Trained) -> str:
    return f"{run.glance.loss:.4g}" if run.glance.loss is not None else "-"


def _is_whole(run: Trained) -> bool:
    """Whether a run has trained for as long as it was asked to."""
    return len(run.epochs["epoch"]) == run.values["train.epochs"]


def _lowest(run: Trained) -> str:
    """The lowest validation loss, and after which epoch."""
    losses = run.epochs["valid_loss"]
    if not np.isfinite(losses).any():
        return ""
    at = int(np.nanargmin(losses))
    return f"{losses[at]:.4g} at {at + 1}"

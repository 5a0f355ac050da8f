"""A summary as a person reads it on a terminal: facts in two columns, and a table where values are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpcli.config.varying import JOINED, written
from hpcli.states import Judgement

Facts = Mapping[str, object]
"""Names and plain values, as in `summary.json`."""
HIDDEN = (
    "command",
    "run_dir",
    "status",
    "sentence",
    "refusal",
    "weight_norms",
    "decay_pairs",
    "choice_reason",
    "seeds_for_matters",
    "level",
    "extend",
    "best",
    "endpoints",
)
"""What a summary holds for programs; a person reads it elsewhere or not at all."""


_CONTROLS = {
    code: repr(chr(code))[1:-1] for code in (*range(9), *range(11, 32), *range(0x7F, 0xA0), *range(0xD800, 0xE000))
}
"""Characters that a terminal would obey, halves of characters, and how they are shown. A line end is a line end."""


def plain(text: object) -> str:
    """Text without characters that a terminal would obey: a file may be named by an escape sequence."""
    return str(text).translate(_CONTROLS)


def shown_facts(summary: Facts, *, every: bool = True) -> Facts:
    """What of a summary is for people: every number, or the tables of what is compared alone."""
    if not every:
        return {name: value for name, value in shown_facts(summary).items() if _is_table(value)}
    shown = {name: value for name, value in summary.items() if name not in HIDDEN and value not in ([], {})}
    ranking = shown.get("ranking")
    return shown if not _is_table(ranking) else {**shown, "ranking": [_ranked(line) for line in ranking]}


def fact_tables(title: str, facts: Facts) -> list[Table]:
    """Facts in two columns; lists of facts as tables of their own, under them."""
    table = Table(title=escape(plain(title)), title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    tables = [table]
    for name, value in facts.items():
        if _is_table(value):
            tables.append(_columns(value))
        else:
            table.add_row(name.replace("_", " "), Text(_readable(name, value)))
    return tables


def _is_table(value: object) -> TypeGuard[list[Facts]]:
    return isinstance(value, list) and bool(value) and all(isinstance(line, dict) for line in value)


def _columns(lines: Sequence[Facts]) -> Table:
    """Lines of the same facts, one under the other; a column that is empty throughout is left out."""
    table = Table(box=None, header_style="dim")
    names = [name for name in lines[0] if any(line[name] is not None for line in lines)]
    for name in names:
        table.add_column(name, no_wrap=True, justify="left" if isinstance(lines[0][name], str) else "right")
    for line in lines:
        table.add_row(*(Text(_readable(name, line[name])) for name in names))
    return table


def _ranked(line: Facts) -> Facts:
    """A value of a sweep as a person compares it with the best."""
    is_best = line["verdict"] == Judgement.BEST
    value, decayed = line["value"], line.get("decay_budget")
    return {
        "value": JOINED.join(written(each) for each in (value if isinstance(value, list) else [value])),
        "runs": line.get("runs"),
        "mean": line.get("mean"),
        "valid loss": line.get("mean_valid_loss"),
        "accuracy": line.get("mean_valid_accuracy"),
        "above the best": "" if is_best else _difference(line["difference"], line["low"], line["high"]),
        "verdict": f"{line['verdict']}, unstable" if line["unstable"] else line["verdict"],
        "best?": "" if is_best else _may_be_best(line),
        "decay": f"{decayed:.2%}" if isinstance(decayed, float) else None,
        "s a run": line.get("mean_seconds") if decayed is None else None,
    }


def _may_be_best(line: Facts) -> str:
    if line["verdict"] == Judgement.EQUAL:
        return "as good"
    return "maybe" if line["candidate"] else "no"


def _difference(difference: object, low: object, high: object) -> str:
    if not isinstance(difference, float):
        return ""
    interval = f" [{low:.2g}, {high:.2g}]" if isinstance(low, float) and isinstance(high, float) else ""
    return f"{difference:+.2g}{interval}"


def _readable(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{plain(key)} {_readable(str(key), each)}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(_readable(name, each) for each in value)
    if isinstance(value, float) and name.endswith(("accuracy", "top5")):
        return f"{value:.1%}"
    return f"{value:.4g}" if isinstance(value, float) else plain(value)

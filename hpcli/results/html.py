"""A result in a notebook: its sentence, under it its main numbers, and its table for pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, ClassVar, Protocol

from hpcli.recording.rows import Row
from hpcli.results.facts import columns_of, diagnosis_lines, is_table, plain, readable, shown_facts
from hpcli.results.frame import framed
from hpcli.states import RunStatus

if TYPE_CHECKING:
    from pandas import DataFrame


class Result(Protocol):
    """What a run came to."""

    @property
    def status(self) -> RunStatus:
        """How it ended."""

    def summary(self) -> Mapping[str, object]:
        """The result in plain values."""


class InNotebook:
    """Gives a result the look that notebooks ask for, and its main table to pandas.

    A subclass names the field that holds the table, `class SweepResult(InNotebook, frame="trials")`; where that has
    columns of numbers alone, also the rows that they come from.
    """

    _frame: ClassVar[str]
    _row: ClassVar[type[Row] | None]

    def __init_subclass__(cls, *, frame: str, row: type[Row] | None = None) -> None:
        cls._frame, cls._row = frame, row

    def frame(self) -> DataFrame:
        """The main table: an epoch, a trial, a point or a class a row, with the columns of the run folder's CSV.

        Raises:
            UsageError: pandas is not installed.
        """
        return framed(getattr(self, self._frame), self._row)

    def _repr_html_(self: Result) -> str:
        return html_of(self.summary(), status=self.status)


def html_of(summary: Mapping[str, object], *, status: str) -> str:
    """The sentence of a summary, or how the run ended, and its facts as tables; all text is escaped."""
    parts = [f"<p><b>{_text(summary.get('sentence', status))}</b></p>"]
    if status != RunStatus.FINISHED and "sentence" in summary:
        parts.append(f"<p>{_text(status)}</p>")
    parts += [f"<p>{_text(line)}</p>" for line in diagnosis_lines(summary)]
    shown = shown_facts(summary)
    single = {name: value for name, value in shown.items() if value is not None and not is_table(value)}
    for lines in filter(is_table, shown.values()):
        names = columns_of(lines)
        parts.append(_table(names, [[readable(name, line[name]) for name in names] for line in lines]))
    parts.append(_table([], [[name.replace("_", " "), readable(name, value)] for name, value in single.items()]))
    return "".join(parts)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    lines = ["".join(f"<td>{_text(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in ([head] if names else []) + lines)
    return f"<table>{body}</table>" if body else ""


def _text(text: object) -> str:
    return escape(plain(text))

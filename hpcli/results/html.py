"""A result in a notebook: its sentence, and under it its main numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Protocol

from hpcli.results.facts import columns_of, diagnosis_lines, is_table, plain, readable, shown_facts
from hpcli.states import RunStatus


class Result(Protocol):
    """What a run came to."""

    @property
    def status(self) -> RunStatus:
        """How it ended."""

    def summary(self) -> Mapping[str, object]:
        """The result in plain values."""


class InNotebook:
    """Gives a result the look that notebooks ask for."""

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

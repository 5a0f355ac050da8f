"""An experiment's only door outwards: rows, states, and whether to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpcli.config import Config

Row = Mapping[str, int | float | str | None]
State = dict[str, Any]
"""Tensors and plain types."""
Columns = dict[str, NDArray[Any]]
"""A table by column: name → [rows]."""


@dataclass(frozen=True)
class Progress:
    """How far an experiment is; passed to `on_progress`."""

    done: int
    total: int
    loss: float | None = None
    metrics: Row | None = None  # at the end of an epoch: its row of metrics.csv
    line: str | None = None  # something to say


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Progress that nobody watches."""


class Store(Protocol):
    """Where an experiment's rows and states go. On disk it is a run folder; by default it is memory."""

    def row(self, table: str, row: Row, *, durable: bool = False) -> None:
        """Add a row to a table; the first row fixes the columns. `durable`: it outlives a power cut on return."""

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table so far, those of an earlier, resumed process included."""

    def due(self, *, ends_epoch: bool) -> bool:
        """Whether it is time to save a state that nobody asked for."""

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Keep a state. One with labels is kept for good, another until newer ones are."""

    def load(self) -> State | None:
        """The newest state, with the tables cut back to where they stood then; None at the start of a run."""

    def should_stop(self) -> bool:
        """Whether somebody asked the experiment to stop after this step."""

    def write(self, table: str, rows: Sequence[Row]) -> None:
        """Replace a table as a whole."""

    def trial(self, key: str, config: Config) -> AbstractContextManager[TrialStore]:
        """Where a trial's own rows and states go, by its key: the same as before, if there has been one."""


class TrialStore(Store, Protocol):
    """A trial's own door: a run within an experiment."""

    @property
    def summary(self) -> dict[str, Any] | None:
        """What the trial came to; None: it is not finished."""

    def finish(self, status: str, summary: Mapping[str, Any]) -> dict[str, Any]:
        """The trial is over: keep its summary."""


@dataclass
class MemoryStore:
    """Keeps rows, and the states that have labels, in memory. Nothing is written."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    trials: dict[str, MemoryStore] = field(default_factory=dict)
    summary: dict[str, Any] | None = None

    def row(self, table: str, row: Row, *, durable: bool = False) -> None:
        """Add a row to a table."""
        self.tables.setdefault(table, []).append(dict(row))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table."""
        return self.tables.get(table, [])

    def due(self, *, ends_epoch: bool) -> bool:
        """Never: memory does not crash."""
        return False

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Keep the state under each of its labels."""
        self.states.update(dict.fromkeys(labels, state))

    def load(self) -> State | None:
        """Nothing: a notebook's run starts at the start."""
        return None

    def should_stop(self) -> bool:
        """Never."""
        return False

    def write(self, table: str, rows: Sequence[Row]) -> None:
        """Replace a table."""
        self.tables[table] = [dict(row) for row in rows]

    def trial(self, key: str, config: Config) -> AbstractContextManager[MemoryStore]:
        """A store of the trial's own."""
        return nullcontext(self.trials.setdefault(key, MemoryStore()))

    def finish(self, status: str, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the summary, unless there is something to go on with."""
        full = {"status": status, **summary}
        self.summary = None if status == "interrupted" else full
        return full


def columns(rows: Sequence[Row]) -> Columns:
    """Rows turned into one array a column; empty for no rows. A missing value is NaN."""
    names = rows[0].keys() if rows else ()
    return {name: np.array([np.nan if row[name] is None else row[name] for row in rows]) for name in names}

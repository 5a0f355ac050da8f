"""How far an experiment is, told while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpcli.recording.rows import Row


@dataclass(frozen=True)
class Progress:
    """A report, passed to `on_progress`."""

    done: int
    total: int
    loss: float | None = None
    epoch: Row | None = None  # at the end of an epoch: its row of metrics.csv
    line: str | None = None  # something to say


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Ignores a report."""

"""Rows as a TensorBoard log: while a run goes on, through `FanOut`, or afterwards, by `hpcli export tensorboard`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.errors import UsageError
from hpcli.recording.recorder import Arrays
from hpcli.recording.rows import R, Row, columns_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Plain = bool | int | float | str
FLUSH_SECONDS = 10
RESULTS = {f"metrics/{name}": f"result/{name}" for name in ("valid_loss", "valid_accuracy")}
"""Curves whose last points stand on the page of hyper-parameters, and what they are called there."""


class TensorBoard:
    """A log in a folder: a number of a row that has a step is a point of the curve `table/column`.

    Rows of other tables, texts and arrays are passed over, as are numbers that are missing or not finite.
    """

    def __init__(
        self, folder: Path | str, settings: Mapping[str, Plain] | None = None, *, goes_on: bool = False
    ) -> None:
        """Begin a log.

        Args:
            folder: where the event files go, beside any that are there.
            settings: key → value, for the page of hyper-parameters.
            goes_on: of a run that is gone on with: what a log there has from the first step on that is added is hidden.

        Raises:
            UsageError: tensorboard is not installed.
        """
        self._folder, self._goes_on, self._settings = Path(folder), goes_on, dict(settings or {})
        self._make_writer = _writer_class()
        self._writer: SummaryWriter | None = None
        self._results: dict[str, float] = {}

    def add(self, row: Row, *, durable: bool = False) -> None:  # a log has one kind of row
        """Add the points of a row."""
        for tag, step, value in points(row):
            self._begun(step).add_scalar(tag, value, step)
            if tag in RESULTS:
                self._results[RESULTS[tag]] = value

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:  # the rows say what they are
        """Add the points of a table that is written as a whole."""
        for row in rows:
            self.add(row)

    def keep_arrays(self, name: str, arrays: Arrays) -> None:
        """Pass arrays over."""

    def finish(self) -> None:
        """End the log: its settings and what it came to are a line of the page of hyper-parameters."""
        writer = self._begun()
        if self._settings:
            writer.add_hparams(self._settings, self._results, run_name=".")
        writer.close()

    def _begun(self, step: int | None = None) -> SummaryWriter:
        """The writer, which begins with the first point."""
        if self._writer is None:
            purged = step if self._goes_on else None
            self._writer = self._make_writer(str(self._folder), purge_step=purged, flush_secs=FLUSH_SECONDS)
        return self._writer


def points(row: Row) -> list[tuple[str, int, float]]:
    """What a row has to draw: the curve `table/column`, the step, and the value; nothing where it has no step."""
    found = {each.name: getattr(row, each.field) for each in columns_of(type(row)) if each.kind in (int, float)}
    step = found.pop("step", None)
    if step is None:
        return []
    return [
        (f"{type(row).table}/{name}", int(step), float(value))
        for name, value in found.items()
        if value is not None and math.isfinite(value)
    ]


def _writer_class() -> type[SummaryWriter]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError("tensorboard is not installed: pip install 'hpcli[tensorboard]'") from None
    return SummaryWriter

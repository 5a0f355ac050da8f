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
RESULTS = {f"metrics/{name}": f"result/{name}" for name in ("valid_loss", "valid_accuracy")}
"""Curves whose last points stand on the page of hyper-parameters, and what they are called there."""


class TensorBoard:
    """A log in a folder: a number of a row that has a step is a point of the curve `table/column`.

    Rows of other tables, texts and arrays are passed over, as are numbers that are missing or not finite.
    """

    def __init__(self, folder: Path | str, settings: Mapping[str, Plain] | None = None) -> None:
        """Begin a log.

        Args:
            folder: where the event files go, beside any that are there.
            settings: key → value, for the page of hyper-parameters.

        Raises:
            UsageError: tensorboard is not installed.
        """
        self._writer, self._settings = _writer(Path(folder)), dict(settings or {})
        self._results: dict[str, float] = {}

    def add(self, row: Row, *, durable: bool = False) -> None:  # a log has one kind of row
        """Add the points of a row."""
        for tag, step, value in points(row):
            self._writer.add_scalar(tag, value, step)
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
        if self._settings:
            self._writer.add_hparams(self._settings, self._results, run_name=".")
        self._writer.close()


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


def _writer(folder: Path) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError("tensorboard is not installed: pip install 'hpcli[tensorboard]'") from None
    return SummaryWriter(str(folder))

"""Rows as a run of trackio, on this machine: while a run goes on, through `FanOut`, or by `hpcli export trackio`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from hpcli.errors import UsageError
from hpcli.recording.recorder import Arrays
from hpcli.recording.rows import R, Row
from hpcli.recording.tensorboard import Plain, points


class Trackio:
    """A run of a project: a number of a row that has a step is a point of the curve `table/column`.

    Rows of other tables, texts and arrays are passed over, as are numbers that are missing or not finite.
    """

    def __init__(self, project: str, name: str, settings: Mapping[str, Plain] | None = None) -> None:
        """Begin a run.

        Args:
            project: its name; it is made where there is none.
            name: of the run.
            settings: key → value.

        Raises:
            UsageError: trackio is not installed, or the project has a run of that name.
        """
        check_new(project, [name])
        self._trackio = _trackio()
        with _quiet():
            self._run = self._trackio.init(project=project, name=name, config=dict(settings or {}), embed=False)

    def add(self, row: Row, *, durable: bool = False) -> None:  # a run has one kind of row
        """Add the points of a row."""
        found = points(row)
        if found:
            self._run.log({tag: value for tag, _, value in found}, step=found[0][1])

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:  # the rows say what they are
        """Add the points of a table that is written as a whole."""
        for row in rows:
            self.add(row)

    def keep_arrays(self, name: str, arrays: Arrays) -> None:
        """Pass arrays over."""

    def finish(self) -> None:
        """End the run: its points have been written."""
        with _quiet():
            self._trackio.finish()


def check_new(project: str, names: Sequence[str]) -> None:
    """Refuse names that runs of a project have.

    Raises:
        UsageError: the first of them, or trackio is not installed.
    """
    taken = set(_names(_trackio(), project)).intersection(names)
    if taken:
        raise UsageError(f"{project}: has a run {min(taken)} already; delete it, or give another --project")


def _quiet() -> contextlib.redirect_stdout[io.StringIO]:
    """Trackio prints how a run is looked at."""
    return contextlib.redirect_stdout(io.StringIO())


def _names(trackio: Any, project: str) -> list[str]:
    """The runs of a project; none where there is no such project."""
    try:
        return [run.name for run in trackio.Api().runs(project)]
    except ValueError:
        return []


def _trackio() -> Any:
    try:
        import trackio
    except ImportError:
        raise UsageError("trackio is not installed: pip install 'hpcli[trackio]'") from None
    return trackio

"""Results: for each command its tables, its result, and how the result is read from a run folder.

No torch: whatever was computed can be read, judged and drawn again without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self

from hpcli.config import Config
from hpcli.recording.recorder import Record
from hpcli.results.following import Following
from hpcli.states import RunStatus

Summary = dict[str, object]
"""A result in names and plain values, as `summary.json` holds it: derived from the result, never read for it."""


class Result(Protocol):
    """What every experiment's result can do."""

    @property
    def config(self) -> Config | None:
        """What was asked for; None: a trainer that was given was measured."""

    @property
    def status(self) -> RunStatus:
        """How the experiment ended."""

    @property
    def following(self) -> Following | None:
        """The command to go on with; None: this result leads to none."""

    def summary(self) -> Mapping[str, object]:
        """The result in plain values, for `summary.json`."""

    @classmethod
    def from_run(cls, run: Record) -> Self:
        """The result, read from a run."""

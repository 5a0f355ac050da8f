"""The trials of a sweep as its table has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpcli.recording.rows import Row
from hpcli.states import RunStatus


@dataclass(frozen=True)
class SweepTrial(Row, table="sweep"):
    """A trial: one setting, one seed."""

    trial: str  # its key: the name of its folder
    value: str  # the setting's name
    seed: int
    status: RunStatus
    valid_loss: float | None  # that the trial is judged by
    valid_accuracy: float | None
    valid_top5: float | None
    seconds: float | None
    parameter: str  # the key or keys that are swept
    running_loss: float | None  # by BatchNorm's running averages, where the trial is too short for them; else None
    reused: bool  # not trained by the process that wrote this

    @property
    def has_begun(self) -> bool:
        """Whether the trial has trained at all."""
        return self.status not in (RunStatus.WAITING, RunStatus.FAILED)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of the trial: it is over, or it failed."""
        return self.status.is_over or self.status == RunStatus.FAILED

    @property
    def loss(self) -> float:
        """The final validation loss; NaN where the run did not end well."""
        finished = self.status == RunStatus.FINISHED and self.valid_loss is not None
        return self.valid_loss if finished and self.valid_loss is not None else math.nan


def said_of_short(trials: Sequence[SweepTrial]) -> str:
    """What is said of trials that are too short for BatchNorm's running averages."""
    short = sum(trial.running_loss is not None for trial in trials)
    if not short:
        return ""
    which = "The runs" if short == len(trials) else f"{short} of the runs"
    return (
        f" {which} are too short for BatchNorm's running averages, and judged with statistics measured anew "
        f"({trials[0].table}.csv has both)."
    )

"""The chosen value on fresh seeds: the lowest of several means is low by luck too, and a new one is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcli.results.trials import SweepTrial

FIRST_SEED = 200
"""Counted from the config's: beyond those that judge and those that retune."""


@dataclass(frozen=True)
class FreshTrial(SweepTrial, table="sweep_fresh"):
    """A trial of the chosen value with a seed that had no part in the choice."""


@dataclass(frozen=True)
class Fresh:
    """The chosen value's loss on fresh seeds."""

    mean: float  # NaN: none ended well
    error: float | None  # standard error of the mean; None: one seed
    num_seeds: int  # that ended well
    lost: int = 0  # that diverged or failed

    @classmethod
    def of(cls, name: str, trials: Sequence[FreshTrial]) -> Fresh | None:
        """From the trials of the value of this name; None: none has ended."""
        own = [trial.loss for trial in trials if trial.value == name and trial.has_ended]
        losses = np.array([loss for loss in own if math.isfinite(loss)])
        if not losses.size:
            return cls(math.nan, None, 0, len(own)) if own else None
        error = float(losses.std(ddof=1) / math.sqrt(losses.size)) if losses.size > 1 else None
        return cls(float(losses.mean()), error, losses.size, len(own) - losses.size)

    def in_words(self, name: str, in_sweep: float) -> str:
        """The loss to expect of the value.

        Args:
            name: of the value.
            in_sweep: its mean over the seeds that chose it.
        """
        lost = f"{self.lost} of {self.lost + self.num_seeds} runs on fresh seeds diverged or failed"
        if not self.num_seeds:
            return f"With {name} {lost}: do not use it."
        error = "" if self.error is None else f" ± {self.error:.1g}"
        seeds = f"{self.num_seeds} fresh seed{'s' * (self.num_seeds > 1)}"
        ended = f"; {lost}" if self.lost else ""
        return f"On {seeds} {name} has a loss of {self.mean:.3g}{error} ({in_sweep:.3g} on those that chose it){ended}."

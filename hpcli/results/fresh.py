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

    mean: float
    error: float | None  # standard error of the mean; None: one seed
    num_seeds: int

    @classmethod
    def of(cls, name: str, trials: Sequence[FreshTrial]) -> Fresh | None:
        """From the trials of the value of this name that ended well; None: there are none."""
        losses = np.array([trial.loss for trial in trials if trial.value == name and math.isfinite(trial.loss)])
        if not losses.size:
            return None
        error = float(losses.std(ddof=1) / math.sqrt(losses.size)) if losses.size > 1 else None
        return cls(float(losses.mean()), error, losses.size)

    def in_words(self, name: str, in_sweep: float) -> str:
        """The loss to expect of the value.

        Args:
            name: of the value.
            in_sweep: its mean over the seeds that chose it.
        """
        error = "" if self.error is None else f" ± {self.error:.1g}"
        seeds = f"{self.num_seeds} fresh seed{'s' * (self.num_seeds > 1)}"
        return f"On {seeds} {name} has a loss of {self.mean:.3g}{error} ({in_sweep:.3g} on those that chose it)."

"""The tables of `tune`."""

from __future__ import annotations

from dataclasses import dataclass

from hpcli.recording.rows import Row
from hpcli.results.trials import SweepTrial


@dataclass(frozen=True)
class TuneTrial(SweepTrial, table="tune"):
    """A short run of the search."""


@dataclass(frozen=True)
class TuneFresh(SweepTrial, table="tune_fresh"):
    """A short run of the verdict: the present setting or the winner, with a seed that had no part in the search."""


@dataclass(frozen=True)
class TunePlan(Row, table="tune_plan"):
    """What the budget was divided into. The last row counts."""

    runs: int  # short runs in all
    search: int  # of them, those that search
    pairs: int  # of them, twice so many for the verdict
    epochs: int  # of a short run
    steps: int  # of a short run
    range_steps: int  # of the range test
    first_fresh: int  # seed of the verdict
    minutes: float | None  # that the runs were to fit into


@dataclass(frozen=True)
class TuneRange(Row, table="tune_ranges"):
    """A key's range as it was searched."""

    parameter: str
    low: float
    high: float
    why: str
    breaks: bool | None = None  # whether the loss broke at the upper end

"""What a measurement of batch sizes comes to."""

from __future__ import annotations

from dataclasses import dataclass

from hpcli.analysis.throughput import enough
from hpcli.config import Config
from hpcli.recording.recorder import Record, Rows
from hpcli.recording.rows import Row
from hpcli.results import Summary
from hpcli.states import RunStatus


@dataclass(frozen=True)
class BatchSize(Row, table="batch_size"):
    """A batch size, timed."""

    batch_size: int
    images_per_second: float | None  # None: it does not fit
    step_seconds: float | None
    memory_gib: float | None  # of a GPU, at most in use; None on a CPU
    fits: bool  # with some memory to spare


@dataclass(frozen=True)
class BatchSizeResult:
    """Training throughput by batch size, in plain numbers."""

    status: RunStatus
    config: Config
    rows: tuple[BatchSize, ...]  # in the order of measurement

    @classmethod
    def from_rows(cls, config: Config, status: RunStatus, rows: Rows) -> BatchSizeResult:
        """From what a run has recorded so far."""
        return cls(status, config, tuple(rows.rows(BatchSize)))

    @classmethod
    def from_run(cls, run: Record) -> BatchSizeResult:
        """From a run folder, or whatever else can be read like one."""
        return cls.from_rows(run.config, run.status, run)

    @property
    def rates(self) -> dict[int, float]:
        """Images a second of every size that fits, the smallest first."""
        fitting = [each for each in self.rows if each.fits and each.images_per_second is not None]
        return {each.batch_size: each.images_per_second or 0.0 for each in sorted(fitting, key=lambda e: e.batch_size)}

    @property
    def enough(self) -> int:
        """The size from which on throughput stops growing."""
        return enough(list(self.rates), list(self.rates.values()))

    @property
    def largest(self) -> int | None:
        """The largest that fits with a margin; None on a CPU."""
        on_gpu = any(each.memory_gib is not None for each in self.rows)
        return max(self.rates) if on_gpu else None

    def summary(self) -> Summary:
        """The result in plain values."""
        if not self.rates:
            return {}
        fits = "" if self.largest is None else f" The largest that fits is {self.largest}."
        fastest = f"{self.rates[self.enough]:,.0f} images/s"
        return {
            "sentence": f"Throughput stops growing at a batch of {self.enough}, {fastest}.{fits}",
            "enough": self.enough,
            "largest": self.largest,
            "images_per_second": {str(size): rate for size, rate in self.rates.items()},
        }

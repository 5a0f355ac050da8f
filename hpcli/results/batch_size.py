"""What a measurement of batch sizes comes to."""

from __future__ import annotations

from dataclasses import dataclass

from hpcli.analysis.throughput import enough, in_words, is_still_growing
from hpcli.config import Config
from hpcli.recording.recorder import Record, Rows
from hpcli.recording.rows import Row
from hpcli.results import Summary
from hpcli.results.data import DataFacts
from hpcli.results.following import WHY_SIZES, Following
from hpcli.results.html import InNotebook
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
class BatchSizeResult(InNotebook, frame="rows"):
    """Training throughput by batch size, in plain numbers."""

    status: RunStatus
    config: Config
    rows: tuple[BatchSize, ...]  # in the order of measurement
    images: int | None = None  # that train; None: not known

    @classmethod
    def from_rows(cls, config: Config, status: RunStatus, rows: Rows) -> BatchSizeResult:
        """From what a run has recorded so far."""
        return cls(status, config, tuple(rows.rows(BatchSize)), DataFacts.from_rows(rows).num_train_images or None)

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
    def enough(self) -> int | None:
        """The size from which on throughput stops growing; None: it still grows at the largest, or one alone fits."""
        sizes, rates = list(self.rates), list(self.rates.values())
        return None if len(sizes) < 2 or is_still_growing(rates) else enough(sizes, rates)

    @property
    def fastest(self) -> int:
        """The smallest size that trains at 95 % of the highest rate tried."""
        return enough(list(self.rates), list(self.rates.values()))

    @property
    def largest(self) -> int | None:
        """The largest that fits with a margin; None on a CPU."""
        on_gpu = any(each.memory_gib is not None for each in self.rows)
        return max(self.rates) if on_gpu else None

    @property
    def following(self) -> Following | None:
        """A comparison of the sizes around the fastest."""
        if self.status != RunStatus.FINISHED or not self.rates or self.images is None:
            return None
        around = [size for size in (self.fastest // 2, self.fastest, 2 * self.fastest) if 1 <= size <= self.images]
        return Following(("sweep", "data.batch_size", "--values", ",".join(map(str, around))), why=WHY_SIZES)

    def summary(self) -> Summary:
        """The result in plain values."""
        if not self.rates:
            return {}
        sizes, rates = list(self.rates), list(self.rates.values())
        is_full = not all(each.fits for each in self.rows)
        sentence = in_words(sizes, rates, images=self.images, is_full=is_full)
        if self.largest is not None and not (is_full and is_still_growing(rates)):
            sentence += (
                f" {'The largest that fits is' if is_full else 'All that were tried fit, up to'} {self.largest}."
            )
        return {
            "sentence": sentence,
            "enough": self.enough,
            "largest": self.largest,
            "images_per_second": {str(size): rate for size, rate in self.rates.items()},
        }

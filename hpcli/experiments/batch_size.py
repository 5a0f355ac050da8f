"""How fast each batch size trains, and the largest that fits (1803.09820, section 4.2: as large as fits)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcli.analysis.throughput import enough, has_levelled_off
from hpcli.config import Config, with_overrides
from hpcli.data.dataset import Splits, load_splits
from hpcli.errors import MemoryLimitError, UsageError
from hpcli.experiments.store import MemoryStore, OnProgress, Progress, Row, Store, silent
from hpcli.training import device as devices
from hpcli.training.schedules import constant
from hpcli.training.trainer import Trainer

SMALLEST = 16
SECONDS = 1.5
"""Each size is timed for so long, and for MIN_STEPS at least."""
MIN_STEPS, WARM_UP, MOST_STEPS = 5, 2, 10_000
GPU_STEPS = 10
"""Steps between two looks at the clock on a GPU: to look is to wait."""
MARGIN = 0.9
"""Share of a GPU's memory that may be used: a longer run needs some air."""
BISECTIONS = 2


@dataclass(frozen=True)
class BatchSizeResult:
    """What was measured, in plain numbers."""

    status: str  # finished or interrupted
    rows: tuple[Row, ...]  # batch_size.csv: batch_size, images_per_second, step_seconds, memory_gib, fits
    enough: int  # where throughput stops growing
    largest: int | None  # that fits with a margin; None on a CPU
    summary: dict[str, Any]


def batch_size(
    config: Config,
    *,
    sizes: Sequence[int] | None = None,
    store: Store | None = None,
    on_progress: OnProgress = silent,
    device: str = "auto",
    splits: Splits | None = None,
) -> BatchSizeResult:
    """Take training steps at every batch size, and time them.

    Args:
        config: the network, images, precision and optimizer.
        sizes: what to measure; None: powers of two from 16 up, on a GPU until one does not fit, on a CPU until two
            doublings gain nothing; at most as many as there are training images.
        store: where rows go; None: memory.
        on_progress: told a line after every size.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        splits: the images, if you have loaded them.

    Raises:
        MemoryLimitError: not even the smallest fits.
        UsageError: a size larger than the training images are many.
    """
    splits = splits or load_splits(config)
    images = len(splits.train)
    if sizes and not 1 <= min(sizes) <= max(sizes) <= images:
        raise UsageError(f"--sizes {','.join(map(str, sizes))}: must be from 1 to {images}, the number of images")
    run = _Measure(config, store or MemoryStore(), on_progress, device, splits)
    if sizes:
        run.all_of(sorted(set(sizes)))
    else:
        run.doubling(images)
    return run.result()


class _Measure:
    """Measures one size after the other."""

    def __init__(self, config: Config, store: Store, on_progress: OnProgress, device: str, splits: Splits) -> None:
        self.config, self.store, self.on_progress, self.device = config, store, on_progress, device
        self.splits = splits
        self.rows: list[dict[str, Any]] = []
        self.on_gpu = False

    def all_of(self, sizes: Sequence[int]) -> None:
        for size in sizes:
            if not self.store.should_stop():
                self.measure(size)

    def doubling(self, most: int) -> None:
        """From the smallest up; once one does not fit, halve the way to the largest that did."""
        size = min(SMALLEST, most)
        while size <= most and not self.store.should_stop():
            if not self.measure(size):
                self.between(size // 2, size)
                return
            if not self.on_gpu and has_levelled_off([row["images_per_second"] for row in self.rows]):
                return
            size *= 2

    def between(self, fits: int, too_large: int) -> None:
        for _ in range(BISECTIONS):
            middle = (fits + too_large) // 2
            if self.measure(middle):
                fits = middle
            else:
                too_large = middle

    def measure(self, size: int) -> bool:
        """Time a size and write its row; False where it does not fit."""
        try:
            seconds, memory = self._timed(size)
        except devices.OutOfMemory:
            seconds, memory = None, None
        row = {
            "batch_size": size,
            "images_per_second": None if seconds is None else round(size / seconds, 1),
            "step_seconds": seconds,
            "memory_gib": None if memory is None else memory[0],
            "fits": int(seconds is not None and (memory is None or memory[0] <= MARGIN * memory[1])),
        }
        self.rows.append(row)
        self.store.row("batch_size", row)
        speed = "does not fit" if seconds is None else f"{size / seconds:,.0f} images/s"
        self.on_progress(Progress(len(self.rows), len(self.rows), line=f"batch of {size}: {speed}"))
        return bool(row["fits"])

    def _timed(self, size: int) -> tuple[float, tuple[float, float] | None]:
        """Median seconds of a step, and the memory that was in use, of how much; None on a CPU."""
        config = with_overrides(self.config, {"data.batch_size": size})
        devices.start_peak_memory(devices.choose_device(self.device))
        trainer = Trainer(config, device=self.device, splits=self.splits)
        self.on_gpu = trainer.device.type == "cuda"
        together = GPU_STEPS if self.on_gpu else 1
        took: list[float] = []
        started = last = time.perf_counter()
        for report in trainer.train(constant(MOST_STEPS, 1e-6, 0.9)):
            if (report.step + 1) % together:
                continue
            trainer.losses.take(wait=True)
            now = time.perf_counter()
            took.append((now - last) / together)
            last = now
            if len(took) >= WARM_UP + MIN_STEPS and now - started > SECONDS:
                break
        return float(np.median(took[WARM_UP:])), devices.peak_memory(trainer.device)

    def result(self) -> BatchSizeResult:
        measured = sorted((row for row in self.rows if row["fits"]), key=lambda row: row["batch_size"])
        if not measured:
            raise MemoryLimitError("no batch size fits; lower data.image_size or take a smaller model")
        sizes = [row["batch_size"] for row in measured]
        rates = [row["images_per_second"] for row in measured]
        best, largest = enough(sizes, rates), sizes[-1] if self.on_gpu else None
        status = "interrupted" if self.store.should_stop() else "finished"
        fastest = f"{rates[sizes.index(best)]:,.0f} images/s"
        fits = "" if largest is None else f" The largest that fits is {largest}."
        summary = {
            "sentence": f"Throughput stops growing at a batch of {best}, {fastest}.{fits}",
            "enough": best,
            "largest": largest,
            "images_per_second": dict(zip(map(str, sizes), rates, strict=True)),
        }
        return BatchSizeResult(status, tuple(self.rows), best, largest, summary)

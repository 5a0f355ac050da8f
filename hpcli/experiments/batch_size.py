"""How fast each batch size trains, and the largest that fits (1803.09820, section 4.2: as large as fits)."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from hpcli.analysis.throughput import has_levelled_off
from hpcli.config import Config, with_overrides
from hpcli.data.dataset import Splits, load_splits
from hpcli.errors import MemoryLimitError, lacks_memory
from hpcli.experiments.preflight import check_sizes
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import OnProgress, Progress
from hpcli.recording.recorder import Recorder
from hpcli.results.batch_size import BatchSize, BatchSizeResult
from hpcli.results.data import DataFacts
from hpcli.states import RunStatus
from hpcli.training import device as devices
from hpcli.training.schedules import constant
from hpcli.training.trainer import Trainer
from hpcli.views.progress import shown

SMALLEST = 16
SECONDS = 1.5
"""Each size is timed for so long, and for MIN_STEPS at least."""
MIN_STEPS, WARM_UP, MOST_STEPS = 5, 2, 10_000
GPU_STEPS = 10
"""Steps between two looks at the clock on a GPU, which has to be waited for at each."""
MEMORY_SHARE = 0.9
"""Share of a GPU's memory that may be used: a longer run needs some to spare."""
BISECTIONS = 2


@devices.generators_kept()
def batch_size(
    config: Config,
    *,
    recorder: Recorder | None = None,
    on_progress: OnProgress | None = None,
    device: str = "auto",
    splits: Splits | None = None,
) -> BatchSizeResult:
    """Take training steps at every batch size, and time them.

    Args:
        config: the network, images, precision and optimizer; `config.batch_size.sizes` says what to measure. None
            there: powers of two from 16 up, on a GPU until one does not fit, on a CPU until two doublings gain nothing;
            at most as many as there are training images.
        recorder: where rows go; None: memory.
        on_progress: told a line after every size; None: nobody, in IPython a bar.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        splits: the images, if you have loaded them.

    Raises:
        MemoryLimitError: not even the smallest fits.
        UsageError: a size larger than the training images are many.
    """
    splits, sizes = splits or load_splits(config), config.batch_size.sizes
    images = len(splits.train)
    check_sizes(sizes, splits)
    recorder = recorder or MemoryRecorder()
    DataFacts.of(splits).record(recorder)
    run = _Measurement(config, recorder, shown(on_progress, "batch_size"), device, splits)
    if sizes:
        run.all_of(sorted(set(sizes)))
    else:
        run.doubling(images)
    return run.result()


class _Measurement:
    """Measures one size after the other."""

    def __init__(
        self, config: Config, recorder: Recorder, on_progress: OnProgress, device: str, splits: Splits
    ) -> None:
        self.config, self.recorder, self.on_progress, self.device = config, recorder, on_progress, device
        self.splits = splits
        self.rows: list[BatchSize] = []
        self.on_gpu = False

    def all_of(self, sizes: Sequence[int]) -> None:
        """Measure these sizes, until asked to stop."""
        for size in sizes:
            if not self.recorder.should_stop():
                self.measure(size)

    def doubling(self, most: int) -> None:
        """Double the size until it does not fit or gains nothing; then bisect between fitting and not fitting."""
        size = min(SMALLEST, most)
        while size <= most and not self.recorder.should_stop():
            if not self.measure(size):
                self.between(size // 2, size)
                return
            if not self.on_gpu and has_levelled_off([row.images_per_second or 0.0 for row in self.rows]):
                return
            size *= 2

    def between(self, fits: int, too_large: int) -> None:
        """Bisect between a size that fits and one that does not."""
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
        except (RuntimeError, MemoryError, OSError) as error:
            if not lacks_memory(error):
                raise
            seconds, memory = None, None
        row = BatchSize(
            batch_size=size,
            images_per_second=None if seconds is None else round(size / seconds, 1),
            step_seconds=seconds,
            memory_gib=None if memory is None else memory[0],
            fits=seconds is not None and (memory is None or memory[0] <= MEMORY_SHARE * memory[1]),
        )
        self.rows.append(row)
        self.recorder.add(row)
        speed = "does not fit" if seconds is None else f"{size / seconds:,.0f} images/s"
        self.on_progress(Progress(len(self.rows), len(self.rows), line=f"batch of {size}: {speed}"))
        return row.fits

    def _timed(self, size: int) -> tuple[float, tuple[float, float] | None]:
        """Median seconds of a step, and a GPU's memory in GiB, used and in all; None on a CPU."""
        config = with_overrides(self.config, {"data.batch_size": size})
        devices.start_peak_memory(devices.choose_device(self.device))
        trainer = Trainer.from_config(config, device=self.device, splits=self.splits)
        self.on_gpu = trainer.device.type == "cuda"
        took = _step_seconds(trainer, GPU_STEPS if self.on_gpu else 1)
        return float(np.median(took)), devices.peak_memory(trainer.device)

    def result(self) -> BatchSizeResult:
        """What was measured."""
        status = RunStatus.INTERRUPTED if self.recorder.should_stop() else RunStatus.FINISHED
        if status == RunStatus.FINISHED and not any(row.fits for row in self.rows):
            raise MemoryLimitError("no batch size fits; lower data.image_size or take a smaller model")
        return BatchSizeResult.from_rows(self.config, status, self.recorder)


def _step_seconds(trainer: Trainer, together: int) -> list[float]:
    """Seconds a step, without the warm-up. The clock is read once every `together` steps."""
    took: list[float] = []
    started = last = time.perf_counter()
    for report in trainer.train(constant(MOST_STEPS, 1e-6, 0.9)):
        if (report.step + 1) % together:
            continue
        report.wait()
        now = time.perf_counter()
        took.append((now - last) / together)
        last = now
        if len(took) >= WARM_UP + MIN_STEPS and now - started > SECONDS:
            break
    return took[WARM_UP:]

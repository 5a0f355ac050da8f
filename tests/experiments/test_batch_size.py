from __future__ import annotations

import pytest

from hpcli import batch_size, plots
from hpcli.config import Config, with_overrides
from hpcli.errors import MemoryLimitError, UsageError
from hpcli.experiments import batch_size as measured
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import Progress
from hpcli.results.batch_size import BatchSize, BatchSizeResult
from hpcli.states import RunStatus


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "SECONDS", 0.01)


def test_every_size_is_timed(config: Config) -> None:
    recorder, lines = MemoryRecorder(), list[Progress]()
    asked = with_overrides(config, {"batch_size.sizes": [64, 16]})
    result = batch_size(asked, recorder=recorder, on_progress=lines.append)
    assert result.status == RunStatus.FINISHED
    assert result.config == asked
    assert [row.batch_size for row in recorder.rows(BatchSize)] == [16, 64]
    assert list(result.rows) == recorder.rows(BatchSize)
    for row in result.rows:
        assert row.step_seconds is not None
        assert row.images_per_second == pytest.approx(row.batch_size / row.step_seconds, rel=0.01)
    assert result.largest is None
    assert result.enough in (16, None)  # there is none where 64 is still faster
    assert result.fastest in (16, 64)
    assert result.images == 229
    assert "images/s" in (lines[0].line or "")
    assert "images/s" in str(result.summary()["sentence"])
    drawn = plots.figures(result)
    assert list(drawn) == ["batch_size"]
    assert drawn["batch_size"].axes[0].get_xlabel() == "batch size (images a step)"


def test_the_summary_says_the_rates_of_the_rows(config: Config) -> None:
    result = batch_size(with_overrides(config, {"batch_size.sizes": [64, 16, 64]}))
    assert result.summary()["images_per_second"] == {str(row.batch_size): row.images_per_second for row in result.rows}
    assert result.summary()["enough"] == result.enough
    assert result.summary()["largest"] is None


def test_the_result_comes_back_from_what_was_recorded(config: Config) -> None:
    asked = with_overrides(config, {"batch_size.sizes": [16]})
    recorder = MemoryRecorder(asked)
    result = batch_size(asked, recorder=recorder)
    recorder.finish(result.status, result.summary())
    assert BatchSizeResult.from_run(recorder) == result


def test_sizes_double_up_to_the_images(config: Config) -> None:
    sizes = [row.batch_size for row in batch_size(config).rows]
    assert sizes[:3] == [16, 32, 64]
    assert sizes == [16 * 2**power for power in range(len(sizes))]
    with pytest.raises(UsageError, match="must be from 1 to 229"):
        batch_size(with_overrides(config, {"batch_size.sizes": [500]}))


def test_a_stop_keeps_the_sizes_that_were_timed(config: Config) -> None:
    class StopsAfterOne(MemoryRecorder):
        def should_stop(self) -> bool:
            return len(self.rows(BatchSize)) >= 1

    result = batch_size(with_overrides(config, {"batch_size.sizes": [16, 32]}), recorder=StopsAfterOne())
    assert result.status == RunStatus.INTERRUPTED
    assert [row.batch_size for row in result.rows] == [16]


def test_the_largest_that_fits_is_found(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up GPU: an image takes a GiB, and 90 of 100 may be used."""

    def timed(run: measured._Measurement, size: int) -> tuple[float, tuple[float, float]]:
        run.on_gpu = True
        if size > 100:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        return 0.1, (float(size), 100.0)

    monkeypatch.setattr(measured._Measurement, "_timed", timed)
    result = batch_size(config)
    assert [(row.batch_size, row.fits) for row in result.rows] == [
        (16, True),
        (32, True),
        (64, True),
        (128, False),
        (96, False),
        (80, True),
    ]
    assert result.largest == result.summary()["largest"] == 80
    assert result.enough is None
    assert (
        result.summary()["sentence"] == "Throughput still grows at a batch of 80, the largest that fits (800 images/s)."
    )
    fitting = batch_size(with_overrides(config, {"batch_size.sizes": [32, 64]}))
    assert str(fitting.summary()["sentence"]).endswith(
        "the largest tried (640 images/s); try larger ones (--sizes 64,128). All that were tried fit, up to 64."
    )
    level = [BatchSize(size, 100.0, size / 100, 8.0, True) for size in (16, 32)]
    mixed = BatchSizeResult(RunStatus.FINISHED, config, (*level, BatchSize(64, None, None, None, False)))
    assert str(mixed.summary()["sentence"]).endswith(" The largest that fits is 32.")
    assert "does not fit" in {text.get_text() for text in plots.figures(result)["batch_size"].axes[0].texts}
    with pytest.raises(MemoryLimitError, match="no batch size fits"):
        batch_size(with_overrides(config, {"batch_size.sizes": [128]}))

from __future__ import annotations

from typing import Any

import pytest

from hpcli import batch_size, plots
from hpcli.config import Config
from hpcli.errors import MemoryLimitError, UsageError
from hpcli.experiments import batch_size as measured
from hpcli.experiments.store import MemoryStore
from hpcli.training import device as devices


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "SECONDS", 0.01)


def test_every_size_is_timed(config: Config) -> None:
    store, lines = MemoryStore(), []
    result = batch_size(config, sizes=[64, 16], store=store, on_progress=lines.append)
    assert [row["batch_size"] for row in store.tables["batch_size"]] == [16, 64]
    assert all(
        row["images_per_second"] == pytest.approx(row["batch_size"] / row["step_seconds"], rel=0.01)
        for row in result.rows
    )
    assert result.largest is None
    assert result.enough in (16, 64)
    assert "images/s" in lines[0].line
    assert "images/s" in result.summary["sentence"]
    assert plots.batch_size(result).axes[0].get_xlabel() == "batch size (images a step)"


def test_sizes_double_up_to_the_images(config: Config) -> None:
    sizes = [row["batch_size"] for row in batch_size(config).rows]
    assert sizes[:3] == [16, 32, 64]
    assert sizes == [16 * 2**power for power in range(len(sizes))]
    with pytest.raises(UsageError, match="must be from 1 to 229"):
        batch_size(config, sizes=[500])


def test_the_largest_that_fits_is_found(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up GPU: an image takes a GiB, and 90 of 100 may be used."""

    def timed(run: Any, size: int) -> tuple[float, tuple[float, float]]:
        run.on_gpu = True
        if size > 100:
            raise devices.OutOfMemory[0]("CUDA out of memory")
        return 0.1, (float(size), 100.0)

    monkeypatch.setattr(measured._Measure, "_timed", timed)
    result = batch_size(config)
    assert [(row["batch_size"], row["fits"]) for row in result.rows] == [
        (16, 1),
        (32, 1),
        (64, 1),
        (128, 0),
        (96, 0),
        (80, 1),
    ]
    assert result.largest == 80
    assert "The largest that fits is 80." in result.summary["sentence"]
    plots.batch_size(result)
    with pytest.raises(MemoryLimitError, match="no batch size fits"):
        batch_size(config, sizes=[128])

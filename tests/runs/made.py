"""Run folders that say what a test wants, made without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpcli.config import load_config
from hpcli.recording.disk import DiskRecorder
from hpcli.results.data import ClassImages, PartImages
from hpcli.results.train import Epoch, TrainResult
from hpcli.states import RunStatus

CLASSES = tuple("0123456789")


def made(
    path: Path,
    losses: Sequence[float],
    status: RunStatus = RunStatus.FINISHED,
    *,
    images: str = "a",
    classes: Sequence[str] = CLASSES,
    **keys: object,
) -> Path:
    """A training run with these validation losses, an epoch each, and these keys (`train__epochs=3`)."""
    overrides = {"train.epochs": max(len(losses), 1)} | {key.replace("__", "."): value for key, value in keys.items()}
    config = load_config(overrides=overrides)
    with DiskRecorder.create("train", config, path) as run:
        run.replace(ClassImages, [ClassImages(n, name, 100, 20, 0) for n, name in enumerate(classes)])
        run.replace(PartImages, [PartImages("train", 1000, images), PartImages("valid", 200, images)])
        for n, loss in enumerate(losses):
            run.add(Epoch(n, 10 * n + 9, loss, loss, loss, max(0.0, 1 - loss / 3), 1.0, 0.01, 0.9, 1.0))
        run.finish(status, TrainResult.from_rows(config, status, run).summary())
    return path

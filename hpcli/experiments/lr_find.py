"""The learning-rate range test (1506.01186, section 3.3): one short run from a tiny to a huge learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.curves import blown_up, smooth
from hpcli.config import Config
from hpcli.experiments.store import MemoryStore, OnProgress, Progress, Store, silent
from hpcli.training.schedules import range_test_schedule
from hpcli.training.trainer import Trainer

Losses = NDArray[np.float64]

SMOOTHING_DECADES = 0.2
"""Width of the Gaussian that smooths the loss, in decades of learning rate."""


@dataclass(frozen=True)
class LRFindResult:
    """A range test's curve, in plain numbers. Losses in nats."""

    status: str  # finished or interrupted
    lr: NDArray[np.float64]  # [S] steps taken
    train_loss: NDArray[np.float64]  # [S] raw, each of one batch before its update
    smoothed_loss: NDArray[np.float64]  # [S] without lag
    blow_up_lr: float | None  # where the test broke off; None: it reached its end
    chance_loss: float  # ln K: the loss of a network that knows nothing
    summary: dict[str, Any]


def lr_find(
    config: Config,
    *,
    store: Store | None = None,
    on_progress: OnProgress = silent,
    device: str = "auto",
    trainer: Trainer | None = None,
) -> LRFindResult:
    """Train through the range `config.lr_find`, and leave no trace: everything is put back as it was.

    Args:
        config: what to train, and the range.
        store: where rows go; None: memory.
        on_progress: called after every step whose loss has arrived.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; not used with a `trainer`.
        trainer: test this one, from where it is. Its weights, buffers, optimizer and place in the data are restored,
            and so are the random generators of torch, numpy and python: training it next is as if nothing had been.

    Returns:
        The curve up to where the loss blew up (`analysis.curves.blown_up`), or to the end of the range.
    """
    trainer = trainer or Trainer(config, device=device)
    store = store or MemoryStore()
    before = trainer.state_dict()
    try:
        losses, broke, status = _run(config, trainer, store, on_progress)
    finally:
        trainer.load_state_dict(before)
    lr = range_test_schedule(config).lr[: len(losses)]
    smoothed = smooth(np.log10(lr), losses, SMOOTHING_DECADES)
    for step, values in enumerate(zip(lr.tolist(), losses, smoothed.tolist(), strict=True)):
        store.row("lr_find", {"step": step, **dict(zip(("lr", "train_loss", "smoothed_loss"), values, strict=True))})
    blow_up_lr = float(lr[-1]) if broke else None
    chance_loss = float(np.log(trainer.num_classes))
    summary = _summary(lr, smoothed, blow_up_lr)
    return LRFindResult(status, lr, np.array(losses), smoothed, blow_up_lr, chance_loss, summary)


def _summary(lr: Losses, smoothed: Losses, blow_up_lr: float | None) -> dict[str, Any]:
    lowest = int(np.nanargmin(smoothed)) if np.isfinite(smoothed).any() else None
    return {
        "steps": len(lr),
        "start_lr": float(lr[0]),
        "end_lr": float(lr[-1]),
        "blow_up_lr": blow_up_lr,
        "lowest_loss": None if lowest is None else float(smoothed[lowest]),
        "lowest_loss_lr": None if lowest is None else float(lr[lowest]),
    }


def _run(config: Config, trainer: Trainer, store: Store, on_progress: OnProgress) -> tuple[list[float], bool, str]:
    """The losses up to the end or the blow-up, whether it blew up, and the status."""
    schedule = range_test_schedule(config)
    losses: list[float] = []
    for report in trainer.train(schedule):
        stopping = store.should_stop()
        for step, loss in trainer.losses.take(wait=stopping or report.step + 1 == len(schedule)):
            losses.append(loss)
            row = {"step": step, "lr": float(schedule.lr[step]), "momentum": float(schedule.momentum[step])}
            store.row("steps", {**row, "train_loss": loss})
            on_progress(Progress(step + 1, len(schedule), loss))
            if blown_up(loss, best=min(losses), initial=losses[0], num_classes=trainer.num_classes):
                return losses, True, "finished"
        if stopping:
            return losses, False, "interrupted"
    return losses, False, "finished"

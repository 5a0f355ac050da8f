"""Train a model by the config's schedule."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from hpcli.config import Config
from hpcli.experiments.store import Columns, MemoryStore, OnProgress, Progress, Store, columns, silent
from hpcli.training.schedules import Schedule, training_schedule
from hpcli.training.trainer import StepReport, Trainer
from hpcli.training.weights import weight_norms


@dataclass(frozen=True)
class TrainResult:
    """What a training run came to, in plain numbers. Losses in nats, accuracies as fractions."""

    status: str  # finished, diverged or interrupted
    schedule: Schedule
    steps_per_epoch: int
    steps: Columns  # steps.csv: step, lr, momentum, train_loss
    epochs: Columns  # metrics.csv
    summary: dict[str, Any]


def train(
    config: Config,
    *,
    store: Store | None = None,
    on_progress: OnProgress = silent,
    device: str = "auto",
    trainer: Trainer | None = None,
) -> TrainResult:
    """Train, evaluating after every epoch; on the test images, if any are set apart, once at the end.

    Args:
        config: what to train and how.
        store: where rows and checkpoints go; None: memory. A store with a saved state is resumed from it, bit for bit.
        on_progress: called after every step whose loss has arrived, and after every epoch.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; not used with a `trainer`.
        trainer: train this one from where it is, and keep it for its model. None: a new one.

    Returns:
        The result; a run that diverges ends early with status `diverged`, it is not an error.

    Raises:
        ConfigError, DataError, UsageError: from building the trainer.
    """
    run = _Run(config, trainer or Trainer(config, device=device), store or MemoryStore(), on_progress)
    for report in run.trainer.train(run.schedule, start=run.trainer.step):
        if not run.goes_on_after(report):
            break
    return run.result()


class _Run:
    """Bookkeeping around the trainer's loop: rows, evaluations, checkpoints, and reasons to stop."""

    def __init__(self, config: Config, trainer: Trainer, store: Store, on_progress: OnProgress) -> None:
        self.config, self.trainer, self.store, self.on_progress = config, trainer, store, on_progress
        self.schedule = training_schedule(config, trainer.steps_per_epoch)
        self.status = "running"
        self.started = time.perf_counter()
        self.initial_loss: float | None = None
        self.loss_sum, self.loss_count = 0.0, 0  # of the current epoch
        state = store.load()
        self.norms = state["weight_norms"] if state else weight_norms(trainer.model)  # at the start
        if state is not None:
            trainer.load_state_dict(state["trainer"])
            self.initial_loss = state["initial_loss"]
            self.loss_sum, self.loss_count = state["loss_sum"], state["loss_count"]
        elif not trainer.is_fresh:
            store.save(self._state(), step=trainer.step - 1)  # weights that the config cannot draw again

    def goes_on_after(self, report: StepReport) -> bool:
        stopping = self.store.should_stop()
        saving = stopping or self._labels(report) or self.store.due(ends_epoch=report.ends_epoch)
        self._collect(wait=bool(saving) or report.ends_epoch)
        if self.status == "diverged":
            return False
        valid_loss = self._end_epoch(report) if report.ends_epoch else None
        if saving:
            self.store.save(self._state(), step=report.step, labels=self._labels(report), valid_loss=valid_loss)
        if stopping and report.step + 1 < len(self.schedule):
            self.status = "interrupted"
        return not stopping

    def result(self) -> TrainResult:
        steps, epochs = columns(self.store.rows("steps")), columns(self.store.rows("metrics"))
        if self.status == "running":
            self.status = "diverged" if self._ended_worse_than_it_began(epochs) else "finished"
        return TrainResult(
            self.status, self.schedule, self.trainer.steps_per_epoch, steps, epochs, self._summary(steps, epochs)
        )

    def _collect(self, *, wait: bool) -> None:
        """Write the losses that have arrived."""
        for step, loss in self.trainer.losses.take(wait=wait):
            lr, momentum = float(self.schedule.lr[step]), float(self.schedule.momentum[step])
            self.store.row("steps", {"step": step, "lr": lr, "momentum": momentum, "train_loss": loss})
            self.initial_loss = loss if self.initial_loss is None else self.initial_loss
            self.loss_sum += loss
            self.loss_count += 1
            self.on_progress(Progress(step + 1, len(self.schedule), loss))
            if not math.isfinite(loss):
                self.status = "diverged"
                return

    def _end_epoch(self, report: StepReport) -> float:
        on_train, on_valid = self.trainer.evaluate("train"), self.trainer.evaluate("valid")
        now = time.perf_counter()
        row = {
            "epoch": report.epoch,
            "step": report.step,
            "train_loss": self.loss_sum / self.loss_count,
            "train_eval_loss": on_train.loss,
            "valid_loss": on_valid.loss,
            "valid_accuracy": on_valid.accuracy,
            "valid_top5": on_valid.top5,
            "lr": report.lr,
            "momentum": report.momentum,
            "seconds": round(now - self.started, 3),
        }
        self.store.row("metrics", row, durable=True)
        self.on_progress(Progress(report.step + 1, len(self.schedule), metrics=row))
        self.started, self.loss_sum, self.loss_count = now, 0.0, 0
        return on_valid.loss

    def _labels(self, report: StepReport) -> tuple[str, ...]:
        """What the checkpoint after this step is called; none if nobody asked for one."""
        labels = []
        last = report.step + 1 == len(self.schedule)
        if report.ends_epoch and (last or report.epoch in self.config.train.checkpoint_epochs):
            labels.append(f"epoch-{report.epoch:04d}")
        if report.step in self.schedule.cycle_ends:
            labels.append(f"cycle-{self.schedule.cycle_ends.index(report.step)}")
        return tuple(labels)

    def _state(self) -> dict[str, Any]:
        return {
            "trainer": self.trainer.state_dict(),
            "initial_loss": self.initial_loss,
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "weight_norms": self.norms,
        }

    def _ended_worse_than_it_began(self, epochs: Columns) -> bool:
        """A loss above both the first one and chance; 5 % are left to the noise of a short epoch."""
        chance = math.log(self.trainer.num_classes)
        return float(epochs["train_loss"][-1]) > 1.05 * max(self.initial_loss or 0.0, chance)

    def _summary(self, steps: Columns, epochs: Columns) -> dict[str, Any]:
        names = ("train_loss", "train_eval_loss", "valid_loss", "valid_accuracy", "valid_top5")
        done = len(epochs.get("epoch", ()))
        summary: dict[str, Any] = {name: float(epochs[name][-1]) if done else None for name in names}
        finite = done and not all(math.isnan(loss) for loss in epochs["valid_loss"])
        summary["best_epoch"] = int(_first_lowest(epochs["valid_loss"])) if finite else None
        summary |= {"epochs": done, "steps": len(steps.get("step", ()))}
        ends = weight_norms(self.trainer.model)
        summary["weight_norms"] = {group: [start, ends[group]] for group, start in self.norms.items()}
        if self.status == "finished" and self.trainer.splits.test is not None:
            on_test = self.trainer.evaluate("test")
            summary |= {"test_loss": on_test.loss, "test_accuracy": on_test.accuracy, "test_top5": on_test.top5}
        return summary


def _first_lowest(values: Any) -> int:
    """Index of the lowest value; one that is not a number never wins."""
    return min(range(len(values)), key=lambda index: math.inf if math.isnan(values[index]) else values[index])

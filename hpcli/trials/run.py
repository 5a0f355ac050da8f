"""A training run: the trainer's loop, with its rows, evaluations and checkpoints. A trial is one, and so is `train`."""

from __future__ import annotations

import math
import time

import numpy as np

from hpcli import catalog
from hpcli.config import Config
from hpcli.config.alphas import BN_IMAGES
from hpcli.errors import UsageError
from hpcli.recording.progress import OnProgress, Progress, silent
from hpcli.recording.recorder import ChildRecorder, Recorder, State
from hpcli.results.data import DataFacts
from hpcli.results.train import Epoch, FinalTest, Reestimated, Step, TrainResult, WeightNorm
from hpcli.states import RunStatus
from hpcli.training.batchnorm import steps_to_settle
from hpcli.training.device import generators_kept
from hpcli.training.losses import StepLoss, StepReport
from hpcli.training.schedules import training_schedule
from hpcli.training.trainer import Trainer
from hpcli.training.weights import weight_norms
from hpcli.trials.made_with import made_with, record_made_with
from hpcli.trials.spec import Spec
from hpcli.trials.trainers import new_trainer

DURABLE_SECONDS = 5.0
"""At an epoch's end rows are synced so long after the last time, for who reads them: a run goes on from checkpoints."""


def run_trial(
    spec: Spec,
    recorder: ChildRecorder,
    *,
    trainer: Trainer | None = None,
    device: str = "auto",
    on_progress: OnProgress = silent,
) -> TrainResult:
    """Bring a trial to its end. A trial that is over is read back, an interrupted one is resumed.

    Args:
        spec: which trial.
        recorder: its own.
        trainer: at the start of the spec's config; None: a new one.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; not used with a `trainer`.
        on_progress: called after every step whose loss has arrived, and after every epoch.
    """
    if recorder.status.is_over:
        return TrainResult.from_run(recorder)
    if spec.allowed_code:
        catalog.allow_code(*spec.allowed_code)
    trainer = trainer or new_trainer(spec.config, device=device)
    result = run_training(spec.config, trainer, recorder, on_progress)
    recorder.finish(result.status, result.summary())
    return result


def run_training(config: Config, trainer: Trainer, recorder: Recorder, on_progress: OnProgress) -> TrainResult:
    """Train by the config's schedule, from where the recorder's newest state was, or the trainer is.

    The random generators of torch, numpy and python are afterwards as they were found.

    Raises:
        UsageError: the trainer has taken all steps of the schedule already, and nothing is recorded of them.
    """
    with generators_kept():
        run = _Training(config, trainer, recorder, on_progress)
        if trainer.step >= len(run.schedule) and not recorder.rows(Step):
            steps = len(run.schedule)
            raise UsageError(f"trainer: has taken all {steps} steps already; pass a new one, or raise train.epochs")
        for report in trainer.train(run.schedule, start=trainer.step):
            if not run.goes_on_after(report):
                break
        return run.result()


class _Training:
    """Bookkeeping around the trainer's loop: rows, evaluations, checkpoints, and reasons to stop."""

    def __init__(self, config: Config, trainer: Trainer, recorder: Recorder, on_progress: OnProgress) -> None:
        self.config, self.trainer, self.recorder, self.on_progress = config, trainer, recorder, on_progress
        self.schedule = training_schedule(config, trainer.data.steps_per_epoch)
        self.status = RunStatus.RUNNING
        self.started = self.durable_at = time.perf_counter()
        self.loss_sum, self.loss_count = 0.0, 0  # of the current epoch
        self.data = DataFacts.of(trainer.data.splits)
        self.data.check_unchanged(recorder)
        state = recorder.load()
        self.norms = state["weight_norms"] if state else weight_norms(trainer.model)  # at the start
        self.data.record(recorder)
        if state is not None:
            trainer.load_state_dict(state["trainer"])
            self.loss_sum, self.loss_count = state["loss_sum"], state["loss_count"]
        record_made_with(recorder, made_with(trainer.numerics, trainer.step, trainer.ranks.size))
        if state is None and not trainer.is_fresh:
            recorder.save(self._state(), step=trainer.step - 1)  # weights that the config cannot draw again
        losses = (epoch.valid_loss for epoch in recorder.rows(Epoch))
        self.lowest = min((loss for loss in losses if not math.isnan(loss)), default=math.inf)

    def goes_on_after(self, report: StepReport) -> bool:
        """Record a step, and save where it is time; whether another follows."""
        stopping, labels = self.recorder.should_stop(), self._labels(report)
        saving = stopping or bool(labels) or self.recorder.is_due(ends_epoch=report.ends_epoch, is_best=False)
        self._write(report, report.losses + (report.wait() if saving else ()))  # a state knows all up to its step
        if self.status == RunStatus.DIVERGED:
            return False
        valid_loss = self._end_epoch(report) if report.ends_epoch else None
        if valid_loss is not None and valid_loss < self.lowest:
            self.lowest = valid_loss
            saving = saving or self.recorder.is_due(ends_epoch=True, is_best=True)
        if saving:
            self.recorder.save(self._state(), step=report.step, labels=labels, valid_loss=valid_loss)
        if stopping and report.step + 1 < len(self.schedule):
            self.status = RunStatus.INTERRUPTED
        return not stopping

    def result(self) -> TrainResult:
        """What the run came to, so far or in the end."""
        so_far = TrainResult.from_rows(self.config, self.status, self.recorder)
        if self.status == RunStatus.RUNNING:
            lost = _ended_worse_than_it_began(so_far)
            self.status = RunStatus.DIVERGED if lost else RunStatus.FINISHED
        if self.status != RunStatus.INTERRUPTED:
            with self.trainer.average.shown():
                ends = weight_norms(self.trainer.model)
            self.recorder.replace(WeightNorm, [WeightNorm(name, n, ends[name]) for name, n in self.norms.items()])
        if self.status == RunStatus.FINISHED and self.trainer.data.splits.test is not None:
            score = self.trainer.evaluate("test")
            self.recorder.replace(FinalTest, [FinalTest(score.loss, score.accuracy, score.top5)])
        settles_after = 0 if self.trainer.optimizer.averages else steps_to_settle(self.trainer.model)
        if self.status == RunStatus.FINISHED and len(self.schedule) < settles_after:
            anew = self.trainer.evaluate("valid", bn_images=BN_IMAGES)
            self.recorder.replace(Reestimated, [Reestimated(anew.loss, anew.accuracy, anew.top5, settles_after)])
        self.recorder.keep_weights(self.trainer.average.weights(), self.data.plain())
        return TrainResult.from_rows(self.config, self.status, self.recorder)

    def _write(self, report: StepReport, losses: tuple[StepLoss, ...]) -> None:
        """Write the losses that have arrived, up to the first that is not finite."""
        for step, loss in losses:
            lr, momentum = float(self.schedule.lr[step]), float(self.schedule.momentum[step])
            self.recorder.add(Step(step, lr, momentum, loss, report.grad_norm(step)))
            self.loss_sum += loss
            self.loss_count += 1
            self.on_progress(Progress(step + 1, len(self.schedule), loss))
            if not math.isfinite(loss):
                self.status = RunStatus.DIVERGED
                return

    def _end_epoch(self, report: StepReport) -> float:
        on_train, on_valid = self.trainer.evaluate("train"), self.trainer.evaluate("valid")
        now = time.perf_counter()
        epoch = Epoch(
            epoch=report.epoch,
            step=report.step,
            train_loss=self.loss_sum / self.loss_count,
            train_eval_loss=on_train.loss,
            valid_loss=on_valid.loss,
            valid_accuracy=on_valid.accuracy,
            valid_top5=on_valid.top5,
            lr=report.lr,
            momentum=report.momentum,
            seconds=round(now - self.started, 3),
        )
        durable = now - self.durable_at >= DURABLE_SECONDS
        self.recorder.add(epoch, durable=durable)
        self.durable_at = now if durable else self.durable_at
        self.on_progress(Progress(report.step + 1, len(self.schedule), epoch=epoch))
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

    def _state(self) -> State:
        return {
            "trainer": self.trainer.state_dict(),
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "weight_norms": self.norms,
            "data": self.data.plain(),
        }


def _ended_worse_than_it_began(result: TrainResult) -> bool:
    """A loss above both the first one and chance; 5 % are left to the noise of a short epoch.

    By the median of the last epoch's losses: a single spike is no divergence.
    """
    losses, chance = result.steps["train_loss"], math.log(len(result.data.classes))
    return float(np.median(losses[-result.steps_per_epoch :])) > 1.05 * max(float(losses[0]), chance)

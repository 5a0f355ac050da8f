"""What a training run comes to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpcli.analysis.clipping import GradientNorms
from hpcli.analysis.signs import Finding
from hpcli.config import Config
from hpcli.config.optimizers import CONTROLS, FREE
from hpcli.recording.recorder import Record, Rows
from hpcli.recording.rows import Columns, Row, columns
from hpcli.results import Summary
from hpcli.results.batch import Batch
from hpcli.results.data import DataFacts
from hpcli.results.diagnosis import WRONG_RATE, findings, plain_findings
from hpcli.results.following import EVALUATE, FIND, Following
from hpcli.results.gradients import gradient_facts, gradients_of, two_digits
from hpcli.results.html import InNotebook
from hpcli.states import RunStatus
from hpcli.training.schedules import Schedule, training_schedule


@dataclass(frozen=True)
class Step(Row, table="steps"):
    """An update of the weights. The loss is its batch's, before the update, in nats.

    `grad_norm` is the L2 norm of the gradient, all weights together, before it is clipped; None: it was not measured.
    """

    step: int
    lr: float
    momentum: float
    train_loss: float
    grad_norm: float | None = None


@dataclass(frozen=True)
class Epoch(Row, table="metrics"):
    """An epoch. Losses in nats, accuracies as fractions.

    `train_loss` is the mean over the epoch's own batches, augmented and with dropout; `train_eval_loss` is measured
    like the validation loss, on a sample of training images.
    """

    epoch: int
    step: int
    train_loss: float
    train_eval_loss: float
    valid_loss: float
    valid_accuracy: float
    valid_top5: float
    lr: float
    momentum: float
    seconds: float


@dataclass(frozen=True)
class WeightNorm(Row, table="weight_norms"):
    """The Euclidean norm of a group of weights, at a run's start and end."""

    group: str
    start: float
    end: float


@dataclass(frozen=True)
class FinalTest(Row, table="test"):
    """The test images, evaluated once at the end."""

    loss: float
    accuracy: float
    top5: float


@dataclass(frozen=True)
class Reestimated(Row, table="reestimated"):
    """The validation images at the end, with BatchNorm's statistics measured anew on training images.

    Of a run that is too short for BatchNorm's running averages, which still hold what they began with.
    """

    loss: float
    accuracy: float
    top5: float
    steps_to_settle: int  # that the running averages would need


@dataclass(frozen=True)
class TrainResult(InNotebook, frame="epochs", row=Epoch):
    """A training run in plain numbers. Losses in nats, accuracies as fractions."""

    status: RunStatus
    config: Config
    data: DataFacts
    steps: Columns  # steps.csv
    epochs: Columns  # metrics.csv
    weight_norms: tuple[WeightNorm, ...]  # none where the run is not over
    test: FinalTest | None  # None: no test images, or the run did not finish
    batch: Batch | None  # the first one
    reestimated: Reestimated | None = None  # None: its running averages have settled, or the run did not finish

    @classmethod
    def from_rows(cls, config: Config, status: RunStatus, rows: Rows) -> TrainResult:
        """From what a run has recorded so far."""
        data = DataFacts.from_rows(rows)
        return cls(
            status=status,
            config=config,
            data=data,
            steps=columns(Step, rows.rows(Step)),
            epochs=columns(Epoch, rows.rows(Epoch)),
            weight_norms=tuple(rows.rows(WeightNorm)),
            test=next(iter(rows.rows(FinalTest)), None),
            batch=Batch.from_rows(rows, data.names),
            reestimated=next(iter(rows.rows(Reestimated)), None),
        )

    @classmethod
    def from_run(cls, run: Record) -> TrainResult:
        """From a run folder, or whatever else can be read like one."""
        return cls.from_rows(run.config, run.status, run)

    @property
    def steps_per_epoch(self) -> int:
        """The number of steps that count as an epoch."""
        return self.data.steps_per_epoch(self.config.data)

    @property
    def schedule(self) -> Schedule:
        """The table that the run followed."""
        return training_schedule(self.config, self.steps_per_epoch)

    @property
    def valid_loss(self) -> float | None:
        """After the last epoch; None before the first one's end."""
        return self._last("valid_loss")

    @property
    def valid_accuracy(self) -> float | None:
        """After the last epoch."""
        return self._last("valid_accuracy")

    @property
    def valid_top5(self) -> float | None:
        """After the last epoch."""
        return self._last("valid_top5")

    @property
    def judged(self) -> tuple[float | None, float | None, float | None]:
        """Validation loss, accuracy and top-5 that the run is judged by: the last epoch's, or measured anew."""
        anew = self.reestimated
        if anew is None:
            return self.valid_loss, self.valid_accuracy, self.valid_top5
        return anew.loss, anew.accuracy, anew.top5

    @property
    def best_epoch(self) -> int | None:
        """The epoch, from 0, with the lowest validation loss; None where none is a number."""
        losses = self.epochs["valid_loss"]
        return int(np.nanargmin(losses)) if np.isfinite(losses).any() else None

    @cached_property
    def gradients(self) -> GradientNorms | None:
        """What its gradients were like; None: their norms were not recorded."""
        return gradients_of(self.steps, self.config.train.clip_norm)

    @cached_property
    def diagnosis(self) -> tuple[Finding, ...]:
        """What ails the run, each sign with its evidence; nothing: it is sound, or not over."""
        anew = None if self.reestimated is None else self.reestimated.loss
        mixed = self.config.train.mixup > 0 or self.config.train.cutmix > 0
        averages = self.config.optimizer.name == FREE
        return findings(self.epochs, self.steps, self.data, self.status, anew, mixed=mixed, averages=averages)

    @property
    def following(self) -> Following | None:
        """Looking at what was trained, or for a learning rate at which it trains."""
        is_lost = self.status == RunStatus.DIVERGED or any(each.sign in WRONG_RATE for each in self.diagnosis)
        is_found = is_lost and self.config.optimizer.name not in CONTROLS  # by a range test
        return (FIND if is_found else EVALUATE) if self.status.is_over else None

    def summary(self) -> Summary:
        """The result in plain values."""
        names = ("train_loss", "train_eval_loss", "valid_loss", "valid_accuracy", "valid_top5")
        summary: Summary = {name: self._last(name) for name in names}
        summary |= {
            "best_epoch": self.best_epoch,
            "epochs": len(self.epochs["epoch"]),
            "steps": len(self.steps["step"]),
        }
        gradients = None if self.status == RunStatus.DIVERGED else self.gradients  # those of a lost run are no measure
        summary |= gradient_facts(gradients, self.config.train.clip_norm)
        summary["weight_norms"] = {each.group: [each.start, each.end] for each in self.weight_norms}
        if self.reestimated is not None:
            summary |= {
                "reestimated_loss": self.reestimated.loss,
                "reestimated_accuracy": self.reestimated.accuracy,
            }
        if self.test is not None:
            score = {"test_loss": self.test.loss, "test_accuracy": self.test.accuracy, "test_top5": self.test.top5}
            summary |= score
        if self.status == RunStatus.FINISHED and self.valid_loss is not None:
            summary["sentence"] = self._sentence()
        clip_norm = "1.0" if gradients is None else two_digits(gradients.threshold)
        summary["diagnosis"] = plain_findings(self.diagnosis, clip_norm, self.config.optimizer.name)
        return summary

    def _sentence(self) -> str:
        """How good the network is, in words."""
        images = sum(each.valid_images for each in self.data.classes)
        loss, accuracy = (score or math.nan for score in self.judged[:2])
        length = f"{len(self.epochs['epoch'])} epoch{'s' * (len(self.epochs['epoch']) > 1)}"
        parts = [f"After {length} {accuracy:.1%} of {images:,} validation images are right, the loss is {loss:.3g}."]
        if self.reestimated is None and self.best_epoch is not None:
            lowest = float(self.epochs["valid_loss"][self.best_epoch])
            trained = f"{self.best_epoch + 1} epoch{'s' * (self.best_epoch > 0)}"
            parts += [f"It was lowest after {trained}, {lowest:.3g}."] if lowest < loss else []
        if self.test is not None:
            parts.append(f"Of the test images {self.test.accuracy:.1%} are right.")
        if self.reestimated is not None:
            parts.append(
                f"{len(self.steps['step'])} steps are too few for BatchNorm's running averages, "
                f"{self.reestimated.steps_to_settle} are enough: the validation loss is {self.valid_loss:.3g} by them, "
                "and what is said here comes from statistics measured anew, which is what the weights have learnt."
            )
        return " ".join(parts)

    def _last(self, name: str) -> float | None:
        values = self.epochs[name]
        return float(values[-1]) if len(values) else None


def mean_growth(results: Sequence[TrainResult]) -> dict[str, float]:
    """Group of weights → its norm at the end over that at the start, mean over runs."""
    norms = [norm for result in results for norm in result.weight_norms]
    pairs: dict[str, list[float]] = {}
    for norm in norms:
        if np.isfinite([norm.start, norm.end]).all():
            pairs.setdefault(norm.group, []).append(norm.end / norm.start)
    return {group: float(np.mean(ratios)) for group, ratios in pairs.items()}

"""What a learning-rate range test comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.lr_find import combine, in_words, overfitting_lr, steps_sensitivity
from hpcli.analysis.suggestion import Suggestion, suggest
from hpcli.config import Config
from hpcli.recording.recorder import Record, Rows
from hpcli.recording.rows import Row, columns
from hpcli.results import Summary
from hpcli.results.data import DataFacts
from hpcli.results.following import WHY_SWEEP, WHY_TRAIN, Following
from hpcli.results.html import InNotebook
from hpcli.states import RunStatus

Array = NDArray[np.float64]
NARROW = 3.0
"""A range whose ends differ by less than this factor is not worth sweeping."""
Measured = tuple[float, float, float]
"""Learning rate, training loss and validation loss, both in evaluation mode with BatchNorm re-estimated."""


@dataclass(frozen=True)
class LRFindStep(Row, table="steps"):
    """A step of a range test, as it is taken."""

    step: int
    lr: float
    momentum: float
    train_loss: float
    seed: int
    value: str  # of the key that is varied; empty where none is


@dataclass(frozen=True)
class LRFindPoint(Row, table="lr_find"):
    """A point of a range test's curve, once the test is over."""

    step: int
    lr: float
    train_loss: float
    smoothed_loss: float  # without lag; NaN from the break on
    seed: int
    value: str


@dataclass(frozen=True)
class LRFindValid(Row, table="lr_find_valid"):
    """The validation loss along a range test, in evaluation mode with BatchNorm re-estimated."""

    lr: float
    train_eval_loss: float
    valid_loss: float
    gap: float  # validation less training
    seed: int
    value: str


@dataclass(frozen=True)
class Curve:
    """One range test: one seed, one value of what is varied."""

    seed: int | str  # text where another program has named it
    value: str  # empty where nothing is varied
    lr: Array  # [n] steps taken, up to where the loss broke
    train_loss: Array  # [n] raw, each of one batch before its update, in nats
    smoothed_loss: Array  # [n] without lag; NaN from the break on
    suggestion: Suggestion
    valid: tuple[Measured, ...] = ()


@dataclass(frozen=True)
class LRFindResult(InNotebook, frame="curves"):
    """Range tests and what they say, in plain numbers."""

    status: RunStatus
    config: Config
    data: DataFacts
    curves: tuple[Curve, ...]

    @classmethod
    def from_rows(cls, config: Config, status: RunStatus, rows: Rows) -> LRFindResult:
        """From what a run has recorded so far."""
        data = DataFacts.from_rows(rows)
        points: dict[tuple[str, int], list[LRFindPoint]] = {}
        for point in rows.rows(LRFindPoint):
            points.setdefault((point.value, point.seed), []).append(point)
        valid: dict[tuple[str, int], list[Measured]] = {}
        for each in rows.rows(LRFindValid):
            valid.setdefault((each.value, each.seed), []).append((each.lr, each.train_eval_loss, each.valid_loss))
        chance = data.chance_loss()
        curves = [_curve(*key, own, tuple(valid.get(key, ())), chance) for key, own in points.items()]
        return cls(status, config, data, tuple(curves))

    @classmethod
    def from_run(cls, run: Record) -> LRFindResult:
        """From a run folder, or whatever else can be read like one."""
        return cls.from_rows(run.config, run.status, run)

    @property
    def chance_loss(self) -> float:
        """The loss of a network that knows the classes' frequencies only, in nats."""
        return self.data.chance_loss()

    @property
    def varied(self) -> str | None:
        """The key of which several values are overlaid; None: none."""
        return next(iter(self.config.lr_find.values), None)

    @property
    def varied_name(self) -> str:
        """The last word of that key, as a person reads it."""
        return (self.varied or "").rpartition(".")[2].replace("_", " ")

    @property
    def groups(self) -> dict[str, tuple[Curve, ...]]:
        """Value → its curves, a seed each."""
        values = dict.fromkeys(curve.value for curve in self.curves)
        return {value: tuple(curve for curve in self.curves if curve.value == value) for value in values}

    @property
    def by_value(self) -> dict[str, Suggestion]:
        """Value → what its seeds say together."""
        return {value: combine([curve.suggestion for curve in group]) for value, group in self.groups.items()}

    @property
    def suggestion(self) -> Suggestion | None:
        """Of all seeds; of the first value, where several are overlaid; None: no test is over."""
        return next(iter(self.by_value.values()), None)

    @property
    def suggested_lr(self) -> float | None:
        """What is suggested, in two digits, as a config has it; None: nothing."""
        found = self.suggestion.suggested_lr if self.suggestion else None
        return None if found is None else float(f"{found:.2g}")

    @property
    def following(self) -> Following | None:
        """A comparison of three learning rates in the range, or training, where that is narrow."""
        found, lr = self.suggestion, self.suggested_lr
        if self.status != RunStatus.FINISHED or found is None or found.suggested_lr is None or lr is None:
            return None
        first = {key: values[0] for key, values in self.config.lr_find.values.items()}  # whose test it is
        values = [found.low or found.suggested_lr, found.suggested_lr, found.high or found.suggested_lr]
        if values[-1] < 0.99 * NARROW * values[0]:  # a sweep of neighbours tells nothing; beyond them is out of range
            return Following(("train",), {"schedule.max_lr": lr, **first}, why=WHY_TRAIN)
        listed = ",".join(dict.fromkeys(f"{value:.2g}" for value in values))
        return Following(("sweep", "schedule.max_lr", "--values", listed), first, why=WHY_SWEEP)

    def summary(self) -> Summary:
        """The result in plain values."""
        return summary_of(self.groups, varied=self.varied_name) if self.curves else {}


def summary_of(groups: Mapping[str, Sequence[Curve]], *, varied: str = "") -> Summary:
    """What curves say, in plain values: those of the first value, and in short those of each where one is varied.

    Args:
        groups: value → its curves, a seed each; one value at least.
        varied: what is varied, as a person reads it; empty: nothing is.
    """
    found = {value: combine([curve.suggestion for curve in group]) for value, group in groups.items()}
    first = next(iter(groups))
    summary = _summary(found[first], groups[first])
    if varied:
        said = [f"{varied} {value}: {_sentence(each, groups[value])}" for value, each in found.items()]
        summary["sentence"] = " ".join(said)
        summary["by_value"] = {value: _short(each, groups[value]) for value, each in found.items()}
    return summary


def _curve(
    value: str, seed: int, points: Sequence[LRFindPoint], valid: tuple[Measured, ...], chance_loss: float
) -> Curve:
    numbers = columns(LRFindPoint, points)
    lr, loss = numbers["lr"], numbers["train_loss"]
    return Curve(seed, value, lr, loss, numbers["smoothed_loss"], suggest(lr, loss, chance_loss=chance_loss), valid)


def early_overfitting(curves: Sequence[Curve]) -> float | None:
    """The learning rate at which the validation loss of most seeds has an early dip; see `overfitting_lr`."""
    dips = [lr for curve in curves if (lr := overfitting_lr(curve.valid)) is not None]
    return float(np.median(dips)) if 2 * len(dips) > len(curves) else None


def _lowest(curves: Sequence[Curve]) -> float | None:
    """Mean over the seeds of the lowest smoothed loss."""
    lowest = [float(np.nanmin(curve.smoothed_loss)) for curve in curves if np.isfinite(curve.smoothed_loss).any()]
    return float(np.mean(lowest)) if lowest else None


def _short(suggestion: Suggestion, curves: Sequence[Curve]) -> dict[str, float | None]:
    return {
        "suggested_lr": suggestion.suggested_lr,
        "blow_up_lr": suggestion.blow_up_lr,
        "seeds_broken": len(_breaks(curves)),
        "lowest_loss": _lowest(curves),
    }


def _breaks(curves: Sequence[Curve]) -> list[float]:
    """Where the seeds break that do."""
    return [curve.suggestion.blow_up_lr for curve in curves if curve.suggestion.blow_up_lr is not None]


def _sensitivity(curves: Sequence[Curve]) -> float | None:
    """Median over the seeds of `steps_sensitivity`."""
    known = [each for curve in curves if (each := steps_sensitivity(curve.lr, curve.train_loss)) is not None]
    return float(np.median(known)) if known else None


def _sentence(suggestion: Suggestion, curves: Sequence[Curve]) -> str:
    return in_words(
        suggestion,
        num_seeds=len(curves),
        breaks=_breaks(curves),
        sensitivity=_sensitivity(curves),
        overfitting=early_overfitting(curves),
    )


def _summary(suggestion: Suggestion, curves: Sequence[Curve]) -> Summary:
    return {
        "sentence": _sentence(suggestion, curves),
        "suggested_lr": suggestion.suggested_lr,
        "suggested_lr_low": suggestion.low,
        "suggested_lr_high": suggestion.high,
        "refusal": suggestion.refusal,
        "refused": suggestion.refused,
        "blow_up_lr": suggestion.blow_up_lr,
        "plateau": suggestion.plateau,
        "start_lr": suggestion.start_lr,
        "rules": suggestion.rules,
        "notes": list(suggestion.notes),
        "by_seed": {str(curve.seed): curve.suggestion.suggested_lr for curve in curves},
        "steps_sensitivity": _sensitivity(curves),
        "overfitting_lr": early_overfitting(curves),
        "lowest_loss": _lowest(curves),
        "steps": sum(len(curve.lr) for curve in curves),
    }

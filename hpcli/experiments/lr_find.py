"""The learning-rate range test (1506.01186, section 3.3): short runs from a tiny to a huge learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.curves import break_index, break_loss, is_beyond
from hpcli.analysis.range_tests import combine, in_words, overfitting_lr, steps_sensitivity
from hpcli.analysis.suggestion import Suggestion, read, suggest
from hpcli.config import Config, with_overrides
from hpcli.experiments.store import MemoryStore, OnProgress, Progress, Store, silent
from hpcli.experiments.varied import VARIED
from hpcli.training.schedules import Schedule, range_test_schedule
from hpcli.training.trainer import Trainer

VALID_EVERY = 0.15
"""Decades between measurements of the validation loss."""
BN_IMAGES = 2000

Array = NDArray[np.float64]
Measured = tuple[float, float, float]
"""Learning rate, training loss and validation loss, both in evaluation mode with BatchNorm re-estimated."""


@dataclass
class Curve:
    """One range test: one seed, one value of what is varied."""

    seed: int
    value: str  # empty where nothing is varied
    lr: Array  # [n] steps taken, up to where the loss broke
    train_loss: Array  # [n] raw, each of one batch before its update, in nats
    smoothed_loss: Array  # [n] without lag; NaN from the break on
    suggestion: Suggestion
    valid: list[Measured] = field(default_factory=list)


@dataclass(frozen=True)
class LRFindResult:
    """Range tests and what they say, in plain numbers."""

    status: str  # finished or interrupted
    curves: tuple[Curve, ...]
    suggestion: Suggestion  # of all seeds; of the first value, where several are overlaid
    by_value: dict[str, Suggestion]
    varied: str | None  # weight_decay or momentum
    chance_loss: float  # the loss of a network that knows the classes' frequencies only
    summary: dict[str, Any]


def lr_find(
    config: Config,
    *,
    vary: Mapping[str, Sequence[object]] | None = None,
    store: Store | None = None,
    on_progress: OnProgress = silent,
    device: str = "auto",
    trainer: Trainer | None = None,
) -> LRFindResult:
    """Train through the range `config.lr_find`, once a seed, and leave no trace: everything is put back as it was.

    Args:
        config: what to train, and the range.
        vary: `{"weight_decay": [...]}` or `{"momentum": [...]}`: a test of every seed for each value (1803.09820,
            section 4.4: the best weight decay is the one whose loss is lowest at the highest stable learning rate).
        store: where rows go; None: memory.
        on_progress: called after every step whose loss has arrived.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; not used with a `trainer`.
        trainer: test this one, from where it is. Its weights, buffers, optimizer and place in the data are restored,
            and so are the random generators of torch, numpy and python: training it next is as if nothing had been.
            One that has been trained keeps its weights for every seed; a fresh one gets each seed's own.
    """
    trainer = trainer or Trainer(config, device=device)
    test = _Test(config, trainer, store or MemoryStore(), on_progress)
    (varied, values) = next(iter(vary.items())) if vary else (None, [None])
    test.total = len(values) * config.lr_find.seeds * config.lr_find.steps
    before = trainer.state_dict()
    try:
        for value in values:
            for seed in range(before["seed"], before["seed"] + config.lr_find.seeds):
                if test.status == "finished":
                    test.run(seed, varied, value, before)
    finally:
        trainer.optimizer.set_weight_decay(config.optimizer.weight_decay)
        trainer.load_state_dict(before)
    return test.result(varied)


class _Test:
    """Runs the tests of all seeds and values, and collects their curves."""

    def __init__(self, config: Config, trainer: Trainer, store: Store, on_progress: OnProgress) -> None:
        self.config, self.trainer, self.store, self.on_progress = config, trainer, store, on_progress
        self.chance_loss = trainer.splits.chance_loss()
        self.curves: list[Curve] = []
        self.status = "finished"
        self.total = 0

    def run(self, seed: int, varied: str | None, value: object, before: dict[str, Any]) -> None:
        config = with_overrides(self.config, {VARIED[varied]: value}) if varied else self.config
        if before["is_fresh"]:
            self.trainer.reset(seed)
        else:
            self.trainer.load_state_dict(before)
            self.trainer.seed = self.trainer.loader.seed = seed
        self.trainer.optimizer.set_weight_decay(config.optimizer.weight_decay)
        schedule, name = range_test_schedule(config), "" if value is None else str(value)
        losses, valid = self._losses(schedule, seed, name)
        curve = self._judged(schedule.lr[: len(losses)], losses, seed, name)
        curve.valid = valid
        self.curves.append(curve)
        self._write(curve, varied)

    def _losses(self, schedule: Schedule, seed: int, value: str) -> tuple[list[float], list[Measured]]:
        """The losses up to the end or the break, and the validation losses along the way."""
        losses: list[float] = []
        valid: list[Measured] = []
        done = len(self.curves) * len(schedule)
        for report in self.trainer.train(schedule):
            stopping = self.store.should_stop()
            if stopping:
                self.status = "interrupted"
            for step, loss in self.trainer.losses.take(wait=stopping or report.step + 1 == len(schedule)):
                losses.append(loss)
                row = {"step": step, "lr": float(schedule.lr[step]), "momentum": report.momentum, "train_loss": loss}
                self.store.row("steps", {**row, "seed": seed, "value": value})
                self.on_progress(Progress(done + step + 1, self.total, loss))
                if self._has_broken(schedule.lr, losses):
                    return losses, valid
            if stopping:
                break
            if self.config.lr_find.valid and (not valid or report.lr >= valid[-1][0] * 10**VALID_EVERY):
                on_train, on_valid = (self.trainer.evaluate(split, bn_images=BN_IMAGES) for split in ("train", "valid"))
                valid.append((report.lr, on_train.loss, on_valid.loss))
        return losses, valid

    def _has_broken(self, lr: Array, losses: list[float]) -> bool:
        initial, best = losses[0], min(losses)
        if not is_beyond(losses[-1], best=best, initial=initial, chance=self.chance_loss):
            return False
        return break_index(lr, losses, max(4 * best, break_loss(initial, self.chance_loss))) is not None

    def _judged(self, lr: Array, losses: list[float], seed: int, value: str) -> Curve:
        raw = np.array(losses)
        initial = float(np.median(raw[:3]))
        reading = read(lr, raw, chance_loss=self.chance_loss, initial_loss=initial)
        smoothed = np.full(len(raw), np.nan)
        if reading is not None:
            smoothed[: len(reading.smoothed)] = reading.smoothed
        suggestion = suggest(lr, raw, chance_loss=self.chance_loss)
        return Curve(seed, value, lr, raw, smoothed, suggestion)

    def _write(self, curve: Curve, varied: str | None) -> None:
        for step, (lr, raw, smoothed) in enumerate(zip(curve.lr, curve.train_loss, curve.smoothed_loss, strict=True)):
            row = {"step": step, "lr": float(lr), "train_loss": float(raw), "smoothed_loss": float(smoothed)}
            self.store.row("lr_find", {**row, "seed": curve.seed, varied or "value": curve.value})
        for lr, train, valid in curve.valid:
            losses = {"train_eval_loss": train, "valid_loss": valid, "gap": valid - train}
            self.store.row("lr_find_valid", {"lr": lr, **losses, "seed": curve.seed, varied or "value": curve.value})

    def result(self, varied: str | None) -> LRFindResult:
        """All curves, and what they say together."""
        values = dict.fromkeys(curve.value for curve in self.curves)
        groups = {value: [curve for curve in self.curves if curve.value == value] for value in values}
        by_value = {value: combine([curve.suggestion for curve in group]) for value, group in groups.items()}
        first = next(iter(groups.values()))
        chosen = by_value[first[0].value]
        summary = _summary(chosen, first)
        if varied:
            summary["by_value"] = {value: _short(each, groups[value]) for value, each in by_value.items()}
        return LRFindResult(self.status, tuple(self.curves), chosen, by_value, varied, self.chance_loss, summary)


def early_overfitting(curves: Sequence[Curve]) -> float | None:
    """The learning rate at which the validation loss of most seeds has an early dip; see `overfitting_lr`."""
    dips = [lr for curve in curves if (lr := overfitting_lr(curve.valid)) is not None]
    return float(np.median(dips)) if 2 * len(dips) > len(curves) else None


def _lowest(curves: list[Curve]) -> float | None:
    """Mean over the seeds of the lowest smoothed loss."""
    lowest = [float(np.nanmin(curve.smoothed_loss)) for curve in curves if np.isfinite(curve.smoothed_loss).any()]
    return float(np.mean(lowest)) if lowest else None


def _short(suggestion: Suggestion, curves: list[Curve]) -> dict[str, float | None]:
    lowest = _lowest(curves)
    return {"suggested_lr": suggestion.suggested_lr, "blow_up_lr": suggestion.blow_up_lr, "lowest_loss": lowest}


def _summary(suggestion: Suggestion, curves: list[Curve]) -> dict[str, Any]:
    overfits = early_overfitting(curves)
    sensitivity = [each for curve in curves if (each := steps_sensitivity(curve.lr, curve.train_loss)) is not None]
    moved = float(np.median(sensitivity)) if sensitivity else None
    return {
        "sentence": in_words(suggestion, num_seeds=len(curves), sensitivity=moved, overfitting=overfits),
        "suggested_lr": suggestion.suggested_lr,
        "suggested_lr_low": suggestion.low,
        "suggested_lr_high": suggestion.high,
        "refused": suggestion.refused,
        "blow_up_lr": suggestion.blow_up_lr,
        "plateau": suggestion.plateau,
        "start_lr": suggestion.start_lr,
        "rules": suggestion.rules,
        "notes": list(suggestion.notes),
        "by_seed": {str(curve.seed): curve.suggestion.suggested_lr for curve in curves},
        "steps_sensitivity": moved,
        "overfitting_lr": overfits,
        "lowest_loss": _lowest(curves),
        "steps": sum(len(curve.lr) for curve in curves),
    }

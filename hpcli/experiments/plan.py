"""What a command would do, worked out without doing it, and without torch: `--dry-run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpcli.config import Config
from hpcli.data.dataset import Splits, load_splits
from hpcli.training.schedules import Schedule, range_test_schedule, training_schedule

Facts = dict[str, Any]


def plan_train(config: Config) -> Facts:
    """The plan of `train`.

    Raises:
        DataError, ConfigError: as training would.
    """
    splits = load_splits(config, list_only=True)
    per_epoch = splits.steps_per_epoch(config.data.batch_size, config.data.steps_per_epoch)
    schedule = training_schedule(config, per_epoch)
    length = {"epochs": config.train.epochs, "steps_per_epoch": per_epoch}
    return {**_setting(config, splits), **length, **_rows(schedule), "momentum": str(config.schedule.momentum)}


def plan_lr_find(config: Config) -> Facts:
    """The plan of `lr-find`."""
    schedule = range_test_schedule(config)
    return {
        **_setting(config, load_splits(config, list_only=True)),
        **_rows(schedule),
        "momentum": str(schedule.momentum[0]),
    }


PLANS: dict[str, Callable[[Config], Facts]] = {"train": plan_train, "lr-find": plan_lr_find}


def _setting(config: Config, splits: Splits) -> Facts:
    return {
        "data": config.data.name,
        "train_images": len(splits.train),
        "valid_images": len(splits.valid),
        "test_images": len(splits.test) if splits.test else 0,
        "classes": len(splits.source.classes),
        "model": config.model.name,
        "optimizer": config.optimizer.name,
        "weight_decay": config.optimizer.weight_decay,
        "batch_size": config.data.batch_size,
    }


def _rows(schedule: Schedule) -> Facts:
    peak = int(schedule.lr.argmax())
    return {
        "steps": len(schedule),
        "first_lr": float(schedule.lr[0]),
        "highest_lr": float(schedule.lr[peak]),
        "highest_lr_step": peak,
        "last_lr": float(schedule.lr[-1]),
    }

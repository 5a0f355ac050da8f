"""What a command would do, worked out without doing it, and without torch: `--dry-run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpcli.config import Config
from hpcli.data.dataset import load_splits
from hpcli.training.schedules import Schedule, range_test_schedule, training_schedule


@dataclass(frozen=True)
class Plan:
    """The facts of a run, and its schedule."""

    facts: dict[str, Any]
    schedule: Schedule


def plan_train(config: Config) -> Plan:
    """The plan of `train`.

    Raises:
        DataError, ConfigError: as training would.
    """
    splits = load_splits(config)
    per_epoch = splits.steps_per_epoch(config.data.batch_size, config.data.steps_per_epoch)
    return _plan(config, training_schedule(config, per_epoch), epochs=config.train.epochs, steps_per_epoch=per_epoch)


def plan_lr_find(config: Config) -> Plan:
    """The plan of `lr_find`."""
    load_splits(config)
    return _plan(config, range_test_schedule(config))


def _plan(config: Config, schedule: Schedule, **facts: int) -> Plan:
    splits = load_splits(config)
    peak = int(schedule.lr.argmax())
    facts_of_all = {
        "data": config.data.name,
        "train_images": len(splits.train),
        "valid_images": len(splits.valid),
        "test_images": len(splits.test) if splits.test else 0,
        "classes": len(splits.source.classes),
        "model": config.model.name,
        "optimizer": config.optimizer.name,
        "weight_decay": config.optimizer.weight_decay,
        "batch_size": config.data.batch_size,
        **facts,
        "steps": len(schedule),
        "first_lr": float(schedule.lr[0]),
        "highest_lr": float(schedule.lr[peak]),
        "highest_lr_step": peak,
        "last_lr": float(schedule.lr[-1]),
        "momentum": str(config.schedule.momentum) if facts else str(float(schedule.momentum[0])),
    }
    return Plan(facts_of_all, schedule)

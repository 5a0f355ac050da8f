"""What a command would do, worked out without doing it, and without torch: `--dry-run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpcli.config import Config
from hpcli.config.interpolation import BN_IMAGES, parse_alphas
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


def plan_interpolate(config: Config) -> Facts:
    """The plan of `interpolate`."""
    splits, chosen = load_splits(config, list_only=True), config.interpolate
    alphas = parse_alphas(chosen.alphas)
    modes = ("recompute", "interpolate") if chosen.bn == "both" else (chosen.bn,)
    images = min(len(splits.train), len(splits.valid)) + len(splits.valid)
    bn_images = min(len(splits.train), BN_IMAGES) if "recompute" in modes else 0
    return {
        "ckpt_a": chosen.ckpt_a,
        "ckpt_b": chosen.ckpt_b,
        "ckpt_c": chosen.ckpt_c,
        "data": config.data.name,
        "model": config.model.name,
        "bn": ", ".join(modes),
        "alphas": len(alphas),
        "first_alpha": alphas[0],
        "last_alpha": alphas[-1],
        "evaluated_images": len(alphas) * (len(modes) * images + bn_images),
        "plane_points": chosen.plane_points**2 if chosen.ckpt_c else 0,
        "save_average": chosen.save_average,
    }


PLANS: dict[str, Callable[[Config], Facts]] = {
    "train": plan_train,
    "lr-find": plan_lr_find,
    "interpolate": plan_interpolate,
}


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

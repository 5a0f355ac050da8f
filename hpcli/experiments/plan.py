"""What a command would do, worked out without doing it, and without torch: `--dry-run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hpcli.config import Config
from hpcli.config.interpolation import BN_IMAGES, parse_alphas
from hpcli.data.dataset import Splits, load_splits
from hpcli.experiments.budgets import budgets_of, flagged, in_lines
from hpcli.experiments.varied import AUTO_SEEDS, SWEEPS, settings
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


def plan_sweep(config: Config, vary: Mapping[str, Sequence[object]]) -> Facts:
    """The plan of a sweep: its trials, and the pairs of weight decays that it can hardly tell apart."""
    keys, found = settings(config, vary)
    splits = load_splits(config, list_only=True)
    asked = config.sweep.seeds
    seeds = asked if isinstance(asked, int) else AUTO_SEEDS[1]
    trials = [(setting.name, *setting.trial(config.seed + seed)) for seed in range(seeds) for setting in found]
    steps = [
        splits.steps_per_epoch(trial.data.batch_size, trial.data.steps_per_epoch) * trial.train.epochs
        for _, _, trial in trials
    ]
    epochs = config.sweep.epochs
    plan = {
        **_setting(config, splits),
        "parameter": " & ".join(keys),
        "values": [setting.name for setting in found],
        "seeds": f"auto: {AUTO_SEEDS[1]}, or {AUTO_SEEDS[0]} where that takes long" if asked == "auto" else asked,
        "epochs": epochs,
        "steps": sum(steps),
        "decay": in_lines(flagged(keys, budgets_of(keys, found, splits), epochs), epochs),
        "trials": [
            {"value": name, "seed": trial.seed, "steps": each, "trial": key}
            for (name, key, trial), each in zip(trials, steps, strict=True)
        ],
    }
    return {name: fact for name, fact in plan.items() if fact != []}


def plan_batch_size(config: Config) -> Facts:
    """The plan of `batch-size`: what is trained; the sizes depend on what comes out."""
    return _setting(config, load_splits(config, list_only=True))


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


PLANS: dict[str, Callable[..., Facts]] = {
    "train": plan_train,
    "lr-find": plan_lr_find,
    "batch-size": plan_batch_size,
    "interpolate": plan_interpolate,
    **dict.fromkeys([*SWEEPS, "sweep"], plan_sweep),
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

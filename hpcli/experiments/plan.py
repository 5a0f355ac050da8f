"""What a command would do, worked out without doing it, and without torch: `--dry-run`."""

from __future__ import annotations

from collections.abc import Callable

from hpcli.config import Config
from hpcli.config.alphas import BN_IMAGES, parse_alphas
from hpcli.config.varying import JOINED, settings, written
from hpcli.data.dataset import Splits, load_splits
from hpcli.errors import UsageError
from hpcli.experiments.seeds import AUTO_SEEDS
from hpcli.results import retune
from hpcli.results.budgets import budgets_of, in_lines
from hpcli.results.data import DataFacts
from hpcli.results.same_runs import same_range_tests, same_trainings
from hpcli.states import BatchNorm
from hpcli.training.schedules import Schedule, lr_find_schedule, training_schedule
from hpcli.trials.spec import Spec

Facts = dict[str, object]


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
    schedule = lr_find_schedule(config)
    plan = {
        **_setting(config, load_splits(config, list_only=True)),
        **_rows(schedule),
        "momentum": str(schedule.momentum[0]),
        "overlaid": [f"{key}: {', '.join(map(written, each))}" for key, each in config.lr_find.values.items()],
        "same_runs": same_range_tests(config),
    }
    return {name: fact for name, fact in plan.items() if fact != []}


def plan_sweep(config: Config) -> Facts:
    """The plan of a sweep: its trials, what of them is the same, and weight decays that it can hardly tell apart."""
    keys, found = tuple(config.sweep.values), settings(config)
    splits = load_splits(config, list_only=True)
    data, epochs, asked = DataFacts.of(splits), config.sweep.epochs, config.sweep.seeds
    seeds = asked if isinstance(asked, int) else AUTO_SEEDS[1]
    tried = [each for setting in found for each in retune.candidates(config, setting)] if config.sweep.retune else []
    tuning = [Spec.of(setting, seed) for seed in retune.seeds(config) for setting in tried]
    trials = [*tuning, *(Spec.of(setting, config.seed + seed) for seed in range(seeds) for setting in found)]
    steps = [data.steps_per_epoch(each.config.data) * each.config.train.epochs for each in trials]
    plan = {
        **_setting(config, splits),
        "parameter": JOINED.join(keys),
        "values": [setting.name for setting in found],
        "seeds": f"auto: {AUTO_SEEDS[1]}, or {AUTO_SEEDS[0]} where that takes long" if asked == "auto" else asked,
        "retune": f"{JOINED.join(config.sweep.retune)}, {len(tuning)} trials before the others" if tuning else [],
        "epochs": epochs,
        "steps": sum(steps),
        "same_runs": same_trainings(keys, found, splits),
        "decay": in_lines(keys, budgets_of(keys, found, data), epochs),
        "trials": [
            {"value": spec.name, "seed": spec.seed, "steps": count, "trial": spec.key}
            for spec, count in zip(trials, steps, strict=True)
        ],
    }
    return {name: fact for name, fact in plan.items() if fact != []}


def plan_evaluate(config: Config) -> Facts:
    """The plan of `evaluate`."""
    splits = load_splits(config, list_only=True, trains=False)
    return {"checkpoint": config.evaluate.checkpoint, **_setting(config, splits)}


def plan_data(config: Config) -> Facts:
    """The data and the network of a config."""
    return _setting(config, load_splits(config, list_only=True))


def plan_interpolate(config: Config) -> Facts:
    """The plan of `interpolate`."""
    splits, chosen = load_splits(config, list_only=True), config.interpolate
    if chosen.ckpt_a is None or chosen.ckpt_b is None:
        raise UsageError("--ckpt-a, --ckpt-b: name the two checkpoints, each a run folder or a file")
    alphas = parse_alphas(chosen.alphas)
    modes = [mode for mode in BatchNorm if chosen.bn in (mode, "both")]
    images = min(len(splits.train), len(splits.valid)) + len(splits.valid)
    bn_images = min(len(splits.train), BN_IMAGES) if BatchNorm.RECOMPUTE in modes else 0
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


def plan(module: str, config: Config) -> Facts:
    """The plan of a command, by the name of its module. Without a plan of its own: its data and network."""
    own: dict[str, Callable[[Config], Facts]] = {
        "train": plan_train,
        "lr_find": plan_lr_find,
        "sweep": plan_sweep,
        "interpolate": plan_interpolate,
        "evaluate": plan_evaluate,
    }
    return own.get(module, plan_data)(config)


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

"""What a command would do, worked out without doing it, and without torch: `--dry-run`."""

from __future__ import annotations

from collections.abc import Callable

from hpcli.config import Config, with_overrides
from hpcli.config.alphas import BN_IMAGES, parse_alphas
from hpcli.config.choices import with_choices
from hpcli.config.controls import check_range_test
from hpcli.config.points import ranges
from hpcli.config.space import pinned, space
from hpcli.config.varying import JOINED, written
from hpcli.data.dataset import Splits, load_splits
from hpcli.errors import UsageError
from hpcli.experiments.preflight import check_any_starts, check_searched, check_sizes, check_start
from hpcli.experiments.seeds import AUTO_SEEDS
from hpcli.results import retune
from hpcli.results.budgets import budgets_of, in_lines
from hpcli.results.data import DataFacts, check_batch_size
from hpcli.results.points import settings_of
from hpcli.results.same_runs import same_range_tests, same_trainings
from hpcli.results.tune_budget import divided, range_test_keys, ranges_lr, short_epochs
from hpcli.results.tune_trials import TunePlan
from hpcli.states import BatchNorm
from hpcli.training.schedules import Schedule, lr_find_schedule, training_schedule
from hpcli.trials.executor import at_once
from hpcli.trials.spec import Spec

Facts = dict[str, object]


def plan_train(config: Config, device: str = "auto") -> Facts:
    """The plan of `train`."""
    splits = _splits(config, device)
    per_epoch = splits.steps_per_epoch(config.data.batch_size, config.data.steps_per_epoch)
    schedule = training_schedule(config, per_epoch)
    length = {"epochs": config.train.epochs, "steps_per_epoch": per_epoch}
    return {**_setting(config, splits), **length, **_rows(schedule), "momentum": str(config.schedule.momentum)}


def plan_lr_find(config: Config, device: str = "auto") -> Facts:
    """The plan of `lr-find`."""
    schedule, splits = lr_find_schedule(config), load_splits(config, list_only=True)
    values = config.lr_find.values.items()
    for own in [with_overrides(config, {key: value}) for key, each in values for value in each] or [config]:
        check_range_test(own.optimizer.name)
        check_batch_size(own.data.batch_size, len(splits.train))
        check_start(own, splits, device=device)
    tests = config.lr_find.seeds * (sum(map(len, config.lr_find.values.values())) or 1)
    plan = {
        **_setting(config, splits),
        **_rows(schedule),
        "seeds": config.lr_find.seeds,
        "tests": tests,
        "steps_in_all": tests * len(schedule),
        "momentum": str(schedule.momentum[0]),
        "overlaid": [f"{key}: {', '.join(map(written, each))}" for key, each in config.lr_find.values.items()],
        "same_runs": same_range_tests(config),
    }
    return {name: fact for name, fact in plan.items() if fact != []}


def plan_sweep(config: Config, device: str = "auto") -> Facts:
    """The plan of a sweep: its trials, what of them is the same, and weight decays that it can hardly tell apart."""
    keys, found = tuple(config.sweep.values), settings_of(config)
    splits = load_splits(config, list_only=True)
    data, asked = DataFacts.of(splits, config.data.train_fraction), config.sweep.seeds
    for own in (setting.config.data for setting in found):
        check_batch_size(own.batch_size, data.train_images_of(own))
    check_any_starts([setting.config for setting in found], splits, device=device)
    epochs = config.sweep.epochs
    seeds = asked if isinstance(asked, int) else AUTO_SEEDS[1]
    tried = [each for setting in found for each in retune.candidates(config, setting)] if config.sweep.retune else []
    tuning = [Spec.of(setting, seed) for seed in retune.seeds(config) for setting in tried]
    trials = [*tuning, *(Spec.of(setting, config.seed + seed) for seed in range(seeds) for setting in found)]
    steps = [data.steps_per_epoch(each.config.data) * each.config.train.epochs for each in trials]
    plan = {
        **_setting(config, splits),
        "parameter": JOINED.join(keys),
        "points": ranges(config),
        "values": [setting.name for setting in found],
        "seeds": f"auto: {AUTO_SEEDS[1]}, or {AUTO_SEEDS[0]} where that takes long" if asked == "auto" else asked,
        "retune": f"{JOINED.join(config.sweep.retune)}, {len(tuning)} trials before the others" if tuning else [],
        "epochs": epochs,
        "steps": sum(steps),
        "at_once": _at_once(config, device, len(trials)),
        "same_runs": same_trainings(keys, found, splits.source, data),
        "decay": in_lines(keys, budgets_of(keys, found, data), epochs),
        "trials": [
            {"value": spec.name, "seed": spec.seed, "steps": count, "trial": spec.key}
            for spec, count in zip(trials, steps, strict=True)
        ],
    }
    return {name: fact for name, fact in plan.items() if fact != []}


def plan_tune(config: Config, device: str = "auto") -> Facts:
    """The plan of `tune`: its steps, and what its budget is divided into."""
    splits, dimensions, own = load_splits(config, list_only=True), space(config), pinned(config)
    check_batch_size(own.data.batch_size, len(splits.train))
    check_searched(own, dimensions, splits)
    check_start(own, splits, device=device)
    for configs in with_choices(own, dimensions).values():
        check_any_starts(configs, splits, device=device)
    data, asked = DataFacts.of(splits), config.tune
    epochs = short_epochs(own, data)
    steps = data.steps_per_epoch(own.data) * epochs
    keys = range_test_keys(config, steps) if ranges_lr(config) else None
    range_steps = 0 if keys is None else int(str(keys["lr_find.steps"]))
    divide = divided(asked.runs, asked.confirm, seed=config.seed, epochs=epochs, steps=steps, range_steps=range_steps)
    return {
        **_setting(config, splits),
        "searched": [f"{each.key}: {each.in_words()}" for each in dimensions],
        "range_test_steps": range_steps,
        "runs": asked.runs if asked.minutes is None else f"as many as fit into {asked.minutes:g} minutes",
        "epochs": epochs,
        "steps_a_run": steps,
        **({} if asked.minutes is not None else _divided(divide)),
        "until": asked.until,
        "training_epochs": config.train.epochs,
    }


def _divided(plan: TunePlan) -> Facts:
    return {
        "search": plan.search,
        "verdict": f"{plan.pairs} pair{'s' * (plan.pairs != 1)} on fresh seeds",
        "steps": (plan.search + 2 * plan.pairs) * plan.steps + plan.range_steps,
    }


def plan_evaluate(config: Config, device: str = "auto") -> Facts:
    """The plan of `evaluate`."""
    from hpcli.experiments.evaluate import check_finite, load_to_evaluate  # its weights take torch

    splits, checkpoint = load_to_evaluate(config, list_only=True), config.evaluate.checkpoint
    split = config.evaluate.split or ("valid" if splits.test is None else "test")
    check_start(config, splits, device=device, weights={"": checkpoint}, measures=True)
    check_finite(checkpoint)
    about = {"checkpoint": checkpoint, "split": split, "evaluated_images": len(splits.part(split))}
    return {**about, **_setting(config, splits)}


def plan_data(config: Config, device: str = "auto") -> Facts:
    """The data and the network of a config."""
    return _setting(config, _splits(config, device))


def plan_batch_size(config: Config, device: str = "auto") -> Facts:
    """The plan of `batch-size`."""
    splits, sizes = load_splits(config, list_only=True), sorted(set(config.batch_size.sizes))
    check_sizes(sizes, splits)
    smallest = with_overrides(config, {"data.batch_size": sizes[0]}) if sizes else config
    check_start(smallest, splits, device=device, weights={})
    plan = _setting(config, splits)
    del plan["batch_size"]
    return {**plan, "sizes": ", ".join(map(str, sizes)) or "doubled, as long as that gains"}


def plan_interpolate(config: Config, device: str = "auto") -> Facts:
    """The plan of `interpolate`."""
    splits, chosen = load_splits(config, list_only=True), config.interpolate
    if chosen.ckpt_a is None or chosen.ckpt_b is None:
        raise UsageError("--ckpt-a, --ckpt-b: name the two checkpoints, each a run folder or a file")
    ends = {"A": chosen.ckpt_a, "B": chosen.ckpt_b, "C": chosen.ckpt_c}
    named = {f"checkpoint {letter}: ": checkpoint for letter, checkpoint in ends.items()}
    check_start(config, splits, device=device, weights=named, measures=True)
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


def plan(module: str, config: Config, *, device: str = "auto") -> Facts:
    """The plan of a command, by the name of its module. Without a plan of its own: its data and network.

    Raises:
        ConfigError, DataError, UsageError, CheckpointError: what the command itself would refuse before its first step.
    """
    own: dict[str, Callable[[Config, str], Facts]] = {
        "train": plan_train,
        "lr_find": plan_lr_find,
        "sweep": plan_sweep,
        "tune": plan_tune,
        "batch_size": plan_batch_size,
        "interpolate": plan_interpolate,
        "evaluate": plan_evaluate,
    }
    return own.get(module, plan_data)(config, device)


def _at_once(config: Config, device: str, trials: int) -> int | str:
    """How many trials run side by side; without torch nobody knows whether there is a GPU."""
    if config.sweep.workers == 0:
        return "as many as there are workers"
    cpu, gpu = (min(trials, at_once(config, on_gpu=on_gpu)) for on_gpu in (False, True))
    if device == "auto":
        return cpu if cpu == gpu else f"{cpu}, on a GPU {gpu}"
    return cpu if device == "cpu" else gpu


def _splits(config: Config, device: str) -> Splits:
    """The images, listed alone, of a config that a trainer can be had for."""
    splits = load_splits(config, list_only=True)
    check_start(config, splits, device=device)
    return splits


def _setting(config: Config, splits: Splits) -> Facts:
    of_files = {"not_decoded": "images are counted as files; the run leaves out those that cannot be decoded"}
    return {
        "data": config.data.name,
        "train_images": len(splits.train),
        "valid_images": len(splits.valid),
        "test_images": len(splits.test) if splits.test else 0,
        **(of_files if config.data.name == "folder" else {}),
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

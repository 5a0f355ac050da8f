"""Checks across keys: keys that contradict each other, and values that are allowed but probably not meant."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from hpcli.catalog import MOMENTUM_CYCLES
from hpcli.config.controls import NOT_THEIR_OPTIONS, conflicts_of_controls
from hpcli.config.faults import Fault, explained
from hpcli.config.keys import scope_of, value_fault
from hpcli.config.optimizers import CONTROLS, FREE, NAMES, NOT_OPTIONS, OWN, decay_of
from hpcli.config.schema import Config, OptimizerConfig
from hpcli.config.scope import Scope
from hpcli.errors import ConfigError

MORE_WINS = {
    "train.epochs": "tune.epochs sets the length of the short runs",
    "data.steps_per_epoch": "tune.epochs sets the length of the short runs",
    "data.train_fraction": "--set sets it for all, and hpcli sweep says what more images bring",
}
"""Keys of more steps or images, and what is there instead of searching them."""


def conflicts(config: Config) -> list[Fault]:
    """Faults that no key shows alone: contradictions, and values to vary that do not fit their keys."""
    of_optimizer = [*_of_optimizer(config.optimizer), *conflicts_of_controls(config)]
    return [*_of_schedule(config), *of_optimizer, *_of_the_rest(config), *_of_values(config)]


def _of_schedule(config: Config) -> Iterator[Fault]:
    schedule = config.schedule
    if schedule.name not in MOMENTUM_CYCLES and schedule.momentum.cyclic:
        yield (
            ("schedule", "momentum"),
            f"the pair {schedule.momentum} needs a learning rate that cycles, and {schedule.name} does not; "
            "write one number such as 0.9",
        )
    base = ("schedule", "base_lr")
    if schedule.base_lr is not None and schedule.base_lr > schedule.max_lr:
        yield base, f"{schedule.base_lr} is above max_lr, {schedule.max_lr}; swap or lower it"
    if schedule.base_lr is not None and schedule.div_factor is not None:
        yield base, "says the same as div_factor; keep one of them"


def _of_optimizer(optimizer: OptimizerConfig) -> Iterator[Fault]:
    name, decay = optimizer.name, decay_of(optimizer.name)
    if decay == "coupled" and optimizer.decay != decay:
        instead = f"{name}w" if f"{name}w" in NAMES else None
        other = "" if instead is None else f", or take {instead}"
        yield ("optimizer", "decay"), f"{name} adds weight decay to the gradient; set optimizer.decay: coupled{other}"
    elif decay == "decoupled" and optimizer.decay != decay:
        yield ("optimizer", "decay"), f"{name} shrinks weights itself; leave optimizer.decay: decoupled"
    refused = NOT_THEIR_OPTIONS if name in CONTROLS else NOT_OPTIONS
    for option in optimizer.options if name not in OWN else ():
        if option in refused:
            yield ("optimizer", "options", option), f"not an option here; it {refused[option]}"


def _of_the_rest(config: Config) -> Iterator[Fault]:
    train, optimizer, test = config.train, config.optimizer, config.lr_find
    if test.start_lr >= test.end_lr:
        yield ("lr_find", "start_lr"), f"{test.start_lr} must be below end_lr, {test.end_lr}"
    nesterov = ("optimizer", "nesterov")
    if optimizer.nesterov and optimizer.name != "sgd":
        yield nesterov, "is SGD's; set optimizer.name: sgd, or leave it out"
    if optimizer.nesterov and optimizer.name == "sgd" and config.schedule.momentum.low == 0:
        yield nesterov, "needs a momentum above 0"
    if config.model.pretrained and not {"/", ":"} & set(config.model.name):
        yield ("model", "pretrained"), f"{config.model.name} has no weights to start from; use --init CKPT"
    for index, epoch in enumerate(train.checkpoint_epochs):
        if epoch >= train.epochs:
            place = ("train", "checkpoint_epochs", index)
            yield place, f"{epoch} is past the last epoch, {train.epochs - 1} (they count from 0)"
    yield from _of_workers(config)
    if config.sweep.refine and config.sweep.until_decided:
        yield ("sweep", "refine"), "and until_decided: one at a time; a refined sweep can be resumed with more seeds"
    if config.sweep.refine and config.sweep.points is not None:
        yield ("sweep", "refine"), "and points: it goes on between the values of a grid; ask for more points instead"


def _of_workers(config: Config) -> Iterator[Fault]:
    """Faults of `sweep.parallel` and `sweep.workers`."""
    on_ray = config.sweep.launcher == "ray"
    parallel, workers = config.sweep.parallel, config.sweep.workers
    several = parallel if isinstance(parallel, int) and parallel > 1 else None
    for name, count in (("parallel", several), ("workers", workers)):
        most = 0 if on_ray and name == "workers" else 1  # so many may take what is there
        if count is not None and count > most and config.train.threads is None:
            yield ("sweep", name), f"{count}: needs train.threads, the cores of each trial, such as 1"
    if several is not None and workers is not None:
        yield ("sweep", "workers"), "and parallel: one at a time; leave sweep.parallel at auto"


def _of_values(config: Config) -> Iterator[Fault]:
    """Faults of `sweep.values`, `sweep.retune`, `lr_find.values` and `tune.values`."""
    overlaid = config.lr_find.values
    if len(overlaid) > 1:
        yield ("lr_find", "values"), f"{len(overlaid)} keys; vary one at a time"
    varied = {
        ("sweep", "values"): config.sweep.values,
        ("sweep", "retune"): config.sweep.retune,
        ("lr_find", "values"): overlaid,
        ("tune", "values"): config.tune.values,
    }
    for of, values in varied.items():
        for key, listed in values.items():
            yield from _of_listed(of, key, listed)


def _of_listed(of: tuple[str, str], key: str, listed: list[JsonValue]) -> Iterator[Fault]:
    """Faults of a key that is varied, and of its values."""
    (section, name), place = of, (*of, key)
    try:
        scope = scope_of(key)
    except ConfigError as error:
        yield place, str(error).partition(": ")[2]
        return
    if not scope & Scope.RUN or scope & Scope.REPEAT:
        yield place, "cannot be varied, it does not change what a run is; --set sets it for all"
    elif section == "lr_find" and scope & Scope.LENGTH:
        yield place, "changes no range test, which has a schedule of its own"
    elif section != "lr_find" and scope & Scope.JUDGE and len(listed) > 1:
        yield place, "cannot be varied, each value would be judged on other images; --set sets it for all"
    elif section == "tune" and key in MORE_WINS:
        yield place, f"is not searched, more would always win; {MORE_WINS[key]}"
    elif name == "retune" and key in MORE_WINS:
        yield place, "is not retuned, more would always win; --set sets it for all, or sweep it"
    for index, value in enumerate(listed):
        fault = value_fault(key, value)
        if fault is not None:
            yield (*place, index), explained(fault)


def check_together(config: Config, processes: int) -> None:
    """Check that a config is one by which so many processes can train together.

    Raises:
        ConfigError: it mixes images, or has an optimizer that keeps an average of its own; name, and what to do.
    """
    if processes == 1:
        return
    mixed = next((key for key in ("mixup", "cutmix") if getattr(config.train, key)), None)
    if mixed is not None:
        raise ConfigError(
            f"train.{mixed}: an image is mixed with one from the batch's other end, which another process has; "
            "set it 0, or train in one process"
        )
    if config.optimizer.name == FREE:
        raise ConfigError(f"optimizer.name: {FREE} is evaluated by an average, for one process alone; take adamw")


def advice(config: Config) -> list[str]:
    """What is allowed but probably not meant, a line each.

    A lone momentum below 0.5 is usually a pair that lost its way: the notebook this tool comes from wrote
    `moms=(0.99-0.90)`, trained half its runs at 0.09, and never knew.
    """
    lines = []
    momentum = config.schedule.momentum
    if not momentum.cyclic and momentum.high < 0.5:
        lines.append(
            f"schedule.momentum: {momentum} is constant and unusually low; did you mean a pair such as 0.95-0.85?"
        )
    if config.sweep.launcher != "local" and not config.sweep.workers:
        lines.append(f"sweep.launcher: {config.sweep.launcher} has no workers to start; say how many: --workers N")
    if config.data.validation == "test":
        lines.append(
            "data.validation: test: what is chosen on the test images is no longer tested by them; "
            "a held-out fraction such as 0.1 is"
        )
    return lines

"""Optimizers that do a schedule's work, each of a library of its own: what goes with them, and what is refused and why.

| name | library | what it does |
|---|---|---|
| schedulefree_adamw | schedulefree | averages its weights, where others let the learning rate fall (2405.15682) |
| prodigy | prodigyopt | finds its learning rate from how far the weights have come (2306.06101) |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from hpcli.config.optimizers import CONTROLS, FREE, NOT_OPTIONS, PRODIGY
from hpcli.errors import ConfigError

if TYPE_CHECKING:
    from hpcli.config.faults import Fault
    from hpcli.config.schema import Config

MOMENTUM = "schedule.momentum"
NOT_THEIR_OPTIONS = {
    **NOT_OPTIONS,
    "warmup_steps": "is schedule.warmup",
    "decouple": "is what optimizer.decay says",
    "fsdp_in_use": "is not used by hpcli's step",
}
"""Their arguments that `optimizer.options` cannot have, and why."""
_NO_RANGE_TEST = {
    FREE: "steps from an average that a rising learning rate weighs anew at every step, which no training does; "
    "compare some by hpcli sweep schedule.max_lr",
    PRODIGY: "finds its learning rate itself; train with schedule.max_lr: 1.0",
}
_NO_MOMENTA = {
    FREE: "has the share of its average in the point where gradients are taken for a momentum; leave it at one number "
    "such as 0.9",
    PRODIGY: "answers another momentum by another learning rate, so that the two cannot be told apart; leave it at one "
    "number such as 0.9",
}


def finds_rate(name: str) -> bool:
    """Whether an optimizer finds its learning rate itself, and takes 1.0 from the schedule."""
    return name == PRODIGY


def finder_of(name: str) -> str:
    """What finds a learning rate for an optimizer, or stands for one."""
    return {FREE: "hpcli sweep schedule.max_lr", PRODIGY: "another optimizer.options.d_coef"}.get(name, "hpcli lr-find")


def check_range_test(name: str) -> None:
    """Check that a range test says something of an optimizer.

    Raises:
        ConfigError: it does not.
    """
    if name in CONTROLS:
        raise ConfigError(f"optimizer.name: {name} takes no range test; it {_NO_RANGE_TEST[name]}")


def check_tuned(name: str) -> None:
    """Check that `tune` can search for an optimizer.

    Raises:
        ConfigError: it cannot.
    """
    if name in CONTROLS:
        raise ConfigError(
            f"optimizer.name: {name} cannot be tuned, as tune searches learning rates by momenta; hpcli sweep-wd "
            "compares weight decays"
        )


def conflicts_of_controls(config: Config) -> Iterator[Fault]:
    """Faults of a config with such an optimizer; none with another one."""
    name = config.optimizer.name
    for section, values in (("sweep", config.sweep.values), ("lr_find", config.lr_find.values)):
        varied = values.get("optimizer.name", [name])
        for each in CONTROLS if MOMENTUM in values else ():
            if each in varied:
                yield (section, "values", MOMENTUM), f"cannot be varied: {each} {_NO_MOMENTA[each]}"
    yield from _OF.get(name, _none)(config)


def _of_free(config: Config) -> Iterator[Fault]:
    if config.schedule.name != "constant":
        yield ("schedule", "name"), f"{FREE} takes the place of a schedule; set constant, momentum: 0.9, warmup: 0.05"
    if config.schedule.momentum.low == 0:
        yield ("schedule", "momentum"), f"{FREE} needs one above 0, such as 0.9"
    if config.train.ema is not None:
        yield ("train", "ema"), f"{FREE} averages the weights itself; leave it out"


def _of_prodigy(config: Config) -> Iterator[Fault]:
    schedule = config.schedule
    if schedule.name not in ("constant", "cosine"):
        yield (
            ("schedule", "name"),
            f"{PRODIGY} finds its learning rate itself; set constant or cosine, momentum: 0.9",
        )
    if schedule.max_lr != 1.0:
        yield ("schedule", "max_lr"), f"{PRODIGY} takes 1.0; optimizer.options.d_coef scales what it finds"
    warms_up = schedule.name == "cosine" if schedule.warmup is None else schedule.warmup > 0
    if warms_up and config.optimizer.options.get("safeguard_warmup") is not True:
        yield ("schedule", "warmup"), f"{PRODIGY} needs optimizer.options.safeguard_warmup: true with it; or set it 0"


def _none(_: Config) -> Iterator[Fault]:
    yield from ()


_OF: Mapping[str, Callable[[Config], Iterator[Fault]]] = {FREE: _of_free, PRODIGY: _of_prodigy}

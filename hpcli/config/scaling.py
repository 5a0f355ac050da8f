"""The learning rate that goes with another batch size or momentum, so that values are compared alike.

A batch k times as large averages away more noise, and leaves fewer steps for the same images: SGD's learning rate grows
by k (Goyal et al., 1706.02677, section 2.1), AdamW's by √k (Malladi et al., 2205.10287); all of timm's but SGD go as
AdamW, for want of better. SGD's momentum multiplies a
step by 1 / (1 − m) in the long run (1803.09820, section 4.3): the learning rate over (1 − m) is held, m being the
momentum at the highest learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpcli.config.controls import finds_rate
from hpcli.config.optimizers import scale_of
from hpcli.config.schema import Config

MAX_LR, BATCH, MOMENTUM = "schedule.max_lr", "data.batch_size", "schedule.momentum"


def scaled(config: Config, own: Config, keys: Sequence[str]) -> dict[str, float]:
    """The keys that a swept value sets besides its own, so that it has the learning rate that goes with it.

    Args:
        config: the base of the sweep.
        own: of the value.
        keys: that are swept.

    Returns:
        `schedule.max_lr` and, where the config sets it, `schedule.base_lr`; nothing where the value has the config's.
    """
    if MAX_LR in keys or not config.sweep.scale_lr or finds_rate(own.optimizer.name):
        return {}
    is_sgd, factor = scale_of(own.optimizer.name) == "sgd", 1.0
    if BATCH in keys:
        ratio = own.data.batch_size / config.data.batch_size
        factor *= ratio if is_sgd else math.sqrt(ratio)
    if MOMENTUM in keys and is_sgd:
        factor *= (1 - own.schedule.momentum.low) / (1 - config.schedule.momentum.low)
    if math.isclose(factor, 1.0):
        return {}
    rates = {MAX_LR: own.schedule.max_lr, "schedule.base_lr": own.schedule.base_lr}
    return {key: float(f"{factor * rate:.3g}") for key, rate in rates.items() if rate is not None}


def half_decades(value: float) -> list[float]:
    """A grid around a value: a decade down to a decade up, at one significant figure."""
    return [float(f"{value * 10 ** (half / 2):.0e}") for half in range(-2, 3)]


def rule(config: Config, keys: Sequence[str]) -> str:
    """How learning rates go with the swept values, in words; empty: they are all the config's."""
    if MAX_LR in keys or not config.sweep.scale_lr:
        return ""
    swept = config.sweep.values.get("optimizer.name")
    if not swept:
        return _rule(config.optimizer.name, keys)
    rules = {str(name): _rule(str(name), keys) for name in swept}
    return "; ".join(f"{name}: {words}" for name, words in rules.items() if words)


def _rule(optimizer: str, keys: Sequence[str]) -> str:
    is_sgd, rules = scale_of(optimizer) == "sgd", list[str]()
    if finds_rate(optimizer):
        return ""
    if BATCH in keys:
        rules.append("max_lr grows with the batch size" if is_sgd else "max_lr grows with the batch size's square root")
    if MOMENTUM in keys and is_sgd:
        rules.append("max_lr / (1 − momentum) is the same for all")
    return " and ".join(rules)

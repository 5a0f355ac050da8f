"""Schedules that only fall, after a warmup: cosine, linear, and warmup, stable, decay. The momentum is constant."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hpcli.config.schema import ScheduleConfig
from hpcli.training.schedules import Array, Schedule, warmed_up, warmup_steps

Shape = Literal["sqrt", "linear", "cosine"]
WARMUP, DECAY_RATIO = 0.05, 0.2
"""Shares of the run, where the config does not say."""


def decaying(
    num_steps: int, max_lr: float, momentum: float, *, shape: Shape, final_lr: float = 0.0, stable: int = 0
) -> Schedule:
    """`stable` steps at max_lr, and then down to final_lr, which would be reached a step after the last.

    `cosine` without stable steps is SGDR's (1608.03983) and torch's CosineAnnealingLR, `linear` torch's LinearLR from 1
    to 0. With them it is warmup-stable-decay; `sqrt`, 1 - √progress, is the best of the falls in 2405.18392.

    Args:
        num_steps: S.
        max_lr: to begin with.
        momentum: of every step.
        shape: of the fall.
        final_lr: where it leads.
        stable: steps before it.
    """
    progress = np.maximum(0, np.arange(num_steps) - stable) / max(1, num_steps - stable)
    left = {"cosine": (1 + np.cos(np.pi * progress)) / 2, "linear": 1 - progress, "sqrt": 1 - np.sqrt(progress)}
    lr: Array = final_lr + (max_lr - final_lr) * left[shape]
    return Schedule(lr, np.full(num_steps, momentum))


def cosine_table(schedule: ScheduleConfig, num_steps: int, _: int) -> Schedule:
    """The table of half a cosine."""
    return _table(schedule, num_steps, shape="cosine")


def linear_table(schedule: ScheduleConfig, num_steps: int, _: int) -> Schedule:
    """The table of a line down."""
    return _table(schedule, num_steps, shape="linear")


def wsd_table(schedule: ScheduleConfig, num_steps: int, _: int) -> Schedule:
    """The table of warmup, stable, decay."""
    ratio = DECAY_RATIO if schedule.decay_ratio is None else schedule.decay_ratio
    falls = max(1, round(ratio * num_steps))
    return _table(schedule, num_steps, shape=schedule.decay_type or "sqrt", falls=falls)


def _table(schedule: ScheduleConfig, num_steps: int, *, shape: Shape, falls: int | None = None) -> Schedule:
    """Warmed up, then as it is until so many steps are left, then down; None: down at once."""
    rises = warmup_steps(WARMUP if schedule.warmup is None else schedule.warmup, num_steps)
    stable = rises if falls is None else max(rises, num_steps - falls)
    final_lr = 0.0 if schedule.final_div_factor is None else schedule.max_lr / schedule.final_div_factor
    found = decaying(num_steps, schedule.max_lr, schedule.momentum.high, shape=shape, final_lr=final_lr, stable=stable)
    return warmed_up(found, rises)

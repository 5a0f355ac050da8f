"""Learning rate and momentum as a table: one row a step, computed before training by pure functions.

A schedule is the only thing in which a range test, 1cycle, CLR and a piecewise-constant run differ. Plain numpy.
Letters: S steps; `position` is how far a step is up the cycle, from 0 (lowest learning rate) to 1 (highest).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcli import catalog
from hpcli.catalog import load_named
from hpcli.config import Config, Momentum
from hpcli.config.schema import ScheduleConfig

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Schedule:
    """The table, and where its cycles end."""

    lr: Array  # [S]
    momentum: Array  # [S]
    cycle_ends: tuple[int, ...] = ()  # the last step of each cycle
    is_range: bool = False  # a range test's: every learning rate stands for the highest of a run of its own

    def __len__(self) -> int:
        return len(self.lr)


def cyclical(
    num_steps: int,
    base_lr: float,
    max_lr: float,
    momentum: Momentum,
    *,
    step_size: float,
    name: str = "triangular",
    gamma: float = 0.99994,
) -> Schedule:
    """Smith's CLR (1506.01186, section 3): straight up from base_lr to max_lr in `step_size` steps, and down again.

    `triangular2` halves the height of each next cycle; `exp_range` multiplies it by `gamma` a step. The momentum
    mirrors the learning rate, height included, as torch's CyclicLR has it.
    """
    step = np.arange(num_steps)
    cycle = np.floor(1 + step / (2 * step_size))
    position = np.maximum(0, 1 - np.abs(step / step_size - 2 * cycle + 1))
    heights = {"triangular": np.ones(num_steps), "triangular2": 0.5 ** (cycle - 1), "exp_range": gamma**step}
    height = heights[name]
    ends = np.arange(1, num_steps // (2 * step_size) + 1) * 2 * step_size - 1
    lr: Array = base_lr + (max_lr - base_lr) * position * height
    return Schedule(lr, mirrored(momentum, position * height), tuple(int(np.ceil(end)) for end in ends))


def piecewise(num_steps: int, max_lr: float, momentum: float, *, milestones: Sequence[int], gamma: float) -> Schedule:
    """Piecewise constant: max_lr, multiplied by `gamma` from each of the steps `milestones` on."""
    step = np.arange(num_steps)
    drops = np.searchsorted(np.sort(np.asarray(milestones, dtype=np.int64)), step, side="right")
    return Schedule(max_lr * np.power(gamma, drops), np.full(num_steps, momentum))


def constant(num_steps: int, max_lr: float, momentum: float) -> Schedule:
    """One learning rate throughout."""
    return Schedule(np.full(num_steps, max_lr), np.full(num_steps, momentum))


def lr_find(num_steps: int, start_lr: float, end_lr: float, momentum: float, *, mode: str = "exp") -> Schedule:
    """A range test's table: from start_lr to end_lr, both included.

    `exp` goes by equal factors, `linear` by equal differences, as Smith's own.
    """
    space = np.geomspace if mode == "exp" else np.linspace
    return Schedule(space(start_lr, end_lr, num_steps), np.full(num_steps, momentum), is_range=True)


def warmed_up(schedule: Schedule, num_steps: int) -> Schedule:
    """A schedule whose first steps rise in a line to what it has there: step i has (i + 1) / (num_steps + 1) of it."""
    share = np.minimum(1, (np.arange(len(schedule)) + 1) / (num_steps + 1))
    return Schedule(schedule.lr * share, schedule.momentum, schedule.cycle_ends)


def warmup_steps(share: float, num_steps: int) -> int:
    """The number of steps of a share of the run; one is left."""
    return min(round(share * num_steps), num_steps - 1)


def mirrored(momentum: Momentum, position: Array) -> Array:
    """The momentum that falls where the learning rate rises: high at position 0, low at 1."""
    return momentum.high - (momentum.high - momentum.low) * position


Table = Callable[[ScheduleConfig, int, int], Schedule]
"""From the section `schedule`, the number of steps, and the steps an epoch to the table: what the catalog names."""


def training_schedule(config: Config, steps_per_epoch: int) -> Schedule:
    """The table of a whole training run, as `config.schedule` and `config.train.epochs` say."""
    table: Table = load_named(catalog.SCHEDULES, config.schedule.name, "schedule.name")
    return table(config.schedule, config.train.epochs * steps_per_epoch, steps_per_epoch)


def lr_find_schedule(config: Config) -> Schedule:
    """The table of a range test. Of a momentum pair it uses the lower: the one that meets the highest learning rate."""
    test = config.lr_find
    return lr_find(test.steps, test.start_lr, test.end_lr, config.schedule.momentum.low, mode=test.mode)


def cyclical_table(schedule: ScheduleConfig, num_steps: int, _: int) -> Schedule:
    """The table of CLR, with the shape that the section names."""
    return cyclical(
        num_steps,
        schedule.base_lr or schedule.max_lr / (schedule.div_factor or 4),
        schedule.max_lr,
        schedule.momentum,
        step_size=schedule.step_size or num_steps / (2 * min(schedule.cycles, num_steps)),
        name=schedule.name,
        gamma=schedule.gamma or 0.99994,
    )


def piecewise_table(schedule: ScheduleConfig, num_steps: int, steps_per_epoch: int) -> Schedule:
    """The table with drops at the milestones; by default at half and three quarters of the run."""
    epochs = num_steps // steps_per_epoch
    milestones = schedule.milestones or (epochs / 2, epochs * 3 / 4)
    steps = [round(epoch * steps_per_epoch) for epoch in milestones]
    found = piecewise(num_steps, schedule.max_lr, schedule.momentum.high, milestones=steps, gamma=schedule.gamma or 0.1)
    return warmed_up(found, warmup_steps(schedule.warmup or 0.0, num_steps))


def constant_table(schedule: ScheduleConfig, num_steps: int, _: int) -> Schedule:
    """The table of one learning rate."""
    found = constant(num_steps, schedule.max_lr, schedule.momentum.high)
    return warmed_up(found, warmup_steps(schedule.warmup or 0.0, num_steps))

"""1cycle, as four libraries compute it (1708.07120; 1803.09820)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcli.config import Momentum
from hpcli.config.schema import ScheduleConfig
from hpcli.training.schedules import Array, Schedule, mirrored


@dataclass(frozen=True)
class Dialect:
    """A library's numbers for 1cycle.

    `fastai`: callbacks/one_cycle.py of fastai 1.0; the peak is step int(0.3 S), the final value is never trained on.
    `fastai2`: `combined_cos` of fastai 2, read before each batch. `torch`: OneCycleLR, whose peak lies a step earlier
    and which ends on the final value. `smith`: 1803.09820 as in his released logs: straight up for `step_size` steps,
    straight down towards zero, held at the final value, base_lr / 1000.
    """

    div_factor: float
    final_div_factor: float
    pct_start: float


DIALECTS = {
    "fastai": Dialect(25, 25 * 1e4, 0.3),
    "fastai2": Dialect(25, 1e5, 0.25),
    "torch": Dialect(25, 25 * 1e4, 0.3),
    "smith": Dialect(10, 10 * 1e3, 0.45),
}


def one_cycle(
    num_steps: int,
    max_lr: float,
    momentum: Momentum,
    *,
    dialect: str = "fastai",
    base_lr: float | None = None,
    div_factor: float | None = None,
    final_div_factor: float | None = None,
    pct_start: float | None = None,
    step_size: int | None = None,
) -> Schedule:
    """One cycle of `num_steps` steps, from base_lr to max_lr and down to the final value, as its `dialect` computes it.

    Numbers left at None are the dialect's. `base_lr`: the first learning rate, else max_lr / div_factor;
    `final_div_factor`: max_lr / the final one (torch's own is relative to the first: its 1e4 is 2.5e5 here);
    `pct_start`: share of the steps spent rising, or `step_size` of them.
    """
    preset = DIALECTS[dialect]
    div = div_factor or preset.div_factor
    base = max_lr / div if base_lr is None else base_lr
    below_base = preset.final_div_factor / preset.div_factor  # fastai 2 alone counts from the highest
    default = max_lr / preset.final_div_factor if dialect == "fastai2" else base / below_base
    final = max_lr / final_div_factor if final_div_factor else default
    share = pct_start or preset.pct_start
    if dialect == "smith":
        rise = step_size or max(1, round(share * num_steps))
        return _smith(num_steps, base, max_lr, final, rise, momentum)
    share = step_size / num_steps if step_size else share
    rising, progress = _PHASES[dialect](num_steps, share)
    lr = np.where(rising, _cosine(base, max_lr, progress), _cosine(max_lr, final, progress))
    high, low = momentum
    momenta = np.where(rising, _cosine(high, low, progress), _cosine(low, high, progress))
    return Schedule(lr, momenta, (num_steps - 1,))


def _cosine(start: float, end: float, progress: Array) -> Array:
    return end + (start - end) / 2 * (np.cos(np.pi * progress) + 1)


def _fastai_phases(num_steps: int, share: float) -> tuple[NDArray[np.bool_], Array]:
    step = np.arange(num_steps)
    peak = int(num_steps * share)
    return step < peak, np.where(step < peak, step / max(peak, 1), (step - peak) / max(num_steps - peak, 1))


def _fastai2_phases(num_steps: int, share: float) -> tuple[NDArray[np.bool_], Array]:
    done = np.arange(num_steps) / num_steps
    return done < share, np.where(done < share, done / share, (done - share) / (1 - share) if share < 1 else 0.0)


def _torch_phases(num_steps: int, share: float) -> tuple[NDArray[np.bool_], Array]:
    step = np.arange(num_steps)
    peak = share * num_steps - 1
    rising = step <= peak
    up = step / peak if peak > 0 else np.ones(num_steps)
    return rising, np.where(rising, up, (step - peak) / (num_steps - 1 - peak) if num_steps - 1 > peak else 1.0)


_PHASES: dict[str, Callable[[int, float], tuple[NDArray[np.bool_], Array]]] = {
    "fastai": _fastai_phases,
    "fastai2": _fastai2_phases,
    "torch": _torch_phases,
}


def _smith(num_steps: int, base: float, max_lr: float, final: float, rise: int, momentum: Momentum) -> Schedule:
    step = np.arange(num_steps)
    up = np.minimum(step / rise, 1)
    down = np.clip((step - rise) / rise, 0, 1)
    falling = np.maximum(final, max_lr * (1 - (step - rise) / rise))
    lr = np.where(step <= rise, base + (max_lr - base) * up, falling)
    return Schedule(lr, mirrored(momentum, np.where(step <= rise, up, 1 - down)), (num_steps - 1,))


def one_cycle_table(schedule: ScheduleConfig, num_steps: int, _: int) -> Schedule:
    """The table of one or more cycles, each 1cycle."""
    edges = np.linspace(0, num_steps, min(schedule.cycles, num_steps) + 1).round().astype(int)
    parts = [
        one_cycle(
            int(steps),
            schedule.max_lr,
            schedule.momentum,
            dialect=schedule.dialect,
            base_lr=schedule.base_lr,
            div_factor=schedule.div_factor,
            final_div_factor=schedule.final_div_factor,
            pct_start=schedule.pct_start,
            step_size=schedule.step_size,
        )
        for steps in np.diff(edges)
    ]
    lr, momentum = (np.concatenate([getattr(part, column) for part in parts]) for column in ("lr", "momentum"))
    return Schedule(lr, momentum, tuple(int(edge) - 1 for edge in edges[1:]))

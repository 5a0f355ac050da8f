"""Schedules that only fall, against torch's, and by their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from hpcli.config import load_config
from hpcli.errors import ConfigError
from hpcli.training.schedules import Schedule, training_schedule


def table(name: str, steps: int = 60, **keys: object) -> Schedule:
    """A schedule of a run of three epochs."""
    own = {f"schedule.{key}": value for key, value in keys.items()}
    given = {"schedule.name": name, "schedule.momentum": 0.9, "schedule.max_lr": 0.4, "train.epochs": 3, **own}
    return training_schedule(load_config(overrides=given), steps // 3)


def torchs(build: Callable[..., lr_scheduler.LRScheduler], steps: int, **arguments: float) -> list[float]:
    """The learning rates of a scheduler of torch, called after every step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler, found = build(optimizer, **arguments), []
    for _ in range(steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


def test_without_warmup_cosine_and_linear_are_torchs() -> None:
    cosine = torchs(lr_scheduler.CosineAnnealingLR, 60, T_max=60, eta_min=0.4 / 50)
    assert table("cosine", warmup=0, final_div_factor=50).lr == pytest.approx(cosine, rel=1e-9)
    linear = torchs(lr_scheduler.LinearLR, 60, start_factor=1.0, end_factor=0.0, total_iters=60)
    assert table("linear", warmup=0).lr == pytest.approx(linear, rel=1e-9)


@pytest.mark.parametrize("name", ["cosine", "linear", "wsd", "piecewise", "constant"])
def test_the_warmup_rises_in_a_line_from_above_zero_and_the_rest_stays(name: str) -> None:
    found, plain = table(name, warmup=0.2), table(name, warmup=0)
    assert found.lr[:12] == pytest.approx(0.4 * np.arange(1, 13) / 13)
    assert found.lr.max() == found.lr[12] == 0.4
    assert found.momentum == pytest.approx(np.full(60, 0.9))
    if name in ("wsd", "piecewise", "constant"):  # the others begin to fall where it ends
        assert found.lr[12:] == pytest.approx(plain.lr[12:])


def test_cosine_falls_from_the_end_of_the_warmup() -> None:
    lr = table("cosine").lr  # 0.05 of 60 steps
    assert lr[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert lr[3:] == pytest.approx([0.2 * (1 + math.cos(math.pi * step / 57)) for step in range(57)])


@pytest.mark.parametrize(
    ("shape", "left"),
    [("sqrt", lambda share: 1 - math.sqrt(share)), ("linear", lambda share: 1 - share),
     ("cosine", lambda share: (1 + math.cos(math.pi * share)) / 2)],
)  # fmt: skip
def test_wsd_is_stable_and_falls_at_the_end(shape: str, left: Callable[[float], float]) -> None:
    lr = table("wsd", decay_type=shape, decay_ratio=0.5, warmup=0.1).lr
    assert lr[6:30] == pytest.approx(np.full(24, 0.4))
    assert lr[30:] == pytest.approx([0.4 * left(step / 30) for step in range(30)])


def test_wsd_falls_over_the_last_fifth_by_the_root_where_nothing_is_said() -> None:
    assert np.array_equal(table("wsd").lr, table("wsd", decay_type="sqrt", decay_ratio=0.2, warmup=0.05).lr)


@pytest.mark.parametrize("steps", [3, 6, 9])
@pytest.mark.parametrize("name", ["cosine", "linear", "wsd", "piecewise", "constant"])
def test_short_runs_have_rates_above_zero(name: str, steps: int) -> None:
    lr = table(name, steps, warmup=0.99).lr
    assert len(lr) == steps
    assert (lr > 0).all()
    assert lr.max() <= 0.4


def test_a_pair_of_momenta_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a learning rate that cycles, and cosine does not"):
        load_config(overrides={"schedule.name": "cosine"})

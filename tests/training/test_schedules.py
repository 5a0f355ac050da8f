from __future__ import annotations

import csv
import warnings
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch

from hpcli.config import load_config, with_overrides
from hpcli.config.momentum import Momentum
from hpcli.training.one_cycle import DIALECTS, one_cycle
from hpcli.training.schedules import cyclical, lr_find, lr_find_schedule, piecewise, training_schedule

PAIR = Momentum(0.95, 0.85)


def fastai_cos(start: float, end: float, share: float) -> float:
    return float(end + (start - end) / 2 * (np.cos(np.pi * share) + 1))


@pytest.mark.parametrize(
    ("steps", "peak", "last"), [(195, 58, 1.35e-6), (585, 175, 1.87e-7), (1560, 468, 6.07e-8), (2925, 877, 4.59e-8)]
)
def test_fastai_is_fastai_v1s(steps: int, peak: int, last: float) -> None:
    """fastai 1.0.64, callbacks/one_cycle.py: two cosines, the first int(0.3 n) batches long."""
    table = one_cycle(steps, 1e-2, PAIR)
    first = int(0.3 * steps)
    for step in range(steps):
        if step < first:
            lr = fastai_cos(1e-2 / 25, 1e-2, step / first)
            momentum = fastai_cos(0.95, 0.85, step / first)
        else:
            share = (step - first) / (steps - first)
            lr, momentum = fastai_cos(1e-2, 1e-2 / 2.5e5, share), fastai_cos(0.85, 0.95, share)
        assert table.lr[step] == pytest.approx(lr, rel=1e-13)
        assert table.momentum[step] == pytest.approx(momentum, rel=1e-13)
    assert table.lr.argmax() == peak
    assert table.lr[peak] == 1e-2
    assert table.lr[-1] == pytest.approx(last, rel=5e-3)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 40, 195])
def test_fastai2_is_fastai_2s(steps: int) -> None:
    """fastai 2, callback/schedule.py: combined_cos(0.25, lr/25, lr, lr/1e5), read at step/n before each batch."""
    table = one_cycle(steps, 1e-2, PAIR, dialect="fastai2")
    for step in range(steps):
        done = step / steps
        if done < 0.25:
            lr, momentum = fastai_cos(1e-2 / 25, 1e-2, done / 0.25), fastai_cos(0.95, 0.85, done / 0.25)
        else:
            share = (done - 0.25) / 0.75
            lr, momentum = fastai_cos(1e-2, 1e-7, share), fastai_cos(0.85, 0.95, share)
        assert table.lr[step] == pytest.approx(lr, rel=1e-12)
        assert table.momentum[step] == pytest.approx(momentum, rel=1e-12)


@pytest.mark.parametrize("pct_start", [0.1, 0.3, 0.45, 0.5])
@pytest.mark.parametrize("steps", [3, 4, 9, 11, 195, 585, 1560, 2925])
def test_torch_is_onecyclelr(steps: int, pct_start: float) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1e-2, momentum=0.9)
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps, pct_start=pct_start)
    table = one_cycle(steps, 1e-2, PAIR, dialect="torch", pct_start=pct_start)
    for step in range(steps):
        group = optimizer.param_groups[0]
        assert table.lr[step] == pytest.approx(group["lr"], abs=1e-12)
        assert table.momentum[step] == pytest.approx(group["momentum"], abs=1e-12)
        optimizer.step()
        if step < steps - 1:
            reference.step()


def smiths_logs() -> dict[str, list[dict[str, str]]]:
    lines = (Path(__file__).parent / "smith/learning_rates.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    return {series: list(group) for series, group in groupby(rows, key=lambda row: row["series"])}


@pytest.mark.parametrize(("series", "rows"), smiths_logs().items())
def test_smith_is_what_his_runs_logged(series: str, rows: list[dict[str, str]]) -> None:
    first = rows[0]
    base, highest, rise, steps = (
        float(first["base_lr"]),
        float(first["max_lr"]),
        int(first["step_size"]),
        int(first["num_steps"]),
    )
    if first["policy"] == "1cycle":
        table = one_cycle(steps, highest, PAIR, dialect="smith", base_lr=base, step_size=rise)
    else:
        table = cyclical(steps, base, highest, PAIR, step_size=rise)
    assert len(rows) == 15, series
    for row in rows:
        assert table.lr[int(row["step"])] == pytest.approx(float(row["lr"]), rel=1e-4), row


def test_there_are_all_of_smiths_runs() -> None:
    policies = [rows[0]["policy"] for rows in smiths_logs().values()]
    assert sorted(policies) == ["1cycle"] * 6 + ["triangular"]


def test_smith_by_default() -> None:
    table = one_cycle(1000, 1.0, PAIR, dialect="smith")
    assert table.lr[0] == pytest.approx(0.1)
    assert table.lr.argmax() == 450
    assert table.lr[899] == pytest.approx(1 - 449 / 450)
    assert table.lr[-1] == pytest.approx(1e-4)
    assert table.momentum[450] == pytest.approx(0.85)
    assert table.momentum[-1] == 0.95


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("pct_start", [None, 0.01, 0.5, 0.99])
def test_the_shortest_runs_have_finite_tables(steps: int, dialect: str, pct_start: float | None) -> None:
    table = one_cycle(steps, 1e-2, PAIR, dialect=dialect, pct_start=pct_start)
    assert len(table) == steps
    assert np.isfinite(table.lr).all()
    assert ((table.lr > 0) & (table.lr <= 1e-2 * (1 + 1e-12))).all()
    assert ((table.momentum >= 0.85 - 1e-12) & (table.momentum <= 0.95 + 1e-12)).all()


@pytest.mark.parametrize("name", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize("steps", [1, 2, 3, 100])
def test_clr_follows_its_formula(name: str, steps: int) -> None:
    """1506.01186, section 3."""
    size = max(1, steps // 4)
    table = cyclical(steps, 0.1, 0.9, PAIR, step_size=size, name=name, gamma=0.99)
    for step in range(steps):
        cycle = np.floor(1 + step / (2 * size))
        x = abs(step / size - 2 * cycle + 1)
        height = {"triangular": 1.0, "triangular2": 1 / 2 ** (cycle - 1), "exp_range": 0.99**step}[name]
        assert table.lr[step] == pytest.approx(0.1 + 0.8 * max(0, 1 - x) * height, rel=1e-12)


def test_clr_ends_its_cycles() -> None:
    assert cyclical(100, 0.1, 1, PAIR, step_size=10).cycle_ends == (19, 39, 59, 79, 99)
    assert cyclical(10, 0.1, 1, PAIR, step_size=2.5).cycle_ends == (4, 9)


def test_piecewise_is_multisteplr() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.35)
    reference = torch.optim.lr_scheduler.MultiStepLR(optimizer, [5, 7], gamma=0.1)
    table = piecewise(9, 0.35, 0.9, milestones=[7, 5], gamma=0.1)
    for step in range(9):
        assert table.lr[step] == pytest.approx(optimizer.param_groups[0]["lr"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference.step()


def test_range_test_by_factors_and_by_differences() -> None:
    factors = lr_find(211, 1e-6, 10, 0.85)
    assert factors.lr[0] == 1e-6
    assert factors.lr[-1] == pytest.approx(10)
    assert np.allclose(factors.lr[1:] / factors.lr[:-1], 10 ** (7 / 210))
    linear = lr_find(11, 0, 3, 0.9, mode="linear")
    assert np.allclose(linear.lr, np.linspace(0, 3, 11))
    assert lr_find(1, 1e-6, 10, 0.9).lr.tolist() == [1e-6]


def test_a_range_test_uses_the_momentum_that_meets_the_highest_rate() -> None:
    table = lr_find_schedule(load_config())
    assert len(table) == 210
    assert set(table.momentum) == {0.85}


def test_tables_from_a_config() -> None:
    config = load_config(None, {"train.epochs": 6, "schedule.cycles": 3})
    table = training_schedule(config, 10)
    assert table.cycle_ends == (19, 39, 59)
    assert [table.lr[start : start + 20].argmax() for start in (0, 20, 40)] == [6, 6, 6]
    flat = {"schedule.momentum": 0.9}
    steps = training_schedule(with_overrides(config, {**flat, "schedule.name": "piecewise"}), 10)
    assert [int(np.sum(np.isclose(steps.lr, lr))) for lr in (1e-2, 1e-3, 1e-4)] == [30, 15, 15]
    even = training_schedule(with_overrides(config, {**flat, "schedule.name": "constant"}), 10)
    assert set(even.lr) == {1e-2}
    three = training_schedule(with_overrides(config, {"schedule.name": "triangular2"}), 10)
    assert three.cycle_ends == (19, 39, 59)
    assert three.lr[10] == pytest.approx(1e-2)
    assert three.lr[30] == pytest.approx(0.0025 + 0.0075 / 2)


def test_more_cycles_than_steps_do_not_break_it() -> None:
    config = load_config(None, {"train.epochs": 1, "schedule.cycles": 50})
    for name in ("one_cycle", "triangular"):
        assert len(training_schedule(with_overrides(config, {"schedule.name": name}), 3)) == 3

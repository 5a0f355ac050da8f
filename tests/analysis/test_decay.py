from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hpcli.analysis.decay import budget, indistinct
from hpcli.config import Momentum
from hpcli.training.one_cycle import one_cycle

SOURCE = (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
"""The weight decays of the notebook hpcli comes from: 2 epochs of 195 steps, peak 1e-2, AdamW."""


def source_run(epochs: int) -> tuple[np.ndarray, np.ndarray]:
    schedule = one_cycle(195 * epochs, 1e-2, Momentum(0.95, 0.85))
    return schedule.lr, schedule.momentum


def test_the_sources_grid_could_not_differ_in_two_epochs() -> None:
    lr, momentum = source_run(2)
    assert lr.sum() == pytest.approx(1.974, abs=1e-3)
    budgets = [budget(lr, momentum, each, epochs=2) for each in SOURCE]
    assert [each.shrinkage for each in budgets] == pytest.approx([0, 2e-5, 6e-5, 2e-4, 6e-4, 2e-3], rel=0.02)
    flagged = indistinct(budgets, 2)
    assert len(flagged) == 15
    assert {pair.words for pair in flagged} == {"no systematic difference expected"}
    (widest,) = [pair for pair in flagged if (pair.first, pair.second) == (0.0, 1e-3)]
    assert widest.epochs == math.ceil(2 * 0.1 / (1.974e-3))
    assert budget(lr, momentum, 1e-1, epochs=2).shrinkage == pytest.approx(0.18, abs=0.005)


def test_fifteen_epochs_could_show_some_pairs() -> None:
    lr, momentum = source_run(15)
    assert lr.sum() == pytest.approx(14.8, abs=0.05)
    values = (*SOURCE, 1e-2)
    flagged = {
        (each.first, each.second): each.words
        for each in indistinct([budget(lr, momentum, v, epochs=15) for v in values], 15)
    }
    assert flagged[0.0, 1e-4] == "no systematic difference expected"
    assert flagged[0.0, 1e-3] == "unlikely to show with these seeds"
    assert all((value, 1e-2) not in flagged for value in SOURCE)
    assert budget(lr, momentum, 1e-2, epochs=15).epochs_to_decay == pytest.approx(15 / 0.148, rel=0.01)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-3, 0.05])
def test_the_recursion_is_torchs_sgd(nesterov: bool, weight_decay: float) -> None:
    lr, momentum = source_run(2)
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    sgd = torch.optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=weight_decay, nesterov=nesterov)
    for rate, memory in zip(lr, momentum, strict=True):
        sgd.param_groups[0].update(lr=float(rate), momentum=float(memory))
        weight.grad = torch.zeros_like(weight)
        sgd.step()
    found = budget(lr, momentum, weight_decay, epochs=2, coupled=True, nesterov=nesterov)
    assert found.shrinkage == pytest.approx(1 - weight.item(), abs=1e-6)


def test_momentum_multiplies_a_coupled_decay() -> None:
    lr, momentum = np.full(1000, 1e-2), np.full(1000, 0.9)
    coupled = budget(lr, momentum, 1e-3, epochs=1, coupled=True)
    plain = budget(lr, momentum, 1e-3, epochs=1)
    assert coupled.rate == pytest.approx(10 * plain.rate)
    assert coupled.shrinkage / plain.shrinkage == pytest.approx(9.5, rel=0.05)
    assert budget(lr, momentum, 0.0, epochs=1).epochs_to_decay is None


@pytest.mark.parametrize("tiny", [5e-324, 1e-320, 1e-300, 1e-30])
def test_decays_that_do_nothing_at_all_have_no_number_of_epochs(tiny: float) -> None:
    """Their rates may be equal: a division by nothing."""
    lr, momentum = np.full(50, 1e-3), np.full(50, 0.9)
    (pair,) = indistinct([budget(lr, momentum, value, epochs=5) for value in (0.0, tiny)], 5)
    assert pair.words == "no systematic difference expected"
    assert pair.epochs is None

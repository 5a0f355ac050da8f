from __future__ import annotations

import pytest

from hpcli.results.main_facts import main_facts


@pytest.mark.parametrize(
    ("parameter", "choice", "facts"),
    [
        ("optimizer.weight_decay", 0.01, {"optimizer.weight_decay": 0.01}),
        ("schedule.momentum", [0.95, 0.85], {"schedule.momentum": [0.95, 0.85]}),
        (
            "schedule.max_lr & optimizer.weight_decay",
            [0.01, 0.1],
            {"schedule.max_lr": 0.01, "optimizer.weight_decay": 0.1},
        ),
        ("schedule.max_lr & optimizer.weight_decay", None, {"choice": "none"}),
        ("optimizer.weight_decay", None, {"choice": "none"}),
        ("schedule.max_lr & optimizer.weight_decay", [0.01], {}),
    ],
)
def test_a_sweeps_choice_is_by_key(parameter: str, choice: object, facts: dict[str, object]) -> None:
    assert main_facts("sweep", {"parameter": parameter, "choice": choice}) == facts


def test_a_sweep_that_is_not_over_has_none() -> None:
    assert main_facts("sweep", {"parameter": "optimizer.weight_decay"}) == {}

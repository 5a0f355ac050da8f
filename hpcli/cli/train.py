"""`hpcli train`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcli.cli.command import Call, command

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpcli.results import Result

KEYS = ("train.epochs", "schedule.max_lr", "schedule.momentum", "optimizer.weight_decay", "init.weights")


@command(KEYS, resumes=True)
def train(call: Call) -> int:
    """Train by the config's schedule, evaluating after every epoch."""
    session = call.session()
    code = session.run(early=_early)
    session.go_on()
    return code


def _early(result: Result) -> dict[str, Figure]:
    from hpcli import plots
    from hpcli.plots.train import early_figures
    from hpcli.results.train import TrainResult

    assert isinstance(result, TrainResult)
    return plots.captioned(result, early_figures(result))

"""`hpcli train`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from hpcli.cli.command import Call, command
from hpcli.cli.session import Session
from hpcli.states import RunStatus

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpcli.results import Result

KEYS = ("train.epochs", "schedule.max_lr", "schedule.momentum", "optimizer.weight_decay", "init.weights")


@command(KEYS, resumes=True)
def train(call: Call) -> int:
    """Train by the config's schedule, evaluating after every epoch."""
    session = call.session()
    code = session.run(early=_early)
    _go_on(session)
    return code


def _go_on(session: Session) -> None:
    """Say how to look at what was trained, or how to find a learning rate at which it trains."""
    if session.result is not None:
        session.say_next(f"hpcli evaluate {shlex.quote(str(session.path))}", of_run=True)
    elif session.summary.get("status") == RunStatus.DIVERGED:
        session.say_next("hpcli lr-find")


def _early(result: Result) -> dict[str, Figure]:
    from hpcli import plots
    from hpcli.plots.train import early_figures
    from hpcli.results.train import TrainResult

    assert isinstance(result, TrainResult)
    return plots.captioned(result, early_figures(result))

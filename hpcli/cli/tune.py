"""`hpcli tune`."""

from __future__ import annotations

import re
import shlex
from typing import Annotated

import typer

from hpcli.cli.command import Call, command
from hpcli.cli.session import Session
from hpcli.errors import DIVERGED, UsageError
from hpcli.states import RunStatus

KEYS = ("tune.runs", "tune.epochs", "tune.confirm", "tune.until", "init.weights")
UNITS = {"s": 1 / 60, "m": 1.0, "h": 60.0}
Budget = Annotated[
    str | None, typer.Option(metavar="TIME", help="As many runs as fit into 30m, 2h or 90s, instead of --runs.")
]


@command(KEYS, resumes=True)
def tune(call: Call, budget: Budget = None) -> int:
    """Search learning rate, momentum and weight decay together, judge on fresh seeds, train."""
    session = call.session({} if budget is None else {"tune.minutes": minutes(budget)})
    code = session.run(again=True)
    _draw_steps(session)
    _go_on(session)
    found_nothing = session.summary.get("status") == RunStatus.FINISHED and session.summary.get("choice") is None
    return DIVERGED if found_nothing else code


def minutes(text: str) -> float:
    """A time such as 30m.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"--budget {text}: write a time such as 30m, 2h or 90s")
    return float(match[1]) * UNITS[match[2]]


def _draw_steps(session: Session) -> None:
    """The pictures of the range test and of the training, in their own folders."""
    from hpcli import plots
    from hpcli.recording.disk import DiskRecorder
    from hpcli.runs.run import Run

    for folder in sorted(session.path.glob("*/status.json")) if session.path else []:
        step = Run.open(folder.parent)
        recorder = DiskRecorder.reopen(step.command, step.path, step.config)
        for name, figure in plots.figures(step.result).items():
            recorder.keep_figure(name, figure)


def _go_on(session: Session) -> None:
    """Say where the config with what was found lies, and what can be done with it."""
    if session.result is None or session.path is None or session.summary.get("choice") is None:
        return
    best = session.path / "best.yaml"
    if best.exists():
        session.terminal.note(f"what was found, each value with its reason: {best}")
        trained = session.path / "train"
        following = (
            f"evaluate {shlex.quote(str(trained))}" if trained.exists() else f"train -c {shlex.quote(str(best))}"
        )
        session.say_next(f"hpcli {following}", of_run=True)
    else:
        session.say_next(f"hpcli tune --resume {shlex.quote(str(session.path))} --until train", of_run=True)

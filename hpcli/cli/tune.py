"""`hpcli tune`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcli.cli.command import Call, command
from hpcli.cli.options import Given
from hpcli.errors import DIVERGED, UsageError

if TYPE_CHECKING:
    from hpcli.results.tune import TuneResult

KEYS = ("tune.runs", "tune.epochs", "tune.confirm", "tune.until", "init.weights")
UNITS = {"s": 1 / 60, "m": 1.0, "h": 60.0}
Budget = Annotated[
    str | None, typer.Option(metavar="TIME", help="As many runs as fit into 30m, 2h or 90s, instead of --runs.")
]


@command(KEYS, resumes=True)
def tune(call: Call, budget: Budget = None) -> int:
    """Search learning rate, momentum and weight decay together, judge on fresh seeds, train."""
    from hpcli.results.tune import TuneResult

    session = call.session(_length(call, budget))
    code = session.run(again=True)
    if not isinstance(session.result, TuneResult) or session.path is None:
        return code
    _draw_steps(session.path, session.result)
    session.go_on()
    return DIVERGED if session.result.is_lost else code


def _length(call: Call, budget: str | None) -> Given:
    """The key that `--budget` sets; `--runs` takes its place when a run is gone on with."""
    if budget is None:
        return {"tune.minutes": None} if "tune.runs" in call.keys else {}
    if "tune.runs" in call.keys:
        raise UsageError("--budget and --runs: give one of them, a time or a number of runs")
    return {"tune.minutes": minutes(budget)}


def minutes(text: str) -> float:
    """A time such as 30m.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"--budget {text}: write a time such as 30m, 2h or 90s")
    return float(match[1]) * UNITS[match[2]]


def _draw_steps(path: Path, result: TuneResult) -> None:
    """Draw the pictures of range test and training, in their own folders."""
    from hpcli import plots
    from hpcli.recording.disk import DiskRecorder
    from hpcli.results.tuning import RANGE_TEST
    from hpcli.runs.run import Run

    run = Run.open(path)
    for name in (RANGE_TEST, result.trained_in):
        if run.find_step(name) is not None:
            step = Run.open(path / name)
            recorder = DiskRecorder.reopen(step.command, step.path, step.config)
            for picture, figure in plots.figures(step.result).items():
                recorder.keep_figure(picture, figure)

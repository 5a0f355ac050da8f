"""`hpcli report`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli import completion
from hpcli.states import RunStatus

Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Run folders.", autocompletion=completion.run_folders)
]
Into = Annotated[
    Path | None,
    typer.Option(
        "-o", "--out", metavar="FILE", help="The page. Default: report.html in the run folder; of several here."
    ),
]

Watch = Annotated[bool, typer.Option("--watch", help="Make it anew every 10 s for as long as a run goes on.")]
REFRESH = 10
"""Between two pages of a run that goes on."""


def report(runs: Runs, out: Into = None, watch: Watch = False) -> int:
    """Make one HTML page of runs, to read, to mail, and to compare later: answer, pictures, and all that made them."""
    from hpcli.cli.terminal import Terminal, show_warnings
    from hpcli.runs.run import Run
    from hpcli.views.report import report as page
    from hpcli.views.report import write_page

    show_warnings()
    opened = [Run.open(run) for run in dict.fromkeys(runs)]
    file = out or (opened[0].path if len(opened) == 1 else Path()) / "report.html"
    while watch and any(run.status in (RunStatus.CREATED, RunStatus.RUNNING) for run in opened):
        write_page(file, page(opened, refresh=REFRESH))
        time.sleep(REFRESH)
        opened = [Run.open(run.path) for run in opened]
    write_page(file, page(opened))
    Terminal().note(f"wrote {file}")
    return 0

"""`hpcli report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli import completion

Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Run folders.", autocompletion=completion.run_folders)
]
Into = Annotated[
    Path | None,
    typer.Option(
        "-o", "--out", metavar="FILE", help="The page. Default: report.html in the run folder; of several here."
    ),
]


def report(runs: Runs, out: Into = None) -> int:
    """Make one HTML page of runs, to read, to mail, and to compare later: answer, pictures, and all that made them."""
    from hpcli.cli.terminal import Terminal, show_warnings
    from hpcli.runs.run import Run
    from hpcli.views.report import report as page
    from hpcli.views.report import write_page

    show_warnings()
    opened = [Run.open(run) for run in dict.fromkeys(runs)]
    file = out or (opened[0].path if len(opened) == 1 else Path()) / "report.html"
    write_page(file, page(opened))
    Terminal().note(f"wrote {file}")
    return 0

"""`hpcli plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hpcli.cli import completion

RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", autocompletion=completion.run_folders)]
Into = Annotated[Path | None, typer.Option(metavar="DIR", help="Where the pictures go. Default: the run folder.")]
Kind = Annotated[Literal["png", "svg", "pdf"], typer.Option("--format", help="png, svg or pdf.")]
Dark = Annotated[bool, typer.Option("--dark", help="For a dark page; the names get a -dark.")]


def plot(run: RunDir, out: Into = None, kind: Kind = "png", dark: Dark = False) -> int:
    """Draw a run's pictures again, from its tables alone."""
    from hpcli import plots
    from hpcli.cli.terminal import Terminal, show_warnings
    from hpcli.errors import DataError
    from hpcli.plots.saving import save
    from hpcli.runs.run import Run

    show_warnings()
    opened = Run.open(run)
    figures, folder = plots.figures(opened.result), out or opened.path
    files = [folder / f"{name}{'-dark' * dark}.{kind}" for name in figures]
    for file, figure in zip(files, figures.values(), strict=True):
        save(figure, file, dark=dark)
    if not files:
        raise DataError(f"{run}: nothing to draw yet; the run is {opened.status}")
    Terminal().note("  ".join(str(file) for file in files))
    return 0

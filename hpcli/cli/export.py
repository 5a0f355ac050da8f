"""`hpcli export`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hpcli.cli import completion
from hpcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpcli.recording.tensorboard import Plain, TensorBoard
    from hpcli.runs.export import Log

To = Annotated[Literal["tensorboard", "trackio"], typer.Argument(metavar="tensorboard|trackio")]
Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...", help="Folders of training runs, sweeps, tunings.", autocompletion=completion.run_folders
    ),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="tensorboard: where the logs go, a folder a training run.")]
Project = Annotated[str, typer.Option(metavar="NAME", help="trackio: the project that the runs are put into.")]


def export(to: To, runs: Runs, out: Out = Path("tensorboard"), project: Project = "hpcli") -> int:
    """Write training runs as logs of another program: the curves of each, its settings, what it came to."""
    from hpcli.cli.terminal import Terminal
    from hpcli.recording.trackio import Trackio
    from hpcli.runs.export import export as exported

    def log(name: str, settings: Mapping[str, Plain]) -> Log:
        return Trackio(project, name, settings) if to == "trackio" else _tensorboard(out / name, settings)

    names = exported(runs, log)
    look = f"trackio show --project {shlex.quote(project)}" if to == "trackio" else f"tensorboard --logdir {out}"
    Terminal().note(f"wrote {len(names)} training run{'s' * (len(names) > 1)}; look at them: {look}")
    return 0


def _tensorboard(folder: Path, settings: Mapping[str, Plain]) -> TensorBoard:
    """A new log.

    Raises:
        UsageError: there is one already, or tensorboard is not installed.
    """
    from hpcli.recording.tensorboard import TensorBoard

    if any(folder.glob("events.out.tfevents.*")):
        raise UsageError(f"{folder}: has a log already; delete it, or give another --out")
    return TensorBoard(folder, settings)

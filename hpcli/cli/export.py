"""`hpcli export`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from hpcli.cli import completion
from hpcli.errors import UsageError

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
    from hpcli.recording.tensorboard import TensorBoard
    from hpcli.recording.trackio import Trackio, check_new
    from hpcli.runs.export import export as exported
    from hpcli.runs.export import trainings

    found = trainings(runs)
    if to == "trackio":
        check_new(project, [each.name for each in found])
        exported(found, partial(Trackio, project))
    else:
        _check_no_logs([out / each.name for each in found])
        exported(found, lambda name, settings: TensorBoard(out / name, settings))
    look = f"trackio show --project {shlex.quote(project)}" if to == "trackio" else f"tensorboard --logdir {out}"
    Terminal().note(f"wrote {len(found)} training run{'s' * (len(found) > 1)}; look at them: {look}")
    return 0


def _check_no_logs(folders: Sequence[Path]) -> None:
    """Refuse to write beside logs that are there.

    Raises:
        UsageError: there is one.
    """
    for folder in folders:
        if any(folder.glob("events.out.tfevents.*")):
            raise UsageError(f"{folder}: has a log already; delete it, or give another --out")

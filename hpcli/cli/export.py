"""`hpcli export`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from hpcli.cli import completion
from hpcli.cli.options import AllowCode, ConfigFile
from hpcli.errors import UsageError

To = Annotated[Literal["tensorboard", "trackio", "onnx"], typer.Argument(metavar="tensorboard|trackio|onnx")]
Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Run folders; onnx: one training run, RUN:best.",
        autocompletion=completion.run_folders,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="tensorboard: where the logs go, a folder a training run; onnx: the file."),
]
Project = Annotated[str, typer.Option(metavar="NAME", help="trackio: the project that the runs are put into.")]


Size = Annotated[int | None, typer.Option(min=1, max=4096, help="onnx: width and height. Default: as in training.")]


def export(
    to: To,
    runs: Runs,
    out: Out = None,
    project: Project = "hpcli",
    image_size: Size = None,
    config: ConfigFile = None,
    allow_code: AllowCode = False,
) -> int:
    """Write training runs as logs of another program, or a run's network as an ONNX graph."""
    if to == "onnx":
        return _onnx(runs, out, image_size, config, allowed=allow_code)
    return _logs(to, runs, out or Path("tensorboard"), project)


def _onnx(runs: Sequence[Path], out: Path | None, image_size: int | None, file: Path | None, *, allowed: bool) -> int:
    """One run's network: RUN, RUN:best, or a file of weights."""
    from hpcli.cli.predict import described
    from hpcli.cli.terminal import Terminal
    from hpcli.files import storing, write_atomic

    if len(runs) > 1:
        raise UsageError("export onnx: one run at a time")
    run = str(runs[0])
    path = out or Path(f"{Path(run.partition(':')[0]).absolute().name}.onnx")
    if path.exists():
        raise UsageError(f"{path}: is there already; delete it, or give another --out")
    config = described(run, file, allowed=allowed)
    from hpcli.experiments.onnx import to_onnx

    data = to_onnx(run, config=config, image_size=image_size)
    with storing(path):
        write_atomic(path, data)
    Terminal().note(
        f"wrote {path}: uint8 images [N, H, W, C] → probabilities; the names of the classes are its metadata"
    )
    return 0


def _logs(to: str, runs: Sequence[Path], out: Path, project: str) -> int:
    """The curves of each training run, its settings, what it came to."""
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

"""`hpcli predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcli.cli.options import AllowCode, ConfigFile, Device, Quiet
from hpcli.errors import UsageError

if TYPE_CHECKING:
    from hpcli.config import Config

Checkpoint = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, RUN_DIR:best, RUN_DIR:epoch-0007, or a file.")
]
Images = Annotated[list[Path], typer.Argument(metavar="IMAGES", help="Image files, and folders of them.")]
Top = Annotated[int, typer.Option(min=1, help="So many classes an image, the likeliest first.")]
Size = Annotated[
    int | None,
    typer.Option(min=1, max=4096, help="Scale the shorter side to it, cut the middle out. Default: as in training."),
]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write a row an image there; - is stdout.")]
Json = Annotated[bool, typer.Option("--json", help="All answers as one JSON object on stdout; all else on stderr.")]


def predict(
    run: Checkpoint,
    images: Images,
    top: Top = 1,
    csv: Csv = None,
    as_json: Json = False,
    image_size: Size = None,
    config: ConfigFile = None,
    device: Device = "auto",
    quiet: Quiet = False,
    allow_code: AllowCode = False,
) -> int:
    """Say what a trained network takes images for: class and probability of each, as lines, CSV or JSON."""
    from hpcli.cli.terminal import Terminal, show_warnings
    from hpcli.data.unlabelled import find_images

    if as_json and csv is not None:
        raise UsageError("--json and --csv: choose one")
    show_warnings()
    network, files = described(run, config, allowed=allow_code), find_images(images)
    from hpcli.cli.answers import show_answers
    from hpcli.experiments.predict import Predictor

    predictor = Predictor.open(run, files, config=network, image_size=image_size, device=device)
    return show_answers(predictor, top=top, file=csv, terminal=Terminal(quiet=quiet, as_json=as_json))


def described(run: str, file: Path | None, *, allowed: bool) -> Config:
    """The config that describes a network: the one that is named, or the run's.

    Raises:
        UsageError: no such run, none beside it, or it names code of the user's own that is not allowed.
    """
    from hpcli.config import load_config
    from hpcli.config.code import check_code
    from hpcli.runs.weights import reference, shared_config

    if file is None and not reference(run).path.exists():
        raise UsageError(f"{run}: no such run or file")
    config = load_config(file or shared_config([run]))
    check_code(config, allowed=allowed)
    return config

"""`hpcli evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli.options import AllowCode, ConfigFile, Device, Json, Out, Quiet, Settings
from hpcli.cli.session import Session, overrides
from hpcli.errors import UsageError

SPLITS = ("train", "valid", "test")


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="A run folder, a checkpoint or safetensors.")],
    config: ConfigFile = None,
    settings: Settings = None,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Other data of the same kind: data.root.")] = None,
    split: Annotated[str | None, typer.Option(help="train, valid or test. Default: test if there is one.")] = None,
    out: Out = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    allow_code: AllowCode = False,
) -> int:
    """Evaluate weights: loss, accuracy, top-5, accuracy by class, and a picture of what is taken for what."""
    if split is not None and split not in SPLITS:
        raise UsageError(f"--split {split}: choose from {', '.join(SPLITS)}")
    keys = overrides(settings, {"data.root": data})
    file = config or _config_of(checkpoint)
    session = Session("evaluate", file, keys, as_json=json, quiet=quiet, out=out, allow_code=allow_code)
    from hpcli import plots
    from hpcli.experiments.evaluate import evaluate as measure

    with session.run_dir() as run:
        trainer = session.trainer(run, device)
        session.start_from(checkpoint, trainer)
        result = measure(trainer, split, store=run)
        run.figure("confusion", plots.confusion(result))
        return session.finish(run, result.status, result.summary)


def _config_of(checkpoint: Path) -> Path:
    """The config of the run that a checkpoint lies in."""
    from hpcli.run_dir import config_beside

    file = config_beside(checkpoint)
    if file is None:
        raise UsageError(f"{checkpoint}: no run folder around it to take the config from; name one by -c FILE")
    return file

"""`hpcli train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli.options import AllowCode, ConfigFile, Device, DryRun, Json, Out, Quiet, Seed, Settings, Start
from hpcli.cli.session import Session, overrides


def train(
    config: ConfigFile = None,
    settings: Settings = None,
    epochs: Annotated[int | None, typer.Option(help="Length of the run.")] = None,
    max_lr: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    momentum: Annotated[str | None, typer.Option(help="A pair such as 0.95-0.85, or one number.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN_DIR", help="Go on with this run, bit for bit.")] = None,
    start: Start = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    allow_code: AllowCode = False,
) -> int:
    """Train by the config's schedule, evaluating after every epoch."""
    keys: dict[str, object] = {"seed": seed, "train.epochs": epochs, "optimizer.weight_decay": weight_decay}
    keys |= {"schedule.max_lr": max_lr, "schedule.momentum": momentum}
    given = overrides(settings, keys)
    session = Session("train", config, given, as_json=json, quiet=quiet, out=out, resume=resume, allow_code=allow_code)
    if dry_run:
        return session.show_plan()
    from hpcli import plots
    from hpcli.experiments.train import train as run_training

    with session.run_dir() as run:
        if run.summary is not None:
            return session.show_finished(run.summary)
        trainer = session.trainer(run, device)
        session.start_from(start, trainer)
        for name, figure in plots.before_training(trainer).items():
            run.figure(name, figure)
        with session.terminal.progress("train") as on_progress:
            result = run_training(run.config, store=run, on_progress=on_progress, trainer=trainer)
        for name, figure in plots.after_training(result).items():
            run.figure(name, figure)
        run.weights(trainer.model.state_dict())
        return session.finish(run, result.status, result.summary)

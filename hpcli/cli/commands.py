"""The commands: parse → call → save → show. No logic.

Nothing heavy is imported before a command runs, so that help and config errors come at once. A command returns its exit
code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli.session import Session, overrides
from hpcli.errors import UsageError

app = typer.Typer(
    name="hpcli",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Leslie N. Smith's disciplined method for setting hyper-parameters, as a command line.",
)

ConfigFile = Annotated[
    Path | None, typer.Option("-c", "--config", help="YAML config; without it, the digits that come with hpcli.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key; repeatable.")]
Out = Annotated[Path | None, typer.Option(help="The run folder itself; must not exist. Default: a new one in runs/.")]
Seed = Annotated[int | None, typer.Option(help="Governs initial weights, data order, augmentation and dropout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]
Json = Annotated[bool, typer.Option("--json", help="The summary as one JSON object on stdout; all else on stderr.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show errors and warnings only.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the resolved plan; train nothing, write nothing.")]


@app.callback(invoke_without_command=True)
def hpcli(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback for every error.")] = False,
) -> None:
    """Options of the whole program; `--debug` is read by `main`."""
    if version:
        from hpcli.version import __version__

        typer.echo(f"hpcli {__version__}")
        raise typer.Exit


@app.command("lr-find")
def lr_find(
    config: ConfigFile = None,
    settings: Settings = None,
    start_lr: Annotated[float | None, typer.Option(help="First learning rate.")] = None,
    end_lr: Annotated[float | None, typer.Option(help="Last learning rate.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps between them.")] = None,
    mode: Annotated[str | None, typer.Option(help="exp or linear.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> int:
    """The learning-rate range test: one short run from a tiny to a huge learning rate."""
    values = {"start_lr": start_lr, "end_lr": end_lr, "steps": steps, "mode": mode}
    keys = {"seed": seed, **{f"lr_find.{key}": value for key, value in values.items()}}
    session = Session("lr-find", config, overrides(settings, keys), as_json=json, quiet=quiet, out=out)
    if dry_run:
        return session.show_plan()
    from hpcli import plots
    from hpcli.experiments.lr_find import lr_find as find

    with session.run_dir() as run:
        with session.terminal.progress("lr-find") as on_progress:
            result = find(run.config, store=run, on_progress=on_progress, device=device)
        run.figure("lr_find", plots.lr_find(result))
        return session.finish(run, result.status, result.summary)


@app.command()
def train(
    config: ConfigFile = None,
    settings: Settings = None,
    epochs: Annotated[int | None, typer.Option(help="Length of the run.")] = None,
    max_lr: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    momentum: Annotated[str | None, typer.Option(help="A pair such as 0.95-0.85, or one number.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN_DIR", help="Go on with this run, bit for bit.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> int:
    """Train by the config's schedule, evaluating after every epoch."""
    keys: dict[str, object] = {"seed": seed, "train.epochs": epochs, "optimizer.weight_decay": weight_decay}
    keys |= {"schedule.max_lr": max_lr, "schedule.momentum": momentum}
    session = Session("train", config, overrides(settings, keys), as_json=json, quiet=quiet, out=out, resume=resume)
    if dry_run:
        return session.show_plan()
    from hpcli import plots
    from hpcli.experiments.train import train as run_training
    from hpcli.training.trainer import Trainer

    with session.run_dir() as run:
        if run.summary is not None:
            return session.show_finished(run.summary)
        trainer = Trainer(run.config, device=device)
        for name, figure in plots.before_training(trainer).items():
            run.figure(name, figure)
        with session.terminal.progress("train") as on_progress:
            result = run_training(run.config, store=run, on_progress=on_progress, trainer=trainer)
        for name, figure in plots.after_training(result).items():
            run.figure(name, figure)
        run.weights(trainer.model.state_dict())
        return session.finish(run, result.status, result.summary)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="A config that comes with hpcli, such as digits.")],
    file: Annotated[Path | None, typer.Argument(help="Where to; default NAME.yaml.")] = None,
) -> int:
    """Copy a config that comes with hpcli, to edit."""
    from hpcli.config import shipped_config

    text = shipped_config(name).read_bytes()
    target = file or Path(f"{Path(name).name}.yaml")
    try:
        with target.open("xb") as output:
            output.write(text)
    except FileExistsError:
        raise UsageError(f"{target}: exists already; name another file: hpcli init {name} FILE") from None
    typer.echo(f"wrote {target}; try it: hpcli lr-find -c {target}")
    return 0

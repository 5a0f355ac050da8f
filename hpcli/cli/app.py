"""The app and its commands: parse → call → save → show. No logic.

Nothing heavy is imported before a command runs, so that help and config errors come at once. A command returns its exit
code.
"""

from __future__ import annotations

from typing import Annotated

import typer

from hpcli.cli.batch_size import batch_size
from hpcli.cli.evaluate import evaluate
from hpcli.cli.init import init
from hpcli.cli.interpolate import interpolate
from hpcli.cli.lr_find import lr_find
from hpcli.cli.sweep import sweep
from hpcli.cli.train import train

app = typer.Typer(
    name="hpcli",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Leslie N. Smith's disciplined method for setting hyper-parameters, as a command line.",
)
app.command("lr-find")(lr_find)
app.command("train")(train)
for name, what in {
    "sweep-mom": "Compare momenta, pairs and constants, by short runs of several seeds, and say which to use.",
    "sweep-wd": "Compare weight decays by short runs of several seeds: which can differ at all, which to use.",
    "sweep": None,
}.items():
    app.command(name, help=what)(sweep)
app.command("batch-size")(batch_size)
app.command("evaluate")(evaluate)
app.command("interpolate")(interpolate)
app.command("init")(init)


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

"""The app and its commands.

Nothing heavy is imported before a command runs, so that help and config errors come at once: of all experiments only
the one that is called gets its options; the others are names with a line of help. A command returns its exit code.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from hpcli.cli.check import check
from hpcli.cli.compare import compare
from hpcli.cli.export import export
from hpcli.cli.init import init
from hpcli.cli.keys import keys
from hpcli.cli.plot import plot
from hpcli.cli.predict import predict
from hpcli.cli.report import report
from hpcli.cli.runs import runs
from hpcli.cli.suggest import suggest
from hpcli.cli.verdict import verdict
from hpcli.commands import COMMANDS
from hpcli.training.launch import check_command


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """The app, with the full options of the command that the arguments call.

    Raises:
        UsageError: several processes call a command that takes one.
    """
    app = typer.Typer(
        name="hpcli",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Leslie N. Smith's disciplined method for setting hyper-parameters, as a command line.",
    )
    app.callback(invoke_without_command=True)(_hpcli)
    called = next((word for word in arguments if not word.startswith("-")), None)
    if called is not None:
        check_command(called)
    completes = "_HPCLI_COMPLETE" in os.environ
    for name, about in COMMANDS.items():
        if name == called or completes:
            from hpcli.cli.command import typer_callback

            app.command(name, help=about.about)(typer_callback(name))
        else:
            app.command(name, help=about.about)(_not_called)
    for other in (check, predict, runs, compare, report, plot, export, verdict, suggest, init, keys):
        app.command(other.__name__)(other)
    return app


def _not_called() -> None:
    """Stands for a command that is not called; only its line of help is shown."""


def _hpcli(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback for every error.")] = False,
) -> None:
    """Options of the whole program; `--debug` is read by `main`."""
    if version:
        from hpcli.version import __version__

        typer.echo(f"hpcli {__version__}")
        raise typer.Exit

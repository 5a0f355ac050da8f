"""Turns a function into the command of an experiment: options are declared, and read before the function runs."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli.options import Given, Options, Shared, key_parameters, read_given, shared_parameters
from hpcli.cli.session import Session
from hpcli.commands import COMMANDS
from hpcli.errors import UsageError

CommandBody = Callable[..., int]
"""`(call, **own options)` → the exit code."""


@dataclass(frozen=True)
class Call:
    """A command as it was called: its name, the shared options, and the keys that its options set."""

    command: str
    shared: Shared
    keys: Given
    options: Options

    def session(self, keys: Mapping[str, object] | None = None, *, config: Path | None = None) -> Session:
        """The session of this call.

        Args:
            keys: more keys that the command line sets.
            config: the config to use where none is named.
        """
        return Session(self.command, self.shared, {**self.keys, **(keys or {})}, self.options, config)


_OPTIONS: dict[CommandBody, Options] = {}


def command(
    keys: Sequence[str] = (), *, checkpoints: Sequence[str] = ("init.weights",), resumes: bool = False
) -> Callable[[CommandBody], CommandBody]:
    """Declare a command's options.

    Args:
        keys: of the config, each of which gets an option of its own.
        checkpoints: keys that name weights which the command loads; they are written down with their hash.
        resumes: whether `--resume` goes on with a run.
    """

    def declare(body: CommandBody) -> CommandBody:
        """Note a command's options; its body stays what it is."""
        _OPTIONS[body] = Options(tuple(keys), tuple(checkpoints), resumes)
        return body

    return declare


def typer_callback(name: str) -> CommandBody:
    """The function that typer calls for a command, with all of its options in its signature."""
    module = COMMANDS[name].module
    body: CommandBody = getattr(importlib.import_module(f"hpcli.cli.{module}"), module)
    options = _OPTIONS[body]
    own = _own_parameters(body, COMMANDS[name].swept)
    shared = shared_parameters(resumes=options.resumes)
    by_key = key_parameters((*options.keys, "seed"))

    def callback(**given: object) -> int:
        """What typer calls: the words in common, the keys, and the rest for the body."""
        shared_names = [parameter.name for parameter in shared]
        common = Shared(**{each: given.pop(each) for each in shared_names})  # type: ignore[arg-type]
        if common.resume is not None and not options.resumes:
            again = f"hpcli {name} -c {common.resume}/config.yaml"
            raise UsageError(f"--resume: {name} is short and cannot be gone on with; run it again: {again}")
        keys = read_given(given, by_key)
        return body(Call(name, common, keys, options), **given)

    parameters = [*own, *by_key.values(), *shared]
    ordered = sorted(parameters, key=lambda each: each.kind)
    callback.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    callback.__annotations__ = {}
    callback.__doc__ = body.__doc__
    return callback


def _own_parameters(body: CommandBody, swept: str | None) -> list[inspect.Parameter]:
    """A command's own options; a sweep with a name of its own takes no key, and shows what it tries."""
    _, *parameters = inspect.signature(body, eval_str=True).parameters.values()
    if swept is None:
        return parameters
    from hpcli.config.grids import HELP

    option = typer.Option(metavar="LIST", help=f"Its values. Default: {HELP[swept]}.")
    kind = Annotated[list[str] | None, option]
    return [
        each.replace(annotation=kind) if each.name == "values" else each for each in parameters if each.name != "keys"
    ]

"""Options of the command line: the options that all experiments share, and the options that set a config key.

Each is declared once. An option that sets a key takes its name, its help and its default from the key.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli import completion
from hpcli.errors import UsageError

Given = dict[str, object]
"""Parameter → what was given on the command line."""
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        help="YAML config; what it leaves out has the defaults shown here. Without it: digits.yaml, which comes with "
        "hpcli, or the config of the run whose weights are measured.",
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key; repeatable.", autocompletion=completion.assignments),
]
Resume = Annotated[Path | None, typer.Option(metavar="RUN_DIR", help="Go on with this run.")]
NotResumed = Annotated[Path | None, typer.Option("--resume", hidden=True)]
Out = Annotated[Path | None, typer.Option(help="The run folder itself; new, or empty. Default: a new one in runs/.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.", autocompletion=completion.devices)]
Json = Annotated[bool, typer.Option("--json", help="The summary as one JSON object on stdout; all else on stderr.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show errors and warnings only.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show every number, not the answer alone.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the resolved plan; train nothing, write nothing.")]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Run a model or data set that the config names as module:function.")
]
Strict = Annotated[bool, typer.Option("--strict", help="A refusal ends with exit code 6.")]
Apply = Annotated[Path | None, typer.Option(metavar="FILE", help="Write what is found into this config.")]

NAMES = {"init.weights": "init", "data.root": "data"}
"""Keys whose option is not called by the last word of the key."""
METAVARS = {"init.weights": "CKPT", "data.root": "DIR"}


@dataclass(frozen=True)
class Options:
    """What a command adds to the options that all share."""

    keys: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    resumes: bool = False


@dataclass(frozen=True)
class Shared:
    """What was given by the options that all experiments share."""

    config: ConfigFile = None
    assignments: Assignments = None
    resume: Resume = None
    out: Out = None
    device: Device = "auto"
    as_json: Json = False
    quiet: Quiet = False
    verbose: Verbose = False
    dry_run: DryRun = False
    allow_code: AllowCode = False


def shared_parameters(*, resumes: bool) -> list[inspect.Parameter]:
    """The parameters of `Shared`, as a command has them. One that does not resume has a hidden one, to say so."""
    parameters = inspect.signature(Shared, eval_str=True).parameters.values()
    return [
        parameter.replace(
            kind=inspect.Parameter.KEYWORD_ONLY,
            annotation=parameter.annotation if resumes or parameter.name != "resume" else NotResumed,
        )
        for parameter in parameters
    ]


def key_parameters(keys: Iterable[str]) -> dict[str, inspect.Parameter]:
    """Key → the parameter of the option that sets it."""
    return {key: _parameter(key) for key in keys}


def flag(key: str) -> str:
    """The option that sets a key, as it is written."""
    return f"--{_name(key).replace('_', '-')}"


def _name(key: str) -> str:
    return NAMES.get(key, key.rpartition(".")[2])


def _parameter(key: str) -> inspect.Parameter:
    from hpcli.config.keys import find_field
    from hpcli.config.varying import written

    field = find_field(key)
    assert field is not None, key
    name = _name(key)
    about = " ".join((field.description or "").split())
    default = "" if field.default in (None, (), {}) else f" Default: {written(field.default)}."
    word = name.replace("_", "-")
    kind: object = Annotated[
        str | None, typer.Option(flag(key), metavar=METAVARS.get(key, name.upper()), help=f"{about}{default}")
    ]
    if field.annotation is bool:
        kind = Annotated[
            bool | None,
            typer.Option(f"--{word}/--no-{word}", help=f"{about} Default: --{'' if field.default else 'no-'}{word}."),
        ]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def read_given(given: Given, parameters: dict[str, inspect.Parameter]) -> Given:
    """Key → value of every option given that sets a key. The options are removed from `given`."""
    from hpcli.config.keys import read_text

    found: Given = {}
    for key, parameter in parameters.items():
        value = given.pop(parameter.name)
        if value is not None:
            found[key] = read_text(key, value) if isinstance(value, str) else value
    return found


def assigned(assignments: list[str] | None) -> Given:
    """The keys that `--set KEY=VALUE` sets.

    Raises:
        UsageError: an assignment that is not KEY=VALUE.
    """
    from hpcli.config.keys import read_text

    found: Given = {}
    for assignment in assignments or []:
        key, equals, value = assignment.partition("=")
        if not key or not equals:
            raise UsageError(f"--set {assignment}: write KEY=VALUE, for example --set train.epochs=3")
        found[key.strip()] = read_text(key.strip(), value)
    return found


def repeated(shared: Shared, keys: Given, *, config: bool) -> str:
    """The options of a call that another command needs to work on the same thing.

    Args:
        shared: of the call.
        keys: that were set, or found; those that change no training run are left out.
        config: whether the config is repeated: the file that was named, or that of the run that was gone on with.
    """
    from hpcli.results.following import set_words

    file = shared.config or (shared.resume and shared.resume / "config.yaml")
    words = [*(["-c", str(file)] if file and config else []), *set_words(keys)]
    words += ["--device", shared.device] if shared.device != "auto" else []
    words += ["--allow-code"] if shared.allow_code else []
    return "".join(f" {shlex.quote(word)}" for word in words)

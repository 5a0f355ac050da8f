"""`hpcli keys`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from hpcli.cli import completion
from hpcli.errors import UsageError, did_you_mean

Part = Annotated[
    str,
    typer.Argument(
        metavar="[PREFIX]", help="Only keys that begin so, or have it in their name.", autocompletion=completion.keys
    ),
]
AsSchema = Annotated[
    bool, typer.Option("--json-schema", help="A JSON schema on stdout, by which editors check and complete a config.")
]


def keys(prefix: Part = "", json_schema: AsSchema = False) -> int:
    """List the config's keys: the default of each, and what it is for; or their JSON schema, for editors."""
    from hpcli.config.keys import described
    from hpcli.config.schema import Config

    if json_schema:
        sys.stdout.write(json.dumps(Config.model_json_schema(), indent=2) + "\n")
        return 0
    every = described()
    found = [each for each in every if each.key.startswith(prefix)] or [each for each in every if prefix in each.key]
    if not found:
        names = dict.fromkeys(name for each in every for name in each.key.split("."))
        raise UsageError(f"{prefix}: no key has it in its name; {did_you_mean(prefix, names, all_by='hpcli keys')}")
    from hpcli.cli.terminal import Terminal

    Terminal().keys(found)
    return 0

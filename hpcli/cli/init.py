"""`hpcli init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli import completion
from hpcli.errors import UsageError

NAMES = "digits, folder, finetune-resnet18, cifar10-resnet20 or cifar100-resnet56"

SCHEMA = "hpcli.schema.json"
"""Where shipped configs tell an editor to look for the keys; `hpcli keys --json-schema` prints it."""


def init(
    name: Annotated[
        str, typer.Argument(help=f"A config that comes with hpcli: {NAMES}.", autocompletion=completion.shipped)
    ],
    file: Annotated[Path | None, typer.Argument(help="Where to; default NAME.yaml.")] = None,
) -> int:
    """Copy a config that comes with hpcli, to edit."""
    from hpcli.config import shipped_config

    text = shipped_config(name).read_bytes()
    target = file or Path(f"{Path(name).name}.yaml")
    if not (target.parent / SCHEMA).is_file():  # an editor would miss it
        text = text.removeprefix(f"# yaml-language-server: $schema={SCHEMA}\n".encode())
    try:
        with target.open("xb") as output:
            output.write(text)
    except FileExistsError:
        raise UsageError(f"{target}: exists already; name another file: hpcli init {name} FILE") from None
    first = "set data.root in it, then" if b"root: photographs" in text else "try it"
    typer.echo(f"wrote {target}; {first}: hpcli lr-find -c {target}")
    return 0

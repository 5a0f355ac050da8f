"""`--apply FILE`: whether what a command finds may be written into a config, before anything runs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.cli.session import Session
from hpcli.errors import UsageError, listed

if TYPE_CHECKING:
    from hpcli.config import Config
    from hpcli.config.scope import Scope


def check_apply(session: Session, file: Path, ran: Config, *, but: Collection[str], but_of: Scope) -> None:
    """Refuse to write what is found into a config of another set-up.

    Args:
        session: of the command.
        file: the config.
        ran: what runs.
        but: keys that may differ.
        but_of: what else may, by what it affects.

    Raises:
        UsageError: there is no such file; the keys that differ, and what to do.
        ConfigError: the file is no config.
    """
    from hpcli.config import other_setup

    if not file.is_file():
        what = "is a folder" if file.is_dir() else "no such file"
        raise UsageError(f"--apply {file}: {what}; it takes the YAML config that the value is to be written into")
    differing = other_setup(file, ran, but=but, but_of=but_of)
    if not differing:
        return
    them = "it" if len(differing) == 1 else "them"
    own = session.shared.config
    if session.shared.resume is not None or (own is not None and own.resolve() == file.resolve()):
        remedy = f"write {them} into {file}, or leave {them} away here"
    else:
        remedy = f"start from it, -c {file}, or write {them} into it"
    raise UsageError(f"--apply {file}: what would run is of another set-up: {listed(differing)}; {remedy}")

"""Import paths in a config: code of the user's own, which its runs would import."""

from __future__ import annotations

import shlex
from pathlib import Path

from hpcli import catalog
from hpcli.config.schema import Config


def code_in(config: Config) -> dict[str, str]:
    """Import path → the key that names it, also as a value that is varied."""
    varied = (config.sweep.values, config.sweep.retune, config.lr_find.values, config.tune.values)
    found: dict[str, str] = {}
    for key, name in {"data.name": config.data.name, "model.name": config.model.name}.items():
        names = [name, *(str(value) for each in varied for value in each.get(key, []))]
        found |= {each: key for each in names if catalog.is_code(each)}
    return found


def resuming(command: str, path: Path | str, config: Config, *options: str) -> str:
    """The command line that goes on with a run of a config; one that names code has to allow it again."""
    words = ["hpcli", command, "--resume", str(path), *options]
    return shlex.join([*words, "--allow-code"] if code_in(config) else words)


def check_code(config: Config, *, allowed: bool) -> None:
    """Let the code that a config names run, or refuse the config before anything is made of it.

    Raises:
        ConfigError: it names code, which is not `allowed`, now or before.
    """
    for name, key in code_in(config).items():
        if allowed:
            catalog.allow_code(name)
        catalog.check_allowed(name, key)

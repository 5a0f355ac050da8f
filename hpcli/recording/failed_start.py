"""A run folder of a start that failed, such as on data that are not there: nothing in it but how it was asked for."""

from __future__ import annotations

from pathlib import Path

from hpcli.config import Config, to_yaml
from hpcli.errors import HpcliError
from hpcli.files import Lock
from hpcli.recording.folder import Folder
from hpcli.recording.status import FILE, LOCK
from hpcli.states import RunStatus

CONFIG, ENVIRONMENT, ERROR = "config.yaml", "environment.json", "error.log"
BEGINNING = {CONFIG, ENVIRONMENT, ERROR, FILE, LOCK}
"""Files that a run has before it has recorded anything."""


def config_text(command: str, config: Config) -> str:
    """What a run writes as its config.yaml."""
    return f"# Fully resolved: `hpcli {command} -c` this file runs it again.\n{to_yaml(config)}"


def is_failed_start(path: Path) -> bool:
    """Whether a folder holds a run that ended before it recorded anything, just as hpcli left it, and nothing else."""
    try:
        if path.is_symlink() or not path.is_dir() or not {each.name for each in path.iterdir()} <= BEGINNING:
            return False
        folder = Folder(path)
        standing = folder.standing
        if standing is None or standing.status not in (RunStatus.FAILED, RunStatus.INTERRUPTED):
            return False
        is_own = (path / CONFIG).read_text() == config_text(standing.command, folder.config)
        return is_own and standing.step is None
    except (HpcliError, OSError, ValueError):
        return False


def clear_failed_start(path: Path) -> None:
    """Empty the folder of a failed start; any other folder stays as it is.

    Raises:
        RunInUseError: another process has just taken it.
    """
    if not is_failed_start(path):
        return
    lock = Lock(path / LOCK)
    try:
        if is_failed_start(path):
            for name in BEGINNING:
                (path / name).unlink(missing_ok=True)
    finally:
        lock.release()

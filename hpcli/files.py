"""Writing files so that a crash leaves the old content or the new, never a mixture; and the lock on a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from hpcli.errors import RunInUseError, UsageError


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file as a whole, durably: temporary file, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable. A rename alone does not outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_new(path: Path) -> Path:
    """Make a folder that must not exist yet.

    Raises:
        UsageError: it does; nothing in it is touched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir()
    except FileExistsError:
        raise UsageError(f"--out {path}: exists already; choose another, or go on with it by --resume {path}") from None
    return path


def make_dated(parent: Path, name: str) -> Path:
    """Make a folder named by the time, and numbered where others were made in the same second."""
    parent.mkdir(exist_ok=True)
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while True:
        path = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def point_link(link: Path, target: Path) -> None:
    """Point a symbolic link at `target`, replacing it at once. File systems without links are left without it."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(target, link.parent))
        temporary.replace(link)


class Lock:
    """A lock on a folder, held by one process. The kernel releases it when the process ends, in whatever way.

    A record lock (`lockf`): a `flock` would live on in forked children.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a+b")
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise RunInUseError(f"{path.parent}: in use by another process; wait, or choose another --out") from None

    def release(self) -> None:
        """Let others in."""
        self._file.close()


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock at `path`. Never ask for a lock of this process: it would be released."""
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False

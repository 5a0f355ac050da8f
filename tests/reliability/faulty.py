"""A disk on which the n-th operation fails: opening to write, writing a row, syncing, renaming, making, deleting."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
AUDITED = ("os.rename", "os.mkdir", "os.remove", "os.link", "os.symlink", "os.truncate")


class FaultyDisk:
    """Counts the operations of this process below a folder, and lets one of them fail; it stays until the process ends."""

    def __init__(self, root: Path, fails: int) -> None:
        """Watch; `fails` is the number of the operation that fails, from 1."""
        self.root, self.fails, self.count = str(root), fails, 0
        self.failed = ""
        sys.addaudithook(self._audit)
        for name in ("fsync", "write"):
            setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, real: Any) -> Any:
        def checked(descriptor: int, *rest: Any) -> Any:
            self._tick(name, str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            return real(descriptor, *rest)

        return checked

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and isinstance(path, str | bytes | os.PathLike):
                self._tick(event, os.fsdecode(path))
        elif event in AUDITED and not isinstance(arguments[0], int):
            self._tick(event, os.fsdecode(arguments[0]))

    def _tick(self, what: str, path: str) -> None:
        if not path.startswith(self.root) or self.failed:
            return
        self.count += 1
        if self.count == self.fails:
            self.failed = f"{what} {path[len(self.root) :]}"
            number = ERRORS[self.count % len(ERRORS)]
            raise OSError(number, os.strerror(number), path)

"""Writing files so that a crash leaves the old content or the new, never a mixture; and the lock on a folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from hpcli.errors import RunInUseError, StorageError, UsageError


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Give errors of the disk their own class, and the name of the file.

    Raises:
        StorageError: for every OSError within.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


def write_atomic(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace a file as a whole, durably: temporary file, fsync, rename, fsync of the folder.

    Args:
        path: the file.
        data: its content.
        mode: its permissions; None: those of a new file.

    Raises:
        StorageError: it cannot be written; the old content is still there.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with storing(path):
        with temporary.open("wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
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


def make_folders(path: Path) -> None:
    """Make a folder and those it lies in, durably; it may be there."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _sync_parent(each)


def make_new(path: Path, fill: Callable[[Path], object]) -> Path:
    """Make a folder that must not exist yet, or be empty.

    Args:
        path: the folder.
        fill: writes the first files into it; the folder appears with them, or not at all.

    Raises:
        UsageError: there is something already; nothing in it is touched.
    """
    make_folders(path.parent)
    if not _made(path, fill):
        raise _taken(path)
    return path


def check_new(path: Path) -> None:
    """Check that `make_new` could make a folder, making nothing.

    Raises:
        UsageError: there is something already.
    """
    if not _is_free(path):
        raise _taken(path)
    around = next(each for each in path.absolute().parents if each.exists())
    if not around.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(around))


def _taken(path: Path) -> UsageError:
    return UsageError(f"--out {path}: exists already; choose another")


def _is_free(path: Path) -> bool:
    """Whether nothing is there, or an empty folder."""
    return not path.is_symlink() and (not path.exists() or (path.is_dir() and not any(path.iterdir())))


def make_dated(parent: Path, name: str, fill: Callable[[Path], object]) -> Path:
    """Make a folder, as `make_new`, named by the time, and numbered where others were made in the same second."""
    make_folders(parent)
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = parent / stem, 1
    while not _made(path, fill):
        number += 1
        path = parent / f"{stem}-{number}"
    return path


def _made(path: Path, fill: Callable[[Path], object]) -> bool:
    """Fill a folder under another name, and rename it. False: something is there. A crash leaves a `.new-…` at most."""
    if not _is_free(path):
        return False
    new = path.with_name(f".new-{os.getpid()}-{time.monotonic_ns()}")
    new.mkdir()
    try:
        fill(new)
        new.rename(path)  # also onto an empty folder, which no other process can have filled meanwhile
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    _sync_parent(path)
    return True


def _sync_parent(path: Path) -> None:
    with contextlib.suppress(PermissionError):  # one may write into a folder that one may not read
        sync_folder(path.parent)


def point_link(link: Path, target: Path) -> None:
    """Point a symbolic link at `target`, replacing it at once. File systems without links are left without it."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(target, link.parent))
        temporary.replace(link)


_BUSY = (errno.EACCES, errno.EAGAIN)
TRIES, PROBE_SECONDS = 4, 0.01
"""To take a lock it is tried so often, so long apart: another process may be looking, which takes microseconds."""
_held: dict[tuple[int, int], int] = {}
"""Device and inode of a lock → the process that holds it, as far as this one knows: forks know of their parent's."""


class Lock:
    """A lock on a folder, held by one process. The kernel releases it when the process ends, in whatever way.

    A record lock (`lockf`): a `flock` would live on in forked children.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            RunInUseError: it is held already.
            StorageError: the file system has no locks, or the file cannot be made.
        """
        self.path = path
        check_free(path, tries=TRIES)
        with storing(path):
            self._file = path.open("a+b")
        about = os.fstat(self._file.fileno())
        self._key = about.st_dev, about.st_ino
        try:
            _take(self._file, TRIES)
        except OSError as error:
            self._file.close()
            if error.errno in _BUSY:
                raise RunInUseError(
                    f"{path.parent}: in use by another process; wait, or choose another --out"
                ) from None
            raise StorageError(error.errno, error.strerror, str(path)) from error
        _held[self._key] = os.getpid()

    def release(self) -> None:
        """Let others in."""
        _held.pop(self._key, None)
        self._file.close()


def _take(file: BinaryIO, tries: int) -> None:
    """Take the lock on an open file.

    Raises:
        OSError: somebody holds it, for longer than a look takes.
    """
    for left in reversed(range(tries)):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in _BUSY or not left:
                raise
            time.sleep(PROBE_SECONDS)


def check_free(path: Path, *, tries: int = 1) -> None:
    """Check that nobody holds the lock at `path`.

    Raises:
        RunInUseError: a process does.
    """
    if is_locked(path, tries=tries):
        raise RunInUseError(f"{path.parent}: in use by another process; wait, or choose another --out")


def is_locked(path: Path, *, tries: int = 1) -> bool:
    """Whether a process holds the lock at `path`, this one included. One that looks holds it for a moment itself."""
    try:
        about = path.stat()
        if _held.get((about.st_dev, about.st_ino)) == os.getpid():
            return True  # to open it and close it again would let it go
        with path.open("r+b") as file:
            _take(file, tries)
    except OSError as error:
        return error.errno in _BUSY
    return False

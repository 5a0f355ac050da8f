"""What a power cut leaves: file contents and folder entries as they were last synced, and nothing that came after.

A file that was never synced is empty, a name that its folder was not synced for is not there, or still the old one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

Real = Callable[[int], None]


class Disk:
    """Watches `os.fsync`, and puts down what of a folder would outlive a power cut after each."""

    def __init__(self, root: Path, states: Path, note: Callable[[], str], every: int = 1) -> None:
        """Watch.

        Args:
            root: the folder.
            states: where states are put: a folder each, numbered, and beside it what `note` says at that time.
            note: called at every state.
            every: put down one of so many states, as a long run has more of them than the disk holds.
        """
        self.root, self.states, self.note, self.every = root, states, note, every
        self.contents: dict[int, bytes] = {}  # of each file's inode, as last synced
        self.entries: dict[int, dict[str, tuple[str, int]]] = {}  # of each folder's inode: name → kind and inode
        self.open: list[int] = []  # keeps inodes from being used again
        self.count = 0
        self.real: Real = os.fsync
        os.fsync = self.fsync  # type: ignore[assignment]

    def fsync(self, descriptor: int) -> None:
        """In place of `os.fsync`: note what is durable now. It waits for no disk."""
        found = os.fstat(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not path.is_relative_to(self.root):
            return
        self.open.append(os.dup(descriptor))
        if stat.S_ISDIR(found.st_mode):
            self.entries[found.st_ino] = {each.name: self._entry(each) for each in os.scandir(path)}
        else:
            self.contents[found.st_ino] = path.read_bytes() if path.exists() else b""
        self.count += 1
        if self.count % self.every == 0:
            self.put_down()

    def _entry(self, entry: os.DirEntry[str]) -> tuple[str, int]:
        if entry.is_symlink():
            return f"link {Path(entry.path).readlink()}", 0
        self.open.append(os.open(entry.path, os.O_RDONLY))
        return "folder" if entry.is_dir() else "file", entry.inode()

    def put_down(self) -> None:
        """Make the folder that a power cut would leave now."""
        to = self.states / f"{self.count:04d}"
        self._restore(self.root.stat().st_ino, to)
        to.with_suffix(".note").write_text(self.note())

    def _restore(self, inode: int, to: Path) -> None:
        to.mkdir()
        for name, (kind, own) in self.entries.get(inode, {}).items():
            if kind == "folder":
                self._restore(own, to / name)
            elif kind == "file":
                (to / name).write_bytes(self.contents.get(own, b""))
            else:
                (to / name).symlink_to(kind.removeprefix("link "))

"""Checkpoints that are never half written and never silently wrong.

A state is serialised in memory, hashed, written to a temporary file, synced and renamed; then an index that names it,
with size and SHA-256, the same way; only then are older ones deleted. Before a checkpoint is loaded its hash is
verified: most single-bit errors would load without complaint, as other weights.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from hpcli.errors import CheckpointError, HpcliWarning
from hpcli.files import make_folders, storing, write_atomic
from hpcli.recording.checkpoint import Entry, load_state, serialised
from hpcli.recording.recorder import State
from hpcli.states import Label

FORMAT = 3
METADATA = "hpcli"
"""In the metadata of a safetensors file, what the weights were trained on: JSON."""
INDEX = "index.json"
SHARE_OF_TIME = 200
"""At an epoch's end, save when this many times the last save's duration have passed since."""
FIRST_SAVE_SECONDS = 0.02
"""What a run's first save is thought to take."""
AT_MOST_SECONDS = 300.0
"""Save at least this often, between epochs too."""


_OWN = re.compile(r"step-\d{8,}\.pt|\.(step|epoch|cycle)-\d+\.pt\.tmp")
"""Files that may be deleted: no one else's."""


class Checkpoints:
    """The folder `checkpoints/` of a run: the newest two, the best, and those with labels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: list[Entry] = []  # oldest first
        self._held: tuple[float, Callable[[], tuple[Entry, bytes]]] | None = None  # its validation loss, and it
        self._saved_at = time.monotonic()
        self._save_seconds = FIRST_SAVE_SECONDS

    def is_due(self, *, ends_epoch: bool) -> bool:
        """Whether to save now, given what the last save cost."""
        waited = time.monotonic() - self._saved_at
        return waited >= AT_MOST_SECONDS or (ends_epoch and waited >= SHARE_OF_TIME * self._save_seconds)

    def save(
        self,
        state: State,
        *,
        step: int,
        tables: Mapping[str, int],
        hashes: Mapping[str, str] | None = None,
        labels: Sequence[str] = (),
        valid_loss: float | None = None,
    ) -> None:
        """Write a state, and a better one that is held; on return they and the index that leads to them are durable."""
        started = time.monotonic()
        if self._held is not None and valid_loss is not None and valid_loss < self._held[0]:
            self._held = None  # the best no more
        self._write(serialised(state, step, tables, hashes or {}, labels, valid_loss))
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def hold(
        self, state: State, *, step: int, tables: Mapping[str, int], hashes: Mapping[str, str], valid_loss: float
    ) -> None:
        """Keep a state, a snapshot, in memory until another is saved, or the run ends: the best so far, for now.

        Nothing is lost with it: a run that is killed goes on from the checkpoint before it, and comes to it again.
        """
        self._held = valid_loss, lambda: serialised(state, step, tables, hashes, (), valid_loss)

    def write_held(self) -> None:
        """Write the state that is held, if there is one."""
        if self._held is not None:
            self._write()

    def _write(self, *more: tuple[Entry, bytes]) -> None:
        if not (self.folder / INDEX).exists():
            with storing(self.folder):
                make_folders(self.folder)
            self._write_index()  # first of all: a checkpoint without an index has lost it
        new = [*([self._held[1]()] if self._held else []), *more]
        files = {entry.file for entry, _ in new}
        kept = self._kept([*(each for each in self.entries if each.file not in files), *(entry for entry, _ in new)])
        for entry, data in new:
            if entry in kept:
                write_atomic(self.folder / entry.file, data)
        self.entries, self._held = kept, None
        self._write_index()
        self._delete_others()

    def load_newest(self) -> tuple[State, Entry] | None:
        """The newest state that is intact; None where none was ever saved.

        Raises:
            CheckpointError: there are checkpoints and none of them is intact.
        """
        newest = self.newest_intact()
        if newest is None:
            return None
        entry, data = newest
        self.entries = [each for each in self.entries if each.step <= entry.step]
        return load_state(data, self.folder / entry.file), entry

    def newest_intact(self) -> tuple[Entry, bytes] | None:
        """The newest checkpoint whose hash is right, with a warning for every one that is passed over.

        Raises:
            CheckpointError: there are checkpoints and none of them is intact.
        """
        self.entries = self.read_index()
        for entry in sorted(self.entries, key=lambda each: each.step, reverse=True):
            try:
                return entry, self.read(entry)
            except CheckpointError as error:
                warnings.warn(f"{error}; using the one before it", HpcliWarning, stacklevel=2)
        if self.entries:
            raise CheckpointError(f"{self.folder}: no checkpoint is intact; restore them from a backup or start anew")
        return None

    def read(self, entry: Entry) -> bytes:
        """The file of an entry, its hash verified.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        path = self.folder / entry.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
        if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise CheckpointError(f"{path}: damaged (its SHA-256 differs from the one recorded)")
        return data

    def read_index(self) -> list[Entry]:
        """All entries, oldest first; none where there is no index.

        Raises:
            CheckpointError: the index is damaged.
        """
        path = self.folder / INDEX
        if not path.exists():
            if any(self.folder.glob("*.pt")):
                raise CheckpointError(f"{path}: missing beside checkpoints; restore it from a backup, or start anew")
            return []
        try:
            index = json.loads(path.read_bytes())
            entries = [Entry(**{**entry, "labels": tuple(entry["labels"])}) for entry in index["entries"]]
            if index["sha256"] != _digest(index["entries"]):
                raise ValueError("its checksum differs")
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise CheckpointError(f"{path}: damaged ({error}); restore it from a backup or start anew") from None
        return entries

    def _write_index(self) -> None:
        entries = json.loads(json.dumps([asdict(entry) for entry in self.entries]))
        index = {"format": FORMAT, "entries": entries, "sha256": _digest(entries)}
        write_atomic(self.folder / INDEX, json.dumps(index, indent=1).encode())

    def find(self, label: str) -> Entry | None:
        """The checkpoint of a label that the run gave, or of `best` or `last`; None: there is none.

        Raises:
            CheckpointError: the index is damaged.
        """
        entries = self.read_index()
        if label == Label.LAST:
            return max(entries, key=lambda each: each.step, default=None)
        if label == Label.BEST:
            return _best(entries)
        return next((each for each in entries if label in each.labels), None)

    @staticmethod
    def _kept(entries: list[Entry]) -> list[Entry]:
        best = _best(entries)
        return [each for each in entries if each.labels or each in entries[-2:] or each is best]

    def _delete_others(self) -> None:
        keep = {entry.file for entry in self.entries} | {INDEX}
        with storing(self.folder):
            for path in self.folder.iterdir():
                if path.name not in keep and _OWN.fullmatch(path.name):
                    path.unlink(missing_ok=True)


def _best(entries: Sequence[Entry]) -> Entry | None:
    """The one with the lowest validation loss."""
    measured = [(each.valid_loss, each.step, each) for each in entries if each.valid_loss is not None]
    return min(measured, key=lambda each: each[:2])[2] if measured else None


def _digest(entries: object) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()

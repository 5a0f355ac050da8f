"""Tables as CSV files that survive a crash: a header fixed by the declaration, whole rows, cut back on resume."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.errors import CheckpointError
from hpcli.files import storing, sync_folder, write_atomic
from hpcli.recording.csv_text import complete, header_of, lacking, line_of, read_rows
from hpcli.recording.rows import R, Row, declared_tables

if TYPE_CHECKING:
    from _hashlib import HASH


WAIT_SECONDS = 0.5
"""Rows wait for so long, to be written together."""


class CsvFiles:
    """The CSV files of a run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, int] = {}  # table → descriptor
        self._hashes: dict[str, HASH] = {}  # of what each open table holds
        self._headers: dict[str, bytes] = {}  # first line of each open table
        self._has_new = False  # a file whose name a power cut would still take
        self._waiting: dict[str, list[bytes]] = {}  # table → lines
        self._written_at = 0.0

    def append(self, row: Row) -> None:
        """Add a row. The first of a table is written at once, later ones within `WAIT_SECONDS` and a row.

        Raises:
            TypeError: a value is not of its column's type.
            CheckpointError: there is a file of that name with other columns.
        """
        is_first = row.table not in self._open
        if is_first:
            self._start(type(row))
        lacks = lacking(type(row), self._headers[row.table]) or frozenset()
        self._waiting.setdefault(row.table, []).append(line_of(row, lacks))
        if is_first or time.monotonic() - self._written_at >= WAIT_SECONDS:
            self.write()

    def write(self) -> None:
        """Write what waits: a table's rows in one call, so that a crash tears no row but the last."""
        waiting, self._waiting = self._waiting, {}
        for table, lines in waiting.items():
            data = b"".join(lines)
            with storing(self._path(table)):
                _write(self._open[table], data)
            self._hashes[table].update(data)
        self._written_at = time.monotonic()

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:
        """Write a table as a whole: the old one or the new, never a mixture."""
        self._waiting.pop(kind.table, None)
        path, data = self._path(kind.table), b"".join([header_of(kind), *map(line_of, rows)])
        write_atomic(path, data)
        if kind.table in self._open:  # what is appended from now on belongs to the new file
            os.close(self._open.pop(kind.table))
            self._keep_open(kind.table, data)

    def rows(self, kind: type[R]) -> list[R]:
        """All complete rows.

        Raises:
            CheckpointError: the file holds something else than the table.
        """
        self.write()
        return read_rows(self._path(kind.table), kind)

    def sync(self) -> None:
        """Make everything added so far durable."""
        self.write()
        for table, descriptor in self._open.items():
            with storing(self._path(table)):
                os.fsync(descriptor)
        if self._has_new:
            with storing(self.folder):
                sync_folder(self.folder)
            self._has_new = False

    def hashes(self) -> dict[str, str]:
        """SHA-256 of all that was added to each table: of its first `sizes()` bytes."""
        self.write()
        return {table: each.copy().hexdigest() for table, each in self._hashes.items()}

    def sizes(self) -> dict[str, int]:
        """Bytes in each table. A resumed run cuts its tables back to these sizes."""
        self.write()
        return {table: os.fstat(descriptor).st_size for table, descriptor in self._open.items()}

    def cut_back(self, sizes: Mapping[str, int], hashes: Mapping[str, str] | None = None) -> None:
        """Drop what was written after `sizes` were taken; a table not in them is dropped whole. Other files stay.

        Args:
            sizes: table → bytes.
            hashes: table → the SHA-256 of these bytes; a table that is not in it is not compared.

        Raises:
            CheckpointError: a table is not what it was then: it has been changed by something else.
        """
        self.close()
        kept = {table: self._first_bytes(table, size, (hashes or {}).get(table)) for table, size in sizes.items()}
        for table in declared_tables() - sizes.keys():
            with storing(self._path(table)):
                self._path(table).unlink(missing_ok=True)
        for table, data in kept.items():
            with storing(self._path(table)):
                os.truncate(self._path(table), len(data))
                self._keep_open(table, data)

    def _first_bytes(self, table: str, size: int, sha256: str | None) -> bytes:
        """The first bytes of a table, compared with their hash."""
        path = self._path(table)
        if path.is_symlink():
            raise CheckpointError(f"{path}: a link, which no run makes; put the file in its place, or start anew")
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror}); restore it, or start anew") from None
        if len(data) < size:
            raise CheckpointError(f"{path}: shorter than when its checkpoint was saved; restore it or start anew")
        if sha256 not in (None, hashlib.sha256(data[:size]).hexdigest()):
            raise CheckpointError(f"{path}: changed since its checkpoint was saved; restore it, or start anew")
        return data[:size]

    def close(self) -> None:
        """Write what waits, and close the files."""
        self.write()
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        self._hashes.clear()

    def _keep_open(self, table: str, data: bytes) -> int:
        """Open a table that holds `data`, to append to it."""
        self._hashes[table] = hashlib.sha256(data)
        self._headers[table] = data.partition(b"\n")[0].rstrip(b"\r")
        self._open[table] = _descriptor(self._path(table))
        return self._open[table]

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.csv"

    def _start(self, kind: type[Row]) -> None:
        """Open a table: a new one, or one of an earlier process to go on with, without its torn last row."""
        path = self._path(kind.table)
        with storing(path):
            there = complete(path.read_bytes()) if path.exists() else b""
        header, own = there.partition(b"\n")[0].rstrip(b"\r"), header_of(kind).rstrip(b"\n")
        if there and lacking(kind, header) is None:
            columns = f"{header.decode(errors='replace')}, not {own.decode()}"
            raise CheckpointError(f"{path}:1: its columns are {columns}; restore the file, or start anew")
        with storing(path):
            descriptor = self._keep_open(kind.table, there)
            os.truncate(descriptor, len(there))
            if not there:
                _write(descriptor, header_of(kind))
                self._hashes[kind.table].update(header_of(kind))
                self._headers[kind.table] = own
                self._has_new = True


def _write(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    if written < len(data):  # a full disk takes part of a row; what is torn is cut off on resume
        os.write(descriptor, data[written:])


def _descriptor(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)

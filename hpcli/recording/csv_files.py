"""Tables as CSV files that survive a crash: a header fixed by the declaration, a row one write, cut back on resume."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.errors import CheckpointError
from hpcli.files import storing, sync_folder, write_atomic
from hpcli.recording.rows import R, Row, cells, columns_of, declared_tables

if TYPE_CHECKING:
    from _hashlib import HASH


TAIL_BYTES = 1000
"""At the end of a table: more than a row of numbers takes."""


class CsvFiles:
    """The CSV files of a run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, int] = {}  # table → descriptor
        self._hashes: dict[str, HASH] = {}  # of what each open table holds
        self._has_new = False  # a file whose name a power cut would still take

    def append(self, row: Row) -> None:
        """Write a row in one call, so that a crash tears no row but the last.

        Raises:
            TypeError: a value is not of its column's type.
            CheckpointError: there is a file of that name with other columns.
        """
        descriptor = self._open.get(row.table)
        if descriptor is None:
            descriptor = self._start(type(row))
        line = line_of(row)
        with storing(self._path(row.table)):
            _write(descriptor, line)
        self._hashes[row.table].update(line)

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:
        """Write a table as a whole: the old one or the new, never a mixture."""
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
        return read_rows(self._path(kind.table), kind)

    def sync(self) -> None:
        """Make everything written so far durable."""
        for table, descriptor in self._open.items():
            with storing(self._path(table)):
                os.fsync(descriptor)
        if self._has_new:
            with storing(self.folder):
                sync_folder(self.folder)
            self._has_new = False

    def hashes(self) -> dict[str, str]:
        """SHA-256 of all that was written into each table: of its first `sizes()` bytes."""
        return {table: each.copy().hexdigest() for table, each in self._hashes.items()}

    def sizes(self) -> dict[str, int]:
        """Bytes in each table. A resumed run cuts its tables back to these sizes."""
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
        """Close the files."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        self._hashes.clear()

    def _keep_open(self, table: str, data: bytes) -> int:
        """Open a table that holds `data`, to append to it."""
        self._hashes[table] = hashlib.sha256(data)
        self._open[table] = _descriptor(self._path(table))
        return self._open[table]

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.csv"

    def _start(self, kind: type[Row]) -> int:
        """Open a table: a new one, or one of an earlier process to go on with, without its torn last row."""
        path = self._path(kind.table)
        with storing(path):
            complete = _complete(path.read_bytes()) if path.exists() else b""
        header, own = complete.partition(b"\n")[0].rstrip(b"\r"), header_of(kind).rstrip(b"\n")
        if complete and header != own:
            columns = f"{header.decode(errors='replace')}, not {own.decode()}"
            raise CheckpointError(f"{path}:1: its columns are {columns}; restore the file, or start anew")
        with storing(path):
            descriptor = self._keep_open(kind.table, complete)
            os.truncate(descriptor, len(complete))
            if not complete:
                _write(descriptor, header_of(kind))
                self._hashes[kind.table].update(header_of(kind))
                self._has_new = True
        return descriptor


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Read a table, leaving out a torn last row; no file is no rows.

    Raises:
        CheckpointError: a column is missing, or a text is not of its column's type; file, line and column are named.
    """
    if not path.exists():
        return []
    try:
        data = _complete(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); restore the file, or start anew") from None
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise CheckpointError(f"{path}:{number}: not UTF-8 text; restore the file, or start anew") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return []
        columns = columns_of(kind)
        missing = [column.name for column in columns if column.name not in header]
        if missing:
            raise ValueError(f"it has no column {missing[0]}")
        places = [header.index(column.name) for column in columns]
        rows = []
        for line in reader:
            if len(line) != len(header):
                raise ValueError(f"{len(line)} fields under {len(header)} columns")
            values = {column.field: column.read(line[at]) for column, at in zip(columns, places, strict=True)}
            rows.append(kind(**values))
    except (ValueError, csv.Error) as error:
        raise CheckpointError(f"{path}:{reader.line_num}: {error}; restore the file, or start anew") from None
    return rows


def last_row(path: Path, kind: type[R]) -> R | None:
    """The last row of a table of numbers that is being written, read from its end; None: there is none to read."""
    try:
        with path.open("rb") as file:
            header = file.readline()
            file.seek(max(len(header), path.stat().st_size - TAIL_BYTES))
            *_, line = [each for each in file.read().splitlines(keepends=True) if each.endswith(b"\n")]
        columns, texts = columns_of(kind), dict(zip(_fields(header), _fields(line), strict=True))
        return kind(**{each.field: each.read(texts[each.name]) for each in columns})
    except (OSError, ValueError, KeyError):
        return None


def _fields(line: bytes) -> list[str]:
    return line.decode().rstrip("\r\n").split(",")


def header_of(kind: type[Row]) -> bytes:
    """The first line of a table."""
    return _line(column.name for column in columns_of(kind))


def line_of(row: Row) -> bytes:
    """A row's line.

    Raises:
        TypeError: a value is not of its column's type.
    """
    columns = columns_of(type(row))
    return _line(column.text(cell) for column, cell in zip(columns, cells(row), strict=True))


def _line(texts: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(texts)  # before Python 3.13 it quotes what may end a line alone
    return f"{line.getvalue()[:-2]}\n".encode("utf-8", "surrogatepass")


def _complete(data: bytes) -> bytes:
    """The complete rows: up to the last line end outside quotes (a quote within a field is doubled)."""
    end = data.rfind(b"\n")
    quotes = data.count(b'"', 0, end + 1)
    while end >= 0 and quotes % 2:
        after, end = end, data.rfind(b"\n", 0, end)
        quotes -= data.count(b'"', end + 1, after)
    return data[: end + 1]


def _write(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    if written < len(data):  # a full disk takes part of a row; what is torn is cut off on resume
        os.write(descriptor, data[written:])


def _descriptor(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)

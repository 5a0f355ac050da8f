"""Tables as CSV files that survive a crash: a header fixed by the declaration, a row one write, cut back on resume."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hpcli.errors import CheckpointError
from hpcli.files import write_atomic
from hpcli.recording.rows import R, Row, cells, columns_of


class CsvFiles:
    """The CSV files of a run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, int] = {}  # table → descriptor

    def append(self, row: Row) -> None:
        """Write a row in one call, so that a crash tears no row but the last.

        Raises:
            TypeError: a value is not of its column's type.
            CheckpointError: there is a file of that name with other columns.
        """
        descriptor = self._open.get(row.table)
        if descriptor is None:
            descriptor = self._start(type(row))
        _write(descriptor, line_of(row))

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:
        """Write a table as a whole: the old one or the new, never a mixture."""
        path = self._path(kind.table)
        write_atomic(path, b"".join([header_of(kind), *map(line_of, rows)]))
        if kind.table in self._open:  # what is appended from now on belongs to the new file
            os.close(self._open[kind.table])
            self._open[kind.table] = _descriptor(path)

    def rows(self, kind: type[R]) -> list[R]:
        """All complete rows.

        Raises:
            CheckpointError: the file holds something else than the table.
        """
        return read_rows(self._path(kind.table), kind)

    def sync(self) -> None:
        """Make everything written so far durable."""
        for descriptor in self._open.values():
            os.fsync(descriptor)

    def sizes(self) -> dict[str, int]:
        """Bytes in each table. A resumed run cuts its tables back to these sizes."""
        return {table: os.fstat(descriptor).st_size for table, descriptor in self._open.items()}

    def cut_back(self, sizes: Mapping[str, int]) -> None:
        """Drop what was written after `sizes` were taken; a table not in them is dropped whole.

        Raises:
            CheckpointError: a table is shorter than it was then: it has been changed by something else.
        """
        self.close()
        for path in self.folder.glob("*.csv"):
            if path.stem not in sizes:
                path.unlink()
        for table, size in sizes.items():
            path = self._path(table)
            if not path.exists() or path.stat().st_size < size:
                raise CheckpointError(f"{path}: shorter than when its checkpoint was saved; restore it or start anew")
            os.truncate(path, size)
            self._open[table] = _descriptor(path)

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.csv"

    def _start(self, kind: type[Row]) -> int:
        """Open a table: a new one, or one of an earlier process to go on with, without its torn last row."""
        path = self._path(kind.table)
        complete = _complete(path.read_bytes()) if path.exists() else b""
        header, own = complete.partition(b"\n")[0].rstrip(b"\r"), header_of(kind).rstrip(b"\n")
        if complete and header != own:
            columns = f"{header.decode(errors='replace')}, not {own.decode()}"
            raise CheckpointError(f"{path}:1: its columns are {columns}; restore the file, or start anew")
        descriptor = _descriptor(path)
        os.truncate(descriptor, len(complete))
        if not complete:
            _write(descriptor, header_of(kind))
        self._open[kind.table] = descriptor
        return descriptor


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Read a table, leaving out a torn last row; no file is no rows.

    Raises:
        CheckpointError: a column is missing, or a text is not of its column's type; file, line and column are named.
    """
    if not path.exists():
        return []
    data = _complete(path.read_bytes())
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
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

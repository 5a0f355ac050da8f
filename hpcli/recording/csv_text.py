"""A table as the text of a CSV file: the line of a row, the rows of a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from hpcli.errors import CheckpointError
from hpcli.recording.rows import R, Row, cells, columns_of

TAIL_BYTES = 1000
"""At the end of a table: more than a row of numbers takes."""


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Read a table, leaving out a torn last row; no file is no rows.

    Raises:
        CheckpointError: a column is missing, or a text is not of its column's type; file, line and column are named.
    """
    if not path.exists():
        return []
    try:
        data = complete(path.read_bytes())
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
        columns = [column for column in columns_of(kind) if column.name in header or not column.late]
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
        texts = dict(zip(_fields(header), _fields(line), strict=True))
        columns = [each for each in columns_of(kind) if each.name in texts or not each.late]
        return kind(**{each.field: each.read(texts[each.name]) for each in columns})
    except (OSError, ValueError, KeyError):
        return None


def _fields(line: bytes) -> list[str]:
    return line.decode().rstrip("\r\n").split(",")


def header_of(kind: type[Row]) -> bytes:
    """The first line of a table."""
    return _line(column.name for column in columns_of(kind))


def lacking(kind: type[Row], header: bytes) -> frozenset[str] | None:
    """The columns that a file with this first line lacks, as they came later; None: it is not the table's."""
    return _lacking(kind, header)  # type: ignore[arg-type]  # as with `columns_of`


@cache
def _lacking(kind: type[Row], header: bytes) -> frozenset[str] | None:
    names, columns = header.decode(errors="replace").split(","), columns_of(kind)
    if names != [column.name for column in columns if column.name in names or not column.late]:
        return None
    return frozenset(column.name for column in columns) - set(names)


def line_of(row: Row, lacks: frozenset[str] = frozenset()) -> bytes:
    """A row's line.

    Args:
        row: of any table.
        lacks: columns that its file lacks.

    Raises:
        TypeError: a value is not of its column's type.
    """
    columns = zip(columns_of(type(row)), cells(row), strict=True)
    return _line(column.text(cell) for column, cell in columns if column.name not in lacks)


def _line(texts: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(texts)  # before Python 3.13 it quotes what may end a line alone
    return f"{line.getvalue()[:-2]}\n".encode("utf-8", "surrogatepass")


def complete(data: bytes) -> bytes:
    """The complete rows: up to the last line end outside quotes (a quote within a field is doubled)."""
    end = data.rfind(b"\n")
    quotes = data.count(b'"', 0, end + 1)
    while end >= 0 and quotes % 2:
        after, end = end, data.rfind(b"\n", 0, end)
        quotes -= data.count(b'"', end + 1, after)
    return data[: end + 1]

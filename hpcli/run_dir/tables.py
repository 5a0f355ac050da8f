"""CSV tables that survive a crash: a header fixed by the first row, a row one write, cut back on resume."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpcli.errors import CheckpointError
from hpcli.run_dir.files import write_atomic


class Tables:
    """The CSV files of a run folder, by name without the suffix."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, tuple[int, list[str]]] = {}  # descriptor, columns

    def append(self, table: str, row: Mapping[str, Any]) -> None:
        """Write a row in one call, so that a crash tears no row but the last."""
        descriptor, names = self._open.get(table) or self._start(table, list(row))
        if list(row) != names:
            raise ValueError(f"{table}.csv has the columns {names}, not {list(row)}")
        _write(descriptor, _line(row.values()))

    def replace(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a table as a whole: the old one or the new, never a mixture."""
        lines = [_line(rows[0]), *(_line(row.values()) for row in rows)] if rows else []
        write_atomic(self.folder / f"{table}.csv", b"".join(lines))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All complete rows; numbers as numbers, an empty field as None."""
        return read_rows(self.folder / f"{table}.csv")

    def sync(self) -> None:
        """Make everything written so far durable."""
        for descriptor, _ in self._open.values():
            os.fsync(descriptor)

    def sizes(self) -> dict[str, int]:
        """Bytes in each table: where a resumed run cuts it back to."""
        return {table: os.fstat(descriptor).st_size for table, (descriptor, _) in self._open.items()}

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
            path = self.folder / f"{table}.csv"
            if not path.exists() or path.stat().st_size < size:
                raise CheckpointError(f"{path}: shorter than when its checkpoint was saved; restore it or start anew")
            os.truncate(path, size)
            with path.open(newline="") as file:
                names = next(csv.reader(file), [])
            self._open[table] = (self._descriptor(path), names)

    def close(self) -> None:
        """Close the files."""
        for descriptor, _ in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _start(self, table: str, names: list[str]) -> tuple[int, list[str]]:
        """Open a table: a new one, or one of an earlier process to go on with, without its torn last row."""
        path = self.folder / f"{table}.csv"
        complete = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
        descriptor = self._descriptor(path)
        os.truncate(descriptor, len(complete) + 1 if complete else 0)
        if complete:
            names = next(csv.reader(io.StringIO(complete.decode())))
        else:
            _write(descriptor, _line(names))
        self._open[table] = (descriptor, names)
        return self._open[table]

    @staticmethod
    def _descriptor(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a CSV, leaving out an unterminated last line; no file is no rows."""
    if not path.exists():
        return []
    complete, _, _ = path.read_text().rpartition("\n")
    return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(io.StringIO(complete))]


def _line(values: Iterable[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(["" if value is None else value for value in values])
    return text.getvalue().encode()


def _write(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    if written < len(data):  # a full disk takes part of a row; what is torn is cut off on resume
        os.write(descriptor, data[written:])


def _value(text: str | None) -> Any:
    if text is None or text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

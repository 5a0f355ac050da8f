"""CSV files that other programs wrote, read once, row by row: their columns by name.

Comma, semicolon or tab, UTF-8 or UTF-16 with or without its mark, any line ends. Lines that begin with # are comments.
What a column means is for the reader to say.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import TextIO

from hpcli.errors import DataError, UsageError, did_you_mean, listed

MOST_LETTERS = 2**20
"""Of a line; a longer one is no line of text."""
NO_NUMBER = ("", "none", "null", "na", "n/a", "-")
"""What stands in a cell of numbers where there is none, but for NaN, which is one."""
DELIMITERS = ",;\t"
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Record:
    """A row: the cells of the columns that were asked for."""

    line: int  # in the file, from 1
    cells: tuple[str, ...]  # without spaces around them; empty where the row is short


@contextmanager
def open_csv(path: Path) -> Iterator[ForeignCsv]:
    """A CSV file to read.

    Raises:
        UsageError: there is no such file, or it is a folder.
        DataError: it is not text, or its first line names no columns.
    """
    with _opened(path) as file:
        yield ForeignCsv(path, file)


class ForeignCsv:
    """An open CSV file, for one reading. Its header is read at once."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self.line = 0  # of the file, read last
        lines = self._lines(file)
        first = next((line for line in lines if line.strip()), "")
        told = re.fullmatch(r"sep=(.)\s*", first)  # as Excel writes it
        first = next((line for line in lines if line.strip()), "") if told else first
        self.delimiter = told[1] if told else max(DELIMITERS, key=lambda each: len(_split(first, each)))
        self._reader = csv.reader(chain([first], lines), delimiter=self.delimiter, skipinitialspace=True, strict=True)
        self.names = tuple(name.strip() for name in next(self._records(), []))
        if not any(self.names):
            raise DataError(f"{path}: empty; a first line that names the columns and a row a run are needed")
        if all(self._is_number(name) for name in self.names):
            raise DataError(
                f"{path}:{self.line}: its first line names no columns ({listed(self.names)}): write one above it"
            )

    def find(self, option: str, name: str | None, usual: str) -> str:
        """The name of a column.

        Args:
            option: that names it.
            name: as given; None: it is not.
            usual: the name where none is given.

        Raises:
            UsageError: there is no such column, or there are two.
        """
        wanted = usual if name is None else name.strip()
        if self.names.count(wanted) > 1:
            raise UsageError(f"{option} {wanted}: {self.path} has two columns of that name; rename one of them")
        if wanted in self.names:
            return wanted
        if name is None:
            known = listed([each for each in self.names if each])
            raise UsageError(f"{self.path}: no column {usual}; name yours by {option}, one of {known}")
        known = did_you_mean(wanted, [each for each in self.names if each])
        raise UsageError(f"{option} {wanted}: {self.path} has no such column; {known}")

    def find_any(self, option: str, name: str | None, usual: str, *, but: Collection[str]) -> str | None:
        """The name of a column that a file may lack: None where none is given, and none has the usual name.

        Args:
            option: that names it.
            name: as given; None: it is not.
            usual: the name where none is given.
            but: columns that are something else.

        Raises:
            UsageError: there is no such column, there are two, or it is something else.
        """
        if name is None and (usual not in self.names or usual in but):
            return None
        found = self.find(option, name, usual)
        if found in but:
            raise UsageError(f"{option} {found}: that column is named by another option, too; name two columns")
        return found

    def rows(self, *names: str | None) -> Iterator[Record]:
        """The cells of some columns, row by row, once; of a name that is None they are empty.

        Raises:
            DataError: a row has more cells than there are columns, or is no CSV, or no text.
        """
        places = [len(self.names) if name is None else self.names.index(name) for name in names]
        for cells in self._records():
            if any(cell.strip() for cell in cells[len(self.names) :]):
                raise DataError(
                    f"{self.path}:{self.line}: {len(cells)} cells under {len(self.names)} columns; put quotes around "
                    f"a cell that has a {_called(self.delimiter)} in it"
                )
            yield Record(self.line, tuple(cells[place].strip() if place < len(cells) else "" for place in places))

    def number(self, record: Record, name: str, text: str) -> float:
        """A cell as a number; a comma is a decimal point where it is not the delimiter.

        Raises:
            DataError: it is none; file and line are named.
        """
        if not self._is_number(text):
            raise DataError(f"{self.path}:{record.line}: {name}: {text[:40]!r} is no number")
        return float(self.plain(text))

    def plain(self, text: str) -> str:
        """A number's text with a decimal point; other text as it is."""
        with_comma = self.delimiter != "," and _DECIMAL_COMMA.fullmatch(text)
        return text.replace(",", ".") if with_comma else text

    def _is_number(self, text: str) -> bool:
        try:
            float(self.plain(text))
        except ValueError:
            return False
        return "_" not in text

    def _records(self) -> Iterator[list[str]]:
        try:
            for cells in self._reader:
                if any(cells):
                    yield cells
        except csv.Error as error:
            raise DataError(f"{self.path}:{self.line}: {error}; is it a CSV file?") from None

    def _lines(self, file: TextIO) -> Iterator[str]:
        """The lines without comments; a # within a quoted cell begins none."""
        quoted = False
        while line := self._next_line(file):
            if quoted or line[0] != "#":
                quoted ^= line.count('"') % 2 == 1
                yield line

    def _next_line(self, file: TextIO) -> str:
        try:
            line = file.readline(MOST_LETTERS)
        except UnicodeError:
            raise DataError(f"{self.path}: not UTF-8 text, after line {self.line}; save it as UTF-8") from None
        self.line += 1
        if len(line) == MOST_LETTERS or "\0" in line:
            raise DataError(f"{self.path}:{self.line}: not text; is it a CSV file?")
        return line


def _opened(path: Path) -> TextIO:
    try:
        file = path.open("rb")
        return TextIOWrapper(file, _MARKS.get(file.peek(2)[:2], "utf-8-sig"))
    except IsADirectoryError:
        inside = sorted(each.name for each in path.glob("*.csv"))
        which = f": {listed(inside)}" if inside else ""
        raise UsageError(f"{path}: a folder; name a CSV file in it{which}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _split(line: str, delimiter: str) -> Sequence[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _called(delimiter: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab"}.get(delimiter, delimiter)

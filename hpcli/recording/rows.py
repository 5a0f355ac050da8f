"""Tables with declared columns: a table is a class, a column one of its fields, a row an instance.

The declaration is the only one: writing, reading, results, pictures and pages all go by it. Nothing is guessed from
text, so a class that is named `007` comes back as text.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

Cell = int | float | str | bool | None
Columns = dict[str, NDArray[np.float64]]
"""A table's numbers by column: name → [rows]; a missing number is NaN."""


_declared: set[str] = set()


def declared_tables() -> frozenset[str]:
    """The names of all tables that have been declared in this process."""
    return frozenset(_declared)


class Row:
    """A row of a table. A subclass is a frozen dataclass and names its table: `class Step(Row, table="steps")`.

    A field is an `int`, a `float`, a `str`, a `bool` or an enum of words, or one of these `| None`. A field whose name
    is a word of Python ends in an underscore that its column does not have. An empty text that may be None is None.
    A field that came later is None by default: a file that an older hpcli wrote or began lacks its column.
    """

    table: ClassVar[str]

    def __init_subclass__(cls, *, table: str) -> None:
        cls.table = table
        _declared.add(table)


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Column:
    """A declared column: its field, type, whether a value may be missing, whether the column itself may."""

    field: str
    kind: type
    optional: bool
    late: bool = False

    @property
    def name(self) -> str:
        """In the header of a CSV."""
        return self.field.rstrip("_")

    def checked(self, value: object) -> Cell:
        """A value converted to the column's type.

        Raises:
            TypeError: it is of another type.
        """
        if type(value) is self.kind and (value != "" or not self.optional):
            return typing.cast(Cell, value)
        if self.optional and (value is None or value == ""):
            return None
        known = _ACCEPTED.get(self.kind, self.kind)
        if not isinstance(value, known) or (isinstance(value, bool | np.bool_) and self.kind is not bool):
            raise TypeError(
                f"{self.name}: {value!r} is a {type(value).__name__}, the column holds {self.kind.__name__}"
            )
        return typing.cast(Cell, self.kind(value))

    def text(self, value: Cell) -> str:
        """A value as text in a CSV."""
        if value is None:
            return ""
        if self.kind is bool:
            return str(int(value))
        return repr(value) if self.kind is float else str(value)

    def read(self, text: str) -> Cell:
        """The value of a CSV's text.

        Raises:
            ValueError: it is not of this column's type.
        """
        if text == "" and self.optional:
            return None
        if self.kind is bool:
            return {"0": False, "1": True}[text] if text in ("0", "1") else _refuse(self, text)
        try:
            return typing.cast(Callable[[str], Cell], self.kind)(text)
        except ValueError:
            return _refuse(self, text)


_ACCEPTED: dict[type, tuple[type, ...]] = {
    int: (int, np.integer),
    float: (int, float, np.integer, np.floating),
    bool: (bool, np.bool_),
    str: (str,),
}


def _refuse(column: Column, text: str) -> typing.NoReturn:
    raise ValueError(f"{column.name}: {text[:40]!r} is not of type {column.kind.__name__}")


def columns_of(kind: type[Row]) -> tuple[Column, ...]:
    """The columns of a table, in order.

    Raises:
        TypeError: a field is of a type that no column can hold.
    """
    return _columns_of(kind)  # type: ignore[arg-type]  # a class can be hashed whatever its instances define


@cache
def _columns_of(kind: type[Row]) -> tuple[Column, ...]:
    hints = typing.get_type_hints(kind)
    found = []
    for each in fields(typing.cast("type[typing.Any]", kind)):
        hint = hints[each.name]
        members = set(typing.get_args(hint)) if isinstance(hint, types.UnionType) else {hint}
        (inner,) = members - {type(None)}
        if inner not in _ACCEPTED and not issubclass(inner, StrEnum):
            raise TypeError(f"{kind.__name__}.{each.name}: a column cannot hold {inner}")
        found.append(Column(each.name, inner, type(None) in members, each.default is None))
    return tuple(found)


def cells(row: Row) -> tuple[Cell, ...]:
    """The values of a row, checked, in the order of the columns.

    Raises:
        TypeError: one is not of its column's type.
    """
    return tuple(column.checked(getattr(row, column.field)) for column in columns_of(type(row)))


def checked(row: R) -> R:
    """A row with plain Python values: numpy numbers are converted, an empty optional text becomes None.

    Raises:
        TypeError: a value is not of its column's type.
    """
    found = {column.field: cell for column, cell in zip(columns_of(type(row)), cells(row), strict=True)}
    return typing.cast(R, replace(typing.cast(typing.Any, row), **found))


def columns(kind: type[R], rows: Sequence[R]) -> Columns:
    """A table's numbers, one array a column, each [rows]. Columns of text are left out."""
    numbers = [column for column in columns_of(kind) if column.kind in (int, float, bool)]
    return {
        column.name: np.array([_number(getattr(row, column.field)) for row in rows], np.float64) for column in numbers
    }


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)

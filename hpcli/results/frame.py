"""A result's main table for pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcli.errors import UsageError
from hpcli.recording.rows import Row, columns_of

if TYPE_CHECKING:
    from pandas import DataFrame

FrameColumns = dict[str, Any]
"""A table by column: name → [rows]."""


def framed(table: object, row: type[Row] | None = None) -> DataFrame:
    """A table of a result as a DataFrame: columns, columns by the statistics that BatchNorm uses, or rows.

    Args:
        table: name → [rows]; name → such a table, whose rows get a column `bn` with it; or dataclasses, a row each. One
            that holds arrays of a length is that many rows.
        row: whose whole numbers are whole numbers; None: the table says it itself.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise UsageError("frame: needs pandas, which is not installed: pip install pandas") from None
    parts = [pd.DataFrame(each) for each in _parts(table)]
    whole = [each.name for each in columns_of(row) if each.kind is int] if row else []
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return frame.astype(dict.fromkeys(whole, "int64"))


def _parts(table: object) -> list[FrameColumns]:
    if not isinstance(table, Mapping):
        assert isinstance(table, Sequence)
        rows = [_row(each) for each in table]
        return rows if any(_lengths(row) for row in rows) else _joined(rows)
    if all(isinstance(each, Mapping) for each in table.values()):
        return [{"bn": str(name), **each} for name, each in table.items()]
    return [dict(table)]


def _row(row: object) -> FrameColumns:
    """The fields of a dataclass that a cell or a column can hold."""
    found = {each.name.rstrip("_"): getattr(row, each.name) for each in fields(row)}  # type: ignore[arg-type]
    plain = {name: str(value) if isinstance(value, StrEnum) else value for name, value in found.items()}
    return {name: value for name, value in plain.items() if _fits(value)}


def _fits(value: object) -> bool:
    """Whether it is a cell, or a column."""
    return value is None or isinstance(value, int | float | str) or (isinstance(value, np.ndarray) and value.ndim == 1)


def _lengths(row: FrameColumns) -> set[int]:
    return {len(value) for value in row.values() if isinstance(value, np.ndarray)}


def _joined(rows: list[FrameColumns]) -> list[FrameColumns]:
    return [{name: [row[name] for row in rows] for name in rows[0]}] if rows else []
